"""What `init` was asked for, and what it refuses of that before a line is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from hyops_ci.config.file import CONFIG_PATH
from hyops_ci.config.settings import addresses, blueprint_name, overlay_path, usual_overlay
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Refusal
from hyops_ci.operations.init.judging import refused_lines


@dataclass(frozen=True)
class InitRequest:
    """The service to set up. Fields that only a new config needs may be empty where there is one."""

    service: str
    vault: str = ""
    site: str = ""
    lane: str = "gcp"
    failover: str = ""
    failback: str = "dr/postgresql-ha-failback-onprem@v1"
    """Empty: this service has no way back yet."""
    blueprints: tuple[Path, ...] = ()
    """Folders that are searched for overlays: of the env's runtime first, then HyOps' own blueprints."""
    core_root: Path | None = None
    """HyOps on this machine: what it does not have is refused, and its module specs are judged with the overlays."""
    auth_path: str = ""
    """Where the authority takes the jobs' tokens, if not at `auth/jwt`."""
    decisions: bool = False
    """Whether decisions arrive by `repository_dispatch`, too."""
    notify: str = ""
    """The webhook that is told of runs; empty: nobody asked for one."""
    issue: int = 0
    """The number of the issue that gets a comment; 0: nobody asked for one."""
    overlays: Mapping[str, str] = field(default_factory=dict)
    """Blueprint -> path of an overlay of its own, where another service has the usual one."""

    @property
    def failover_blueprint(self) -> str:
        """What a failover runs: as named, else the lane's PostgreSQL one."""
        return self.failover or f"dr/postgresql-ha-failover-{self.lane}@v1"

    def sources(self, blueprint: str) -> list[Path]:
        """Return the files that the overlay of a blueprint can be copied from, the best first."""
        name = blueprint_name(blueprint)
        places = [place for folder in self.blueprints for place in (folder / f"{name}.yml", folder / blueprint / "blueprint.yml")]
        return [place for place in places if place.is_file()]


def refuse_unheard(request: InitRequest, there: DispatchConfig | None) -> None:
    """Refuse what was said of a new config and differs from the one that is there: it is never changed. Raises Refusal (exit 2)."""
    if there is None:
        return
    said = []
    if there.notify is not None:
        said += [
            ("--notify", request.notify, there.notify.webhook or ""),
            ("--notify-issue", str(request.issue or ""), str(there.notify.issue or "")),
        ]
    if there.vault is not None:
        known, site = addresses(there)[0] if addresses(there) else ("", "")
        said += [
            ("--vault", request.vault, known),
            ("--site", request.site, site),
            ("--auth-path", request.auth_path, there.vault.auth_path),
        ]
    for option, wanted, has in said:
        if wanted and wanted.rstrip("/") != has.rstrip("/"):
            raise nothing_written(
                f"{option} {wanted}, and {CONFIG_PATH} has {has or 'none'}", "one of them", f"leave {option} out, or change the config"
            )


def own_overlays(request: InitRequest, there: DispatchConfig | None) -> dict[str, str]:
    """Return blueprint -> path where another service of the config has the usual overlay: two services never share their states."""
    if there is None or request.service in there.services:
        return {}
    taken = {path for service in there.services for path, _ in overlays_of(there, service)}
    name, _, env = request.service.partition("/")
    usual = {ref: usual_overlay(request.service, ref) for ref in (request.failover_blueprint, request.failback) if ref}
    return {ref: path.replace(f"/{env}/", f"/{env}/{name}-", 1) for ref, path in usual.items() if path in taken}


def refuse_hopeless(request: InitRequest, config: DispatchConfig, repository: Path) -> None:
    """Refuse lines that plan would refuse whatever is filled in, before any is written. Raises Refusal (exit 2)."""
    for error in refused_lines(config, request.service, datetime.now(UTC)):
        raise nothing_written(f"{error.gate}: {error.reason}: {error.found}", error.expected, error.fix)
    blueprints = request.core_root / "blueprints" if request.core_root is not None else None
    if blueprints is None or not blueprints.is_dir():
        return
    known = sorted(str(path.parent.relative_to(blueprints)) for path in blueprints.glob("dr/*/blueprint.yml"))
    for path, blueprint in overlays_of(config, request.service):
        if not (repository / path).exists() and not request.sources(blueprint):
            raise nothing_written(
                f"blueprint {blueprint}", f"one that HyOps has: {', '.join(known)}", "name it with --failover or --failback"
            )


def overlays_of(config: DispatchConfig, service: str) -> list[tuple[str, str]]:
    """(path in the repository, blueprint) of every action of the service, each path once."""
    known = config.services[service]
    actions = [action for action in (known.failover, known.failback, known.burst) if action is not None]
    return list({overlay_path(service, action): action.blueprint for action in actions}.items())


def nothing_written(found: str, expected: str, fix: str) -> Refusal:
    """Return the refusal of a service for which nothing can be written."""
    return Refusal("init.file", "nothing can be written for this service", exit_code=Exit.USAGE, found=found, expected=expected, fix=fix)
