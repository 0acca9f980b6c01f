"""Write the config, the caller workflow and the overlays of a service, and collect the blocks that are pasted elsewhere.

Nothing that is there already is changed, and nothing outside the checkout is touched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hyops_ci.config.file import CONFIG_PATH, read_config
from hyops_ci.config.settings import addresses, env_of, lane_settings
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.lanes import LANES
from hyops_ci.dataclass import dataclass, field, replace
from hyops_ci.errors import Refusal
from hyops_ci.github.actions.workflow_file import dispatch_inputs, read_workflow
from hyops_ci.github.codeowners import PLACES, unowned
from hyops_ci.operations.callers import WORKFLOWS, calls_in, recovering, workflows_of
from hyops_ci.operations.init import commands
from hyops_ci.operations.init.blocks import blocks_of
from hyops_ci.operations.init.commands import Adopter
from hyops_ci.operations.init.config_text import config_text, notify_line, service_lines
from hyops_ci.operations.init.judging import offenders, unproven
from hyops_ci.operations.init.request import InitRequest, nothing_written, overlays_of, own_overlays, refuse_hopeless, refuse_unheard
from hyops_ci.text import shell

WORKFLOW_PATH: Final = f"{WORKFLOWS}/dr.yml"
TEMPLATE: Final = "dr-manual.yml"
DECISIONS: Final = "dr-decision.yml"
DECISIONS_PATH: Final = f"{WORKFLOWS}/{DECISIONS}"
_SERVICE_INPUT: Final = re.compile(r"service: \{description: .*type: string.*\}")
UNPINNED: Final = f"{'0' * 40} # write the commit of the release here"


@dataclass(frozen=True)
class InitResult:
    """What was written and kept, what is to be pasted, and what a person has to fill in."""

    written: tuple[str, ...]
    kept: tuple[str, ...]
    missing: tuple[str, ...]
    """Files that could not be written: overlays that were not found."""
    fill: tuple[str, ...]
    """What a person fills in: inputs of overlays, the commit in the workflow."""
    unproven: tuple[str, ...]
    """Overlays after whose recovery no probe would ask the service."""
    additions: tuple[tuple[str, str], ...]
    """(file, lines) for files that exist and lack something."""
    blocks: tuple[tuple[str, str], ...]
    """(title, text to paste)."""
    placeholders: tuple[str, ...] = field(default=())


def adopt(request: InitRequest, repository: Path, adopter: Adopter) -> InitResult:
    """Write what is missing below `repository`.

    Raises Refusal (exit 2) for a service that no config can name, an unreadable config, and what plan would refuse of these lines.
    """
    there = existing_config(repository)
    if not (request.vault and request.site) and (there is None or there.vault is None):
        raise nothing_written("nothing says where the authority is", "its address, and the site it stands in", "name --vault and --site")
    refuse_unheard(request, there)
    request = replace(request, overlays=own_overlays(request, there))
    wanted = read_config(config_text(request, adopter).encode(), f"the config for {request.service}")[0]
    config = _joined(there, wanted) if there is not None else wanted
    refuse_hopeless(request, config, repository)
    adopter = _known(adopter, repository, config)
    checkout = Checkout(repository.resolve())
    checkout.put(CONFIG_PATH, config_text(request, adopter).encode())
    caller = next(iter(callers(repository)), WORKFLOW_PATH)
    checkout.put(caller, caller_workflow(adopter, list(config.services)).encode())
    if request.decisions:
        checkout.put(DECISIONS_PATH, pinned(DECISIONS, adopter).encode())
    adopter = replace(adopter, callers=tuple(every_caller(repository)) or adopter.callers)
    owners = next((place for place in PLACES if (repository / place).exists()), PLACES[0])
    checkout.put(owners, commands.code_owners(adopter).encode())
    missing = copy_overlays(request, config, checkout)
    blocks = blocks_of(config, request.service, adopter, repository)
    additions = [*_to_config(request, there, wanted), *_to_form(checkout.root / caller, caller, request.service)]
    additions += _to_owners(checkout.root / owners, owners, adopter)
    pasted = "\n".join([*(text for _, text in blocks), *(text for _, text in additions), *checkout.texts()])
    return InitResult(
        tuple(checkout.written),
        tuple(checkout.kept),
        tuple(missing),
        (
            *_to_fill(config, checkout.root, caller),
            *offenders(config, request.service, checkout.root, request.core_root, datetime.now(UTC)),
        ),
        unproven(config, request.service, checkout.root),
        tuple(additions),
        blocks,
        commands.placeholders(pasted),
    )


def existing_config(repository: Path) -> DispatchConfig | None:
    """Return the config that is there already. Raises Refusal (exit 2) for one that cannot be read: nothing can be added to it."""
    path = repository / CONFIG_PATH
    return read_config(path.read_bytes(), CONFIG_PATH)[0] if path.exists() else None


def callers(repository: Path) -> list[str]:
    """Workflows of the checkout that call dispatch.yml already."""
    return [path for path, text in workflows_of(repository).items() if recovering({path: text})]


def every_caller(repository: Path) -> list[str]:
    """Workflows of the checkout that call any workflow of dr-dispatch: all of them may send jobs to a runner."""
    return [path for path, text in workflows_of(repository).items() if calls_in(text)]


def caller_workflow(adopter: Adopter, services: Sequence[str]) -> str:
    """Return the caller's workflow with the person's form, in which these services can be chosen."""
    text = pinned(TEMPLATE, adopter)
    choice = f"service: {{description: Which service, type: choice, options: [{', '.join(services)}], default: {services[0]}}}"
    chosen, count = _SERVICE_INPUT.subn(choice, text)
    if count != 1:
        raise ValueError(f"{TEMPLATE} has {count} inputs named service")
    return chosen


def pinned(name: str, adopter: Adopter) -> str:
    """Return a caller template, pinned to the release where that is known."""
    text = template(name).read_text(encoding="utf-8").replace(Adopter.workflow, adopter.workflow)
    return text.replace(UNPINNED, adopter.release) if adopter.release else text


def template(name: str) -> Path:
    """Return a caller template: beside the package in a checkout, inside it in a wheel."""
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
            raise nothing_written(f"{name} leads to {path.parent.resolve()}", "a folder of the checkout", "take the symbolic link away")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
        self.written.append(name)

    def texts(self) -> list[str]:
        """Return what was written, read back."""
        return [(self.root / name).read_text(encoding="utf-8", errors="replace") for name in self.written]


def copy_overlays(request: InitRequest, config: DispatchConfig, checkout: Checkout) -> list[str]:
    """Copy the overlays of the service from the first folder that has them. Return those that were not found."""
    missing = []
    for path, blueprint in overlays_of(config, request.service):
        source = next(iter(request.sources(blueprint)), None)
        if source is not None or (checkout.root / path).exists():
            checkout.put(path, source.read_bytes() if source else b"")
        else:
            made = shell("hyops blueprint init --env {} --ref {}", env_of(request.service), blueprint)
            missing.append(f"{path} ({made}, copy it, and init again for its secrets)")
    return missing


def _to_fill(config: DispatchConfig, root: Path, caller: str) -> list[str]:
    """Return what a person has to fill in beside the overlays: in the caller, and a site that no lane stands in."""
    text = (root / caller).read_bytes()
    found = []
    if UNPINNED[:40].encode() in text:
        found.append(f"{caller}: the commit of the release, behind dispatch.yml@")
    elif not recovering({caller: text}):
        found.append(f"{caller}: it is another workflow, which does not call dr-dispatch: give it another name, then init again")
    known = {lane_settings(config, name).failure_domain for name in LANES}
    for origin, site in addresses(config):
        if site and site not in known:
            found.append(f"{CONFIG_PATH}: {origin} stands at {site}, where no lane is: right, if that is a site of its own")
    return found


def _to_config(request: InitRequest, there: DispatchConfig | None, wanted: DispatchConfig) -> list[tuple[str, str]]:
    """Return the lines that the config lacks for this service."""
    if there is None:
        return []
    asked = [(CONFIG_PATH, notify_line(request))] if wanted.notify and there.notify is None else []
    if request.service in there.services:
        return asked
    found = [*asked, (f"{CONFIG_PATH}, below services:", "\n".join(service_lines(request)))]
    if there.vault is None:
        found.append((CONFIG_PATH, f'vault: {{address: "{request.vault}", site: {request.site}}}'))
    for lane, said in wanted.lanes.items():
        if lane not in there.lanes:
            found.append((f"{CONFIG_PATH}, below lanes:", f"  {lane}: {{enabled: {str(bool(said.enabled)).lower()}}}"))
    return found


def _to_form(path: Path, name: str, service: str) -> list[tuple[str, str]]:
    """Return the service that the form of an existing caller does not offer."""
    try:
        inputs = dispatch_inputs(read_workflow(path.read_bytes(), name)) or {}
    except Refusal:
        return []  # what stands there is no workflow: under "fill in"
    offered = inputs["service"].options if "service" in inputs else ()
    return [(f"{name}, to the options of service", service)] if offered and service not in offered else []


def _to_owners(path: Path, name: str, adopter: Adopter) -> list[tuple[str, str]]:
    """Return the line that the code owners lack: without it a change of the config needs no review."""
    lacks = unowned(path.read_text(encoding="utf-8", errors="replace"), [CONFIG_PATH, WORKFLOW_PATH])
    return [(f"{name}, at its end", commands.code_owners(adopter).rstrip())] if lacks else []


def _joined(there: DispatchConfig, wanted: DispatchConfig) -> DispatchConfig:
    """Return the config as it will be when the lines were added."""
    return there.model_copy(
        update={
            "services": {**wanted.services, **there.services},
            "lanes": {**wanted.lanes, **there.lanes},
            "vault": there.vault or wanted.vault,
            "notify": there.notify or wanted.notify,
        }
    )


def _known(adopter: Adopter, repository: Path, config: DispatchConfig) -> Adopter:
    """Return what the checkout says too: who signs, and which commit of which repository the caller pins."""
    keys = {**adopter.keys, **config.approvals.approvers}
    named = {login for login, _ in adopter.reviewers}
    people = (*adopter.reviewers, *((login, 0) for login in keys if login not in named))
    pinned = next((call.pin for call in recovering(workflows_of(repository)) if set(call.commit) != {"0"}), None)
    if pinned is not None and not adopter.release:
        adopter = replace(adopter, workflow=pinned[0], release=pinned[1])
    return replace(adopter, keys=keys, reviewers=people)
