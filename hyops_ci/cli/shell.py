"""The run context of a shell: a person at a terminal, with or without GitHub."""

from __future__ import annotations

import os

from hyops_ci.cli.connect import home_folder, ledger_token, remote_at, repository_named, server_url, state_dir
from hyops_ci.cli.notifier import notifier_for
from hyops_ci.cli.render import progress, say
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.portable import user_name
from hyops_ci.stages.context import RunContext, SystemClock
from hyops_ci.stages.job import local_job


def shell_context(config: DispatchConfig | None, *, ledger: str = "", trust: HostTrust | None = None, min_quorum: int = 1) -> RunContext:
    """Return the context of this user on this host. The ledger is the one named, the host's, the config's, or the repository's own."""
    clock, configured = SystemClock(), (config.ledger.repository if config else None) or repository_named()
    named = ledger or (trust.ledger if trust else None) or ""
    remote = named or (remote_at(configured, server_url()) if configured else "")
    job = local_job(clock.now(), user_name(), os.environ)
    return RunContext(
        job=job,
        clock=clock,
        home=home_folder(),
        state_dir=state_dir(),
        ledger_remote=remote,
        ledger_token=ledger_token(remote, person=bool(named)),
        standby_remote=(config.ledger.standby if config else None) or "",
        standby_token=os.environ.get("DR_STANDBY_TOKEN", ""),
        environ=os.environ,
        say=progress,
        hyops_line=say,
        trust=trust,
        min_quorum=min_quorum,
        notifier=notifier_for(config, job),
    )
