"""Who is told of a run, from the config and this job's environment."""

from __future__ import annotations

import os
from contextlib import suppress

from hyops_ci.cli.connect import client
from hyops_ci.cli.render import progress
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.errors import DispatchError
from hyops_ci.stages.job import Job
from hyops_ci.stages.notifier import TOKEN, Notifier


def notifier_for(config: DispatchConfig | None, job: Job) -> Notifier:
    """Return the notifier of a job; a silent one for a config of another branch, which nobody reviewed."""
    if config is None or config.notify is None or (job.on_github and not job.on_default_branch):
        return Notifier()
    github, token = None, os.environ.get(TOKEN, "").strip()
    if token and config.notify.issue and job.repository:
        with suppress(DispatchError):  # nobody is told then, and that is said
            github = client(job.repository, token=token, tell=progress)
    return Notifier(config.notify, config, job, os.environ, github)
