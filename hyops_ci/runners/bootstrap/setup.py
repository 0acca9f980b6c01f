"""The bootstrap: one script on a proven host, and what it said."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from hyops_ci.config.file import read_trust
from hyops_ci.contracts.config import Host
from hyops_ci.contracts.public_key import key_bytes
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Fault, Refusal, shown
from hyops_ci.parsing.documents import json_object
from hyops_ci.runners.bootstrap.order import How, Registration, SetupOrder, SetupResult, Step
from hyops_ci.runners.bootstrap.release import SCRIPT, packed
from hyops_ci.runners.ssh import ProvenHost
from hyops_ci.text import shell

HYOPS_USER: Final = "hyops"
LIMIT: Final = 1800.0
"""Seconds that a part may take: packages and archives come from far away."""
REFUSED: Final = 70
_LOADER: Final = """\
set -euo pipefail
umask 077
exec 9>/run/dr-dispatch-setup.lock
flock --wait 900 9 || { echo "another setup of this machine has gone on for 15 minutes" >&2; exit 72; }
rm -rf /var/tmp/dr-dispatch.????????
folder=$(mktemp -d /var/tmp/dr-dispatch.XXXXXXXX)
trap 'rm -rf "$folder"' EXIT
IFS= read -r secret
base64 -d >"$folder/sent"
echo "$1  $folder/sent" | sha256sum --check --status || { echo "what arrived is not what was sent" >&2; exit 71; }
tar -xzf "$folder/sent" -C "$folder" --no-same-owner
rm "$folder/sent"
printf '%s\\n' "$secret" | bash "$folder/setup.sh" "$2"
"""
"""Reads a line, which may be secret, and then what is sent; one at a time. It is an argument and therefore holds nothing secret itself.

Its lock lies where root alone can write: in /run/lock a job could hold it, or put something else in its place, before root does.
"""
_VERSION: Final = re.compile(r"\d{1,6}(\.\d{1,6}){2}")
_HOW: Final = {how.value: how for how in How}


def set_up(host: ProvenHost, order: SetupOrder, say: Callable[[str], None] = lambda _: None) -> SetupResult:
    """Make the host what the order says, and return what was done. Done again it changes nothing, and takes over what was left half done.

    One command over the host's connection, and a second one with the registration where that is missing. Raises Refusal `runner.setup`
    (exit 7) where the host cannot be made so, with what was found; Fault `runner.setup` (exit 7) where a step failed, Fault `runner.ssh`
    where the connection broke: then the same order again goes on.
    """
    trust = host_of(order)
    said = _part(host, "setup", packed(variables(order, trust), order.trust), _Said(say, order.only_say))
    registers = said.facts.get("registration") != "same" and order.register is not None and not order.only_say
    if registers and order.register is not None:
        said.steps += _part(host, "register", packed(variables(order, trust), b""), _Said(say), order.register()).steps
    version = said.facts.get("agent", "")
    return SetupResult(
        steps=tuple(said.steps),
        script_sha256=sha256(SCRIPT.read_bytes()).hexdigest(),
        agent_version=version if _VERSION.fullmatch(version) else "",
        registered=registers,
        public_key=said.public_key,
        left_to_people=tuple(said.left),
    )


@dataclass
class _Said:
    """What one part said, line by line. The host's own words: shown and kept as text, and a key is one, or nothing is believed."""

    say: Callable[[str], None]
    only_say: bool = False
    step: str = ""
    steps: list[Step] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    public_key: str = ""
    refusal: tuple[str, str, str] = ("", "", "")
    unread: str = ""
    """A line that is not what the script says."""

    def hear(self, line: str) -> None:
        """Take one line of the script's stdout."""
        word, _, rest = line.partition(" ")
        if word == "begin":
            self.step = shown(rest)
            self.say(f"setting up: {self.step}")
        elif word == "fact":
            name, _, value = rest.partition("=")
            if name == "left":
                self.left.append(shown(value))
            self.facts[name] = value
        elif word == "refuse":
            found, expected, fix = [*rest.split("\t"), "", ""][:3]
            self.refusal = (found, expected, fix)
        elif word == "prepared":
            self._prepared(rest)
        else:
            self._step(line)

    def _step(self, line: str) -> None:
        for word, how in _HOW.items():
            if line.startswith(f"{word} "):
                self.steps.append(Step(how, shown(line.removeprefix(f"{word} "))))
                self.say(shown(line))

    def _prepared(self, text: str) -> None:
        """Take what `runner prepare` said of its own steps."""
        would = {"made": How.WOULD_MAKE, "changed": How.WOULD_CHANGE} if self.only_say else {}
        try:
            prepared = json_object(text) or {}
            self.steps += [Step(would.get(how) or How(how), shown(path)) for how, path in prepared["steps"]]
            self.public_key = prepared["public_key"]
            if self.public_key or not self.only_say:  # a key that would only be made is not there yet
                key_bytes(self.public_key)
        except (KeyError, TypeError, ValueError):
            self.public_key, self.unread = "", text


def _part(host: ProvenHost, part: str, sent: bytes, said: _Said, registration: Registration | None = None) -> _Said:
    """Run one part of the script; return `said` with what it said. Raises Refusal and Fault `runner.setup`."""
    command, stdin = command_of(part, sent, host.facts.user), stdin_of(sent, registration)
    done = host.run(command, stdin=stdin, timeout=LIMIT, heard=said.hear)
    if done.rc == 0 and said.facts.get("done") == part and not said.unread:
        return said
    text = _without(registration, done.err + said.unread)
    if done.rc == REFUSED and said.refusal[0]:
        found, expected, fix = said.refusal
        raise Refusal(
            "runner.setup",
            f"{host.machine.resource} cannot be made a runner: {said.step}",
            exit_code=Exit.RUNNER,
            found=found,
            expected=expected,
            fix=fix,
            docs="runners.md",
        )
    for line in text.splitlines()[-20:]:
        said.say(f"{host.machine.name}: {shown(line)}")
    raise Fault(
        "runner.setup",
        f"{host.machine.resource}: setting it up failed at {said.step or 'its start'}",
        exit_code=Exit.RUNNER,
        found=" / ".join(text.splitlines()[-3:]) or f"exit code {done.rc}",
        expected="every step done",
        fix="mend what it names; then the same command again: what is in place is kept",
        docs="runners.md",
    )


def command_of(part: str, sent: bytes, user: str) -> str:
    """Return the command that does a part, for a user who is root or becomes it. Nothing in it is secret."""
    known = (_LOADER, sha256(sent).hexdigest(), part)
    return shell("bash -c {} setup {} {}", *known) if user == "root" else shell("sudo -n bash -c {} setup {} {}", *known)


def stdin_of(sent: bytes, registration: Registration | None = None) -> str:
    """Return what that command reads: one line that may be secret, then what is sent."""
    return f"{registration.token if registration else ''}\n{base64.encodebytes(sent).decode()}"


def _without(registration: Registration | None, text: str) -> str:
    return text.replace(registration.token, "***") if registration and registration.token else text


def host_of(order: SetupOrder) -> Host:
    """Return the trust file's `host`. Raises Refusal for a trust file that is none, or that makes no wall between agent and HyOps."""
    host = read_trust(order.trust, "the trust file").host
    wanted = Host(user=HYOPS_USER)
    wrong = ""
    if host is None or host.user != HYOPS_USER:
        wrong = f"host.user is {host.user if host else None}"
    elif order.installation.hyops and (host.core_root, host.hyops) != (wanted.core_root, wanted.hyops):
        wrong = f"host.core_root {host.core_root}, host.hyops {host.hyops}"
    if wrong or host is None:
        raise Refusal(
            "runner.setup",
            "a machine that is made has HyOps as a user of its own",
            exit_code=Exit.USAGE,
            found=wrong,
            expected=f"host: {{user: {HYOPS_USER}}} in the config and the trust file; HyOps in {wanted.core_root}",
            fix="set it by a pull request; hyops-ci init prints the trust file that says the same",
            docs="host-trust.md",
        )
    return host


def variables(order: SetupOrder, host: Host) -> dict[str, str]:
    """Return what the script reads."""
    there, release, identity = order.installation, order.release, order.identity
    digests = dict(release.agent_sha256) if order.agent is None else dict.fromkeys(("x64", "arm64"), order.agent.sha256)
    flag = {True: "1", False: ""}
    return {
        "only_say": flag[order.only_say],
        "again": flag[order.again],
        "restart_agent": flag[order.restart],
        "mirror": there.mirror or "",
        "archives": there.archives or "",
        "wheelhouse": there.wheelhouse or "",
        "agent_version": order.agent.version if order.agent else release.agent_version,
        "agent_sha256_x64": digests["x64"],
        "agent_sha256_arm64": digests["arm64"],
        "hyops_version": release.hyops_version if there.hyops else "",
        "hyops_tar_sha256": release.hyops_tar_sha256,
        "envs_base": host.envs_base or "",
        "password_file": host.vault_password_file or "",
        "url": identity.url,
        "name": identity.name,
        "labels": ",".join(identity.labels),
        "group": identity.group,
    }
