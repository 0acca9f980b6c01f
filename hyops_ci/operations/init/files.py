"""Write the config, the caller workflow and the overlays of a service, and collect the blocks that are pasted elsewhere.

Nothing that is there already is changed, and nothing outside the checkout is touched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from hyops_ci.blueprints.reading import read_blueprint
from hyops_ci.config.file import CONFIG_PATH, read_config
from hyops_ci.config.settings import env_of, overlay_path
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.errors import DispatchError, Exit, Refusal
from hyops_ci.github.codeowners import PLACES, unowned
from hyops_ci.operations.init import commands
from hyops_ci.operations.init.blocks import blocks_of
from hyops_ci.operations.init.commands import Adopter
from hyops_ci.parsing.strict_json import leaves
from hyops_ci.parsing.strict_yaml import read_yaml
from hyops_ci.text import shell

WORKFLOWS: Final = ".github/workflows"
WORKFLOW_PATH: Final = f"{WORKFLOWS}/dr.yml"
TEMPLATE: Final = "dr-manual.yml"
UNPINNED: Final = f"{'0' * 40} # write the commit of the release here"
_CALL: Final = re.compile(r"^\s*uses:\s*['\"]?([\w-]+/[\w.-]+/\.github/workflows/dispatch\.ya?ml)@([0-9a-f]{40})\b", re.MULTILINE)
FILL: Final = "CHANGE_ME"


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


@dataclass(frozen=True)
class InitResult:
    """What was written and kept, what is to be pasted, and what a person has to fill in."""

    written: tuple[str, ...]
    kept: tuple[str, ...]
    missing: tuple[str, ...]
    """Files that could not be written: overlays that were not found."""
    fill: tuple[str, ...]
    """What a person fills in: inputs of overlays, the commit in the workflow."""
    additions: tuple[tuple[str, str], ...]
    """(file, lines) for files that exist and lack something."""
    blocks: tuple[tuple[str, str], ...]
    """(title, text to paste)."""
    placeholders: tuple[str, ...] = field(default=())


def adopt(request: InitRequest, repository: Path, adopter: Adopter) -> InitResult:
    """Write what is missing below `repository`. Raises Refusal (exit 2) for a service that no config can name, or an unreadable config."""
    there = existing_config(repository)
    if not (request.vault and request.site) and (there is None or there.vault is None):
        raise _refuse("nothing says where the authority is", "its address, and the site it stands in", "name --vault and --site")
    wanted = read_config(config_for(request, adopter).encode(), f"the config for {request.service}")[0]
    config = _joined(there, wanted) if there is not None else wanted
    adopter = _known(adopter, repository, config)
    checkout = Checkout(repository.resolve())
    checkout.put(CONFIG_PATH, config_for(request, adopter).encode())
    caller = next(iter(callers(repository)), WORKFLOW_PATH)
    checkout.put(caller, caller_workflow(adopter).encode())
    owners = next((place for place in PLACES if (repository / place).exists()), PLACES[0])
    checkout.put(owners, commands.code_owners(adopter).encode())
    missing = copy_overlays(request, config, checkout)
    blocks = blocks_of(config, request.service, adopter, repository)
    additions = [*_to_config(request, there, wanted), *_to_owners(checkout.root / owners, owners, adopter)]
    pasted = "\n".join([*(text for _, text in blocks), *(text for _, text in additions), *checkout.texts()])
    return InitResult(
        tuple(checkout.written),
        tuple(checkout.kept),
        tuple(missing),
        tuple(_to_fill(request, config, checkout.root, caller)),
        tuple(additions),
        blocks,
        commands.placeholders(pasted),
    )


def existing_config(repository: Path) -> DispatchConfig | None:
    """The config that is there already. Raises Refusal (exit 2) for one that cannot be read: nothing can be added to it."""
    path = repository / CONFIG_PATH
    return read_config(path.read_bytes(), CONFIG_PATH)[0] if path.exists() else None


def config_for(request: InitRequest, adopter: Adopter) -> str:
    """The smallest config that has this service."""
    return commands.config_text(
        request.service,
        lane=request.lane,
        failover=_failover(request),
        failback=request.failback,
        vault=request.vault or "https://vault.invalid",
        site=request.site or request.lane,
        adopter=adopter,
    )


def callers(repository: Path) -> list[str]:
    """Workflows of the checkout that call dr-dispatch already, and whatever stands where ours would."""
    folder = repository / WORKFLOWS
    found = sorted(path for path in folder.glob("*.y*ml") if path.is_file()) if folder.is_dir() else []
    return [f"{WORKFLOWS}/{path.name}" for path in found if _CALL.search(path.read_text(encoding="utf-8", errors="replace"))]


def caller_workflow(adopter: Adopter) -> str:
    """The caller's workflow, pinned to the release where that is known."""
    text = template(TEMPLATE).read_text(encoding="utf-8").replace(Adopter.workflow, adopter.workflow)
    return text.replace(UNPINNED, adopter.release) if adopter.release else text


def template(name: str) -> Path:
    """A caller template: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parents[2]
    inside = package / "templates" / name
    return inside if inside.exists() else package.parent / "workflows-templates" / name


class Checkout:
    """The caller's checkout: files are added to it, and none is ever changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.written: list[str] = []
        self.kept: list[str] = []

    def put(self, name: str, content: bytes) -> None:
        """Write a file unless something is there. Raises Refusal (exit 2) where its folder leads out of the checkout."""
        path = self.root / name
        if path.exists() or path.is_symlink():
            self.kept.append(name)
            return
        if not path.parent.resolve().is_relative_to(self.root):
            raise _refuse(f"{name} leads to {path.parent.resolve()}", "a folder of the checkout", "take the symbolic link away")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
        self.written.append(name)

    def texts(self) -> list[str]:
        """What was written, read back."""
        return [(self.root / name).read_text(encoding="utf-8", errors="replace") for name in self.written]


def copy_overlays(request: InitRequest, config: DispatchConfig, checkout: Checkout) -> list[str]:
    """Copy the overlays of the service from the first folder that has them. Return those that were not found."""
    missing = []
    for path, blueprint in overlays_of(config, request.service):
        name = blueprint.partition("@")[0].rpartition("/")[2]
        places = [place for folder in request.blueprints for place in (folder / f"{name}.yml", folder / blueprint / "blueprint.yml")]
        source = next((place for place in places if place.is_file()), None)
        if source is not None or (checkout.root / path).exists():
            checkout.put(path, source.read_bytes() if source else b"")
        else:
            made = shell("hyops blueprint init --env {} --ref {}", env_of(request.service), blueprint)
            missing.append(f"{path} ({made}, then copy it)")
    return missing


def overlays_of(config: DispatchConfig, service: str) -> list[tuple[str, str]]:
    """(path in the repository, blueprint) of every action of the service, each path once."""
    known = config.services[service]
    actions = [action for action in (known.failover, known.failback, known.burst) if action is not None]
    return list({overlay_path(service, action): action.blueprint for action in actions}.items())


def _to_fill(request: InitRequest, config: DispatchConfig, root: Path, caller: str) -> list[str]:
    """Return what a person has to fill in: inputs of overlays, and the commit that the caller pins."""
    found = []
    if UNPINNED[:40] in (root / caller).read_text(encoding="utf-8", errors="replace"):
        found.append(f"{caller}: the commit of the release, behind dispatch.yml@")
    for path, _ in overlays_of(config, request.service):
        if not (root / path).is_file():
            continue
        content = (root / path).read_bytes()
        try:
            blueprint = read_blueprint(read_yaml(content, path), digest_bytes(content))
        except DispatchError as error:
            found.append(f"{path}: {error.reason}; {error.found}")
            continue
        open_inputs = [f"{step.id}{at}" for step in blueprint.steps for at, value in leaves(step.inputs) if FILL in str(value)]
        if open_inputs:
            found.append(f"{path}: {len(open_inputs)} inputs hold {FILL}: {', '.join(open_inputs)}")
    return found


def _to_config(request: InitRequest, there: DispatchConfig | None, wanted: DispatchConfig) -> list[tuple[str, str]]:
    """The lines that the config lacks for this service."""
    if there is None or request.service in there.services:
        return []
    lines = commands.service_lines(request.service, lane=request.lane, failover=_failover(request), failback=request.failback)
    found = [(f"{CONFIG_PATH}, below services:", "\n".join(lines))]
    if there.vault is None:
        found.append((CONFIG_PATH, f'vault: {{address: "{request.vault}", site: {request.site}}}'))
    for lane, said in wanted.lanes.items():
        if lane not in there.lanes:
            found.append((f"{CONFIG_PATH}, below lanes:", f"  {lane}: {{enabled: {str(bool(said.enabled)).lower()}}}"))
    return found


def _to_owners(path: Path, name: str, adopter: Adopter) -> list[tuple[str, str]]:
    """Return the line that the code owners lack: without it a change of the config needs no review."""
    lacks = unowned(path.read_text(encoding="utf-8", errors="replace"), [CONFIG_PATH, WORKFLOW_PATH])
    return [(f"{name}, at its end", commands.code_owners(adopter).rstrip())] if lacks else []


def _joined(there: DispatchConfig, wanted: DispatchConfig) -> DispatchConfig:
    """The config as it will be when the lines were added."""
    return there.model_copy(
        update={
            "services": {**wanted.services, **there.services},
            "lanes": {**wanted.lanes, **there.lanes},
            "vault": there.vault or wanted.vault,
        }
    )


def _known(adopter: Adopter, repository: Path, config: DispatchConfig) -> Adopter:
    """What the checkout says too: who signs, and which commit of which repository the caller pins."""
    keys = {**adopter.keys, **config.approvals.approvers}
    named = {login for login, _ in adopter.reviewers}
    people = (*adopter.reviewers, *((login, 0) for login in keys if login not in named))
    adopter = replace(adopter, callers=tuple(callers(repository)) or adopter.callers)
    for caller in adopter.callers if callers(repository) else ():
        found = _CALL.search((repository / caller).read_text(encoding="utf-8", errors="replace"))
        if found and not adopter.release and set(found[2]) != {"0"}:
            adopter = replace(adopter, workflow=found[1], release=found[2])
    return replace(adopter, keys=keys, reviewers=people)


def _failover(request: InitRequest) -> str:
    return request.failover or f"dr/postgresql-ha-failover-{request.lane}@v1"


def _refuse(found: str, expected: str, fix: str) -> Refusal:
    return Refusal("init.file", "nothing can be written for this service", exit_code=Exit.USAGE, found=found, expected=expected, fix=fix)
