"""What is started and with which environment: an allow-list, three spellings of one env, and no shell (docs/design/workflows.md 4).

HyOps lets `HYOPS_RUNTIME_ROOT` silently beat `--env`, `HYOPS_ENV` beat it for the drivers, and `HYOPS_INPUT_*`
override the inputs of every step (HyOps `runtime/root.py`, `runtime/module_inputs.py`). So all three names of
the env are set here, must agree, and nothing of the caller's environment passes unless it is named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from hyops_ci.contracts.child_names import INHERITED, steers, steers_as_secret, takes
from hyops_ci.contracts.plan import Command, Plan
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.execution.question import ask
from hyops_ci.text import shell

UPDATE_POLICY_NOWHERE: Final = "http://127.0.0.1:9/"
"""HyOps asks this address before it works and may refuse because of the answer; the discard port never answers."""
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PLACE = re.compile(r"\{([a-z_]+)\}")
_VERSION = re.compile(r"[0-9]+(?:\.[0-9A-Za-z]+)*(?:[-+.][0-9A-Za-z.]+)?")
_UTF8 = re.compile(r"\.utf-?8\b", re.I)
_ENV_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where HyOps lives on this runner and which env it works on. All paths absolute."""

    hyops: Path
    core_root: Path
    envs_base: Path
    env: str
    vault_password_file: Path | None = None
    settings: tuple[tuple[str, str], ...] = ()
    """HyOps' own settings that the reviewed config makes, name and value."""

    @property
    def root(self) -> Path:
        """`<envs_base>/<env>`: the runtime root. HyOps reads sibling envs from its parent, so the shape matters."""
        return self.envs_base / self.env

    @classmethod
    def of(cls, plan: Plan, home: Path) -> Runtime:
        """Return the runtime that the plan names; an absent `envs_base` is `<home>/.hybridops/envs`, as HyOps has it."""
        return cls(
            hyops=Path(plan.hyops),
            core_root=Path(plan.core_root),
            envs_base=Path(plan.envs_base) if plan.envs_base else home / ".hybridops" / "envs",
            env=plan.env,
            vault_password_file=Path(plan.vault_password_file) if plan.vault_password_file else None,
            settings=tuple(plan.host_env.items()),
        )


def require_env(runtime: Runtime, *, alone: bool = False) -> Path:
    """Return the runtime root, which must exist: HyOps makes the tree of a mistyped env and carries on (docs/hyops.md).

    `alone`: no other env of this host may have the same folder or states, by links: what is destroyed in one would be gone in the other.
    Raises Refusal (`hyops.env-dir`, exit 7).
    """
    root = runtime.root
    if not _ENV_NAME.fullmatch(runtime.env) or not root.is_absolute() or not root.is_dir():
        raise Refusal(
            "hyops.env-dir",
            "this runner does not hold the env",
            exit_code=Exit.RUNNER,
            found=f"no directory {root}",
            expected="the HyOps runtime of the env, made by `hyops init` on this runner",
            fix="check host.envs_base and the env's name, or bring the env to this runner",
            docs="hyops.md",
        )
    if alone and (other := another_env_at(root)):
        raise Refusal(
            "hyops.env-dir",
            "an env that a drill destroys is another env, too",
            exit_code=Exit.RUNNER,
            found=f"{root} and {other} lead to the same folder",
            expected="a folder with states of its own",
            fix="take the link away, and make the env with hyops init on this runner",
            docs="drills.md",
        )
    return root


def another_env_at(root: Path) -> Path | None:
    """Return another env beside `root` that has its folder or its states; None where there is none."""

    def places(env: Path) -> set[str]:
        return {os.path.realpath(env), os.path.realpath(env / "state")}

    own = places(root)
    others = (each for each in sorted(root.parent.iterdir()) if each.name != root.name and each.is_dir())
    return next((each for each in others if places(each) & own), None)


def child_environment(
    runtime: Runtime, *, base: Mapping[str, str], secrets: Mapping[str, str] | None = None, env_pass: Iterable[str] = ()
) -> dict[str, str]:
    """Return the whole environment of HyOps. `base` is the runner's own environment, of which only named parts pass.

    A secret given here beats the same key of the vault bundle (HyOps `merge_vault_env`), which is what we want:
    the fresh one wins. Raises Refusal (`hyops.environment`, exit 4) for a name that could steer HyOps or GitHub.
    """
    passed = tuple(env_pass)
    given = dict(secrets or {})
    untaken = [name for name, value in runtime.settings if not takes(name, value)]
    for name in [*filter(steers, passed), *filter(steers_as_secret, given), *untaken]:
        raise Refusal(
            "hyops.environment",
            "a name may not enter HyOps' environment",
            exit_code=Exit.POLICY,
            found=name,
            expected="names that fill variables, none that steers HyOps, a shell, an interpreter or a tool",
            fix="take it out of host.env_pass, host.env or the secret map",
            docs="hyops.md",
        )
    environment = {name: base[name] for name in (*INHERITED, *passed) if name in base}
    environment.setdefault("PATH", DEFAULT_PATH)
    environment |= utf8_locale(environment)
    environment |= dict(runtime.settings) | {
        "HYOPS_RUNTIME_ROOT": str(runtime.root),
        "HYOPS_ENV": runtime.env,
        "HYOPS_CORE_ROOT": str(runtime.core_root),
        "HYOPS_PACKS_ROOT": str(runtime.core_root / "packs"),
        "HYOPS_NO_PLUGINS": "1",
        "HYOPS_UPDATE_CHECK": "0",
        "HYOPS_UPDATE_POLICY_URL": UPDATE_POLICY_NOWHERE,
    }
    if runtime.vault_password_file is not None:
        environment["HYOPS_VAULT_PASSWORD_FILE"] = str(runtime.vault_password_file)
    return environment | given


def utf8_locale(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what makes the locale one of UTF-8, without which Ansible does not start; empty where it is one, or Python takes care."""
    name = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    return {} if not name or _UTF8.search(name) else {"LC_ALL": "C.UTF-8"}


def command_line(command: Command, runtime: Runtime, overlay: Path) -> list[str]:
    """Return the argv of a planned command with its places filled and the env's three names compared.

    Raises Refusal (`hyops.command`, exit 4) for an unknown place, a missing `--env` or `--file`, another env,
    `--root`, a shared flag twice, or a file that HyOps would not read as this env's.
    """
    places = {"hyops": str(runtime.hyops), "overlay": str(overlay), "env": runtime.env}
    unknown = {name for word in command.argv for name in _PLACE.findall(word)} - places.keys()
    if unknown:
        raise _disagreement(f"place {{{min(unknown)}}}", f"only the places {', '.join(sorted(places))}")
    argv = [_PLACE.sub(lambda place: places[place[1]], word) for word in command.argv]
    _agree(argv, runtime, overlay)
    return argv


def _agree(argv: Sequence[str], runtime: Runtime, overlay: Path) -> None:
    """`--env`, HYOPS_ENV and HYOPS_RUNTIME_ROOT name one env, and the file lies inside it."""
    if argv[:1] != [str(runtime.hyops)]:
        raise _disagreement(f"the program {argv[0] if argv else ''}", str(runtime.hyops))
    if any(word == "--root" or word.startswith("--root=") for word in argv):
        raise _disagreement("--root, which drops the env from Terraform workspaces", "--env and HYOPS_RUNTIME_ROOT")
    for flag, wanted in (("--env", runtime.env), ("--file", str(overlay))):
        values = [argv[at + 1] for at, word in enumerate(argv[:-1]) if word == flag]
        values += [word.partition("=")[2] for word in argv if word.startswith(flag + "=")]
        if values != [wanted]:
            raise _disagreement(f"{flag} {' '.join(values) or 'absent'}", f"{flag} {wanted}, once")
    if overlay.parent != runtime.root / "config" / "blueprints":
        raise _disagreement(f"--file {overlay}", f"a file in {runtime.root / 'config' / 'blueprints'}")


def _disagreement(found: str, expected: str) -> Refusal:
    return Refusal(
        "hyops.command",
        "the HyOps command does not name one env in all three places",
        exit_code=Exit.POLICY,
        found=found,
        expected=expected,
        fix="plan again with this release; a plan's commands are never edited",
        docs="hyops.md",
    )


def hyops_version(hyops: Path, environment: Mapping[str, str], *, timeout: float = 20.0) -> str:
    """Return what `hyops --version` says, such as `0.1.4`. `timeout` in seconds.

    Raises Refusal (`hyops.missing`, exit 7) when there is no such program, Fault (`hyops.version`, exit 9)
    when it does not answer with a version.
    """
    try:
        answer = ask([str(hyops), "--version"], environment, timeout=timeout)
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise Refusal(
            "hyops.missing",
            "HyOps is not where the plan says",
            exit_code=Exit.RUNNER,
            found=f"{hyops}: {error.strerror}",
            expected="the hyops program of this runner",
            fix="install HyOps on the runner, or set host.hyops",
            docs="hyops.md",
        ) from None
    except OSError as error:
        raise _no_version(hyops, type(error).__name__) from None
    words = answer.stdout.split()
    if answer.rc != 0 or not words or not _VERSION.fullmatch(words[-1]):
        raise _no_version(hyops, answer.error or f"rc {answer.rc}, {answer.stdout.strip()[:80] or 'no output'}")
    return words[-1]


def _no_version(hyops: Path, found: str) -> Fault:
    return Fault(
        "hyops.version",
        "HyOps did not say its version",
        exit_code=Exit.HYOPS,
        found=f"{hyops}: {found}",
        expected="a version such as 0.1.4",
        fix=shell("run {} --version on the runner", hyops),
    )
