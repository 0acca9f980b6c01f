"""Tell people of a run while it goes on: beside it, for a bounded time, and whatever comes of it.

A message is sent by a thread of its own, so that neither a slow receiver nor a silent name server holds a recovery.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from hyops_ci.config.settings import env_of, env_settings
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.config import DispatchConfig, EnvClass
from hyops_ci.contracts.notify import Moment, Notification, Notify
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import DispatchError, shown
from hyops_ci.github.api.client import Client
from hyops_ci.stages.job import Job
from hyops_ci.text import in_code

SECRET: Final = "DR_NOTIFY_SECRET"
TOKEN: Final = "DR_NOTIFY_TOKEN"
WAIT: Final = 10.0
"""Seconds that a stage waits for its messages before it goes on without their result."""
HASTY: Final = 2.0
"""The same where a cancelled step has to seal its evidence."""


@dataclass
class Notifier:
    """Sends messages of one stage. Without settings it is silent."""

    settings: Notify | None = None
    config: DispatchConfig | None = None
    job: Job | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    github: Client | None = None
    """A client whose token may write comments on issues."""
    clean: Callable[[str], str] = field(default=str, repr=False)
    """What each line passes through, such as a redactor's `text`."""
    _sending: list[tuple[Moment, str, threading.Thread, list[str]]] = field(default_factory=list, repr=False)

    def tell(self, moment: Moment, text: str, at: datetime, *, service: str = "", outcome: str = "", exit_code: int | None = None) -> None:
        """Begin to send one line, where the config asks for it at this moment."""
        settings, job = self.settings, self.job
        if settings is None or job is None or moment not in settings.at:
            return
        line = shown(self.clean(text), 500)
        message = Notification(
            moment=moment,
            text=line,
            at=stamp(at),
            run_id=job.run_id,
            run_url=job.url,
            service=service,
            outcome=outcome,
            exit_code=exit_code,
        )
        if settings.webhook:
            self._begin(moment, "webhook", lambda: self._webhook(settings.webhook or "", message))
        if settings.issue:
            self._begin(moment, f"issue {settings.issue}", lambda: self._comment(settings.issue or 0, message))

    def close(self, say: Callable[[str], None], seconds: float = WAIT) -> list[dict[str, Any]]:
        """Wait for what is being sent, say what nobody heard, and return each message with its result for the evidence."""
        told, until = [], time.monotonic() + seconds
        for moment, to, thread, problems in self._sending:
            thread.join(max(0.0, until - time.monotonic()))
            problem = "no answer yet" if thread.is_alive() else next(iter(problems), "")
            told.append({"moment": moment.value, "to": to, "problem": problem})
            of = "of the alarms" if moment is Moment.ALARM else f"that the run is {moment.value}"
            say(f"{to} not told {of}: {problem}" if problem else f"{to} told: {moment.value}")
        self._sending.clear()
        return told

    def _begin(self, moment: Moment, to: str, send: Callable[[], str]) -> None:
        problems: list[str] = []

        def run() -> None:
            try:
                problem = send()
            except DispatchError as error:
                problem = f"{error.gate}: {error.found}"
            except Exception as error:  # noqa: BLE001 - telling people is never a reason to stop
                problem = type(error).__name__
            if problem:
                problems.append(shown(problem, 300))

        thread = threading.Thread(target=run, name=f"notify {moment.value}", daemon=True)
        thread.start()
        self._sending.append((moment, to, thread, problems))

    def _webhook(self, url: str, message: Notification) -> str:
        from hyops_ci.notify.webhook import deliver, unfit

        secret = self.environ.get(SECRET, "")
        lab = self._is_lab(message.service)
        return unfit(url, secret, lab=lab) or deliver(url, secret, message, self.environ)

    def _is_lab(self, service: str) -> bool:
        if self.config is None:
            return False
        about = (service,) if service else tuple(self.config.services)
        return all(env_settings(self.config, env_of(each)).env_class is EnvClass.LAB for each in about)

    def _comment(self, number: int, message: Notification) -> str:
        from hyops_ci.github.issue_comments import comment

        if self.github is None:
            return "no token that may write comments (notify_token)"
        comment(self.github, number, "\n".join((in_code(message.text), *filter(None, ("", message.run_url)))))
        return ""
