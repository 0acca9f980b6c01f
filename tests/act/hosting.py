"""A runner host as root prepared it: /etc/dr-dispatch/trust.json is the given one, /opt/dr-dispatch holds environment and hook.

The paths are part of what is tested, so no variable moves them. The command gets a mount namespace of its own, in which /etc
is a copy in memory with the file in it, and /opt has one folder more; outside nothing changes, and with the last process it is gone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from hyops_ci.files import locked
from hyops_ci.operations.prepare.environment import Requirements, make, packages_of, requirements_of
from hyops_ci.operations.prepare.prepare import HOOK_TEXT
from tests.act.running import HOST
from tests.act.setting_up import wheels

if TYPE_CHECKING:
    from tests.act.site import Site

from tests.support.issuer import GITHUB_CLAIMS, WORKFLOW_SHA

_DRESS: Final = """
trust=$1 etc=$2 opt=$3 prepared=$4 hook=$5; shift 5
mkdir -p "$etc" "$opt"
mount -t tmpfs -o mode=755 tmpfs "$opt"
for each in /opt/*/; do
  if [ -d "$each" ]; then mkdir "$opt/$(basename "$each")"; mount --rbind "$each" "$opt/$(basename "$each")"; fi
done
if [ -n "$prepared" ]; then
  mkdir -p "$opt/dr-dispatch/$(basename "$prepared")"
  mount --bind "$prepared" "$opt/dr-dispatch/$(basename "$prepared")"
  cp "$hook" "$opt/dr-dispatch/job-started.sh"
  chmod 755 "$opt/dr-dispatch/job-started.sh"
fi
mount --rbind "$opt" /opt
mount -t tmpfs -o mode=755 tmpfs "$etc"
cp -a /etc/. "$etc"/ 2>/dev/null || :   # what this user may not read is left out
if [ -n "$trust" ]; then
  mkdir -p "$etc/dr-dispatch"
  cp "$trust" "$etc/dr-dispatch/trust.json"
  chown 0:0 "$etc/dr-dispatch/trust.json"
  chmod 644 "$etc/dr-dispatch/trust.json"
fi
mount --bind "$etc" /etc
exec "$@"
"""


def on_pinned_host(trust: Mapping[str, Any], folder: Path, way: Sequence[str] = ()) -> list[str]:
    """What to put before a command, so that it runs on a host with this trust file. `folder` is for this command alone."""
    folder.mkdir(parents=True)
    file = folder / "trust.json"
    file.write_text(json.dumps(trust))
    return _prepared(folder, str(file), way)


def on_prepared_host(folder: Path) -> list[str]:
    """The same for a host with root's environment and no trust file: it accepts every caller."""
    folder.mkdir(parents=True)
    return _prepared(folder, "")


def _prepared(folder: Path, trust: str, way: Sequence[str] = ()) -> list[str]:
    dress = [trust, str(folder / "etc"), str(folder / "opt"), str(prepared_environment()), str(HOOK_TEXT)]
    return [*(way or next(iter(ways()))), "sh", "-euc", _DRESS, "prepared-host", *dress]


def on_bare_host(folder: Path) -> list[str]:
    """The same for a host that nobody prepared, on which the command is root."""
    folder.mkdir(parents=True)
    return [*next(iter(ways())), "sh", "-euc", _DRESS, "bare-host", "", str(folder / "etc"), str(folder / "opt"), "", ""]


@cache
def prepared_environment() -> Path:
    """The environment of this release as root makes it, kept between sessions; in the namespace it belongs to root."""
    known = requirements_of()
    kept = Requirements(known.text, HOST / "opt" / known.home.name)
    kept.home.parent.mkdir(parents=True, exist_ok=True)
    with locked(HOST / "opt.lock", wait=None):
        if not kept.ready:
            with TemporaryDirectory() as folder:
                make(kept, packages_of(kept, str(wheels(Path(folder) / "job"))))
    return kept.home


@cache
def ways() -> tuple[tuple[str, ...], ...]:
    """How this user can make a mount namespace: as root, or as root of a user namespace. Raises RuntimeError where there is none."""
    program = shutil.which("unshare") or "/usr/bin/unshare"
    found, problems = [], []
    for way in ((program, "--mount"), (program, "--mount", "--map-root-user")):
        command = [*way, "sh", "-ec", "mount -t tmpfs tmpfs /mnt"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        found += [way] if done.returncode == 0 else []
        problems.append(done.stderr.strip())
    if not found:
        fix = "run the suite as root, or: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (docs/testing.md)"
        raise RuntimeError(f"no mount namespace: {'; '.join(problems)}: {fix}")
    return tuple(found)


def trust_of(site: Site, **changes: Any) -> dict[str, Any]:
    """What the runner of a site pins: its caller, its approver, its authority, and the issuer of the jobs' tokens."""
    [(login, key)] = site.config["approvals"]["approvers"].items()
    return {
        "api_version": "hybridops/v1",
        "kind": "HostTrust",
        "issuer": site.tokens.issuer,
        "repository_id": int(GITHUB_CLAIMS["repository_id"]),
        "repository_owner_id": int(GITHUB_CLAIMS["repository_owner_id"]),
        "ref": GITHUB_CLAIMS["ref"],
        "workflow_shas": [WORKFLOW_SHA],
        "workflow_ref": GITHUB_CLAIMS["job_workflow_ref"].partition("@")[0],
        "runner_refs": ["gcp-ops-runner", "proxmox-ops-runner"],
        "evidence_keys": list(site.config["host_keys"].values()),
        "approvers": [{"id": 1002, "login": login, "key": key}],
        "gates": {"lab": "dr-lab"},
        "authorities": [{"origin": site.bao.origin, "roles": ["dr-lab", "dr-check"]}],
        **changes,
    }
