"""The lines of a config that has one service more: what people asked for, and nothing that is a default."""

from __future__ import annotations

from hyops_ci.contracts.lanes import LANES, ON_PREM
from hyops_ci.operations.init.commands import Adopter
from hyops_ci.operations.init.request import InitRequest


def config_text(request: InitRequest, adopter: Adopter) -> str:
    """Return the smallest config that has this service; with keys, the signed channel too; a lane closed by default is opened."""
    lines = ["services:", *service_lines(request)]
    auth_path = f", auth_path: {request.auth_path}" if request.auth_path else ""
    lines.append(f'vault: {{address: "{request.vault or "https://vault.invalid"}", site: {request.site or request.lane}{auth_path}}}')
    if request.notify or request.issue:
        lines.append(notify_line(request))
    if not LANES[request.lane].enabled:
        lines.append(f"lanes: {{{request.lane}: {{enabled: true}}}}")
    if adopter.keys:
        people = [f'    {login}: "{key}"' for login, key in adopter.keys.items()]
        lines += ["approvals:", "  channels: [environment, signed]", "  approvers:", *people]
    return "\n".join(lines) + "\n"


def notify_line(request: InitRequest) -> str:
    """Return the line that names who is told of runs: a webhook, comments on an issue, or both."""
    said = ([f'webhook: "{request.notify}"'] if request.notify else []) + ([f"issue: {request.issue}"] if request.issue else [])
    return f"notify: {{{', '.join(said)}}}"


def service_lines(request: InitRequest) -> list[str]:
    """Return the lines of the service, as they stand below `services:`. Without a `failback` there is none."""

    def action(name: str, lane: str, blueprint: str) -> str:
        own = f", overlay: {request.overlays[blueprint]}" if blueprint in request.overlays else ""
        return f"    {name}: {{lane: {lane}, blueprint: {blueprint}{own}}}"

    lines = [f"  {request.service}:", action("failover", request.lane, request.failover_blueprint)]
    return [*lines, *([action("failback", ON_PREM.name, request.failback)] if request.failback else [])]
