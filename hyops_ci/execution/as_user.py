"""Talk to a program that runs as another user, by one sudo rule: a line of JSON each way. Nothing secret is an argument.

`sudo` starts it with an environment and descriptors of its own. It cannot be signalled from here, nor read; it ends when this process
does. Questions are numbered, and so are answers.
"""

from __future__ import annotations

import json
import select
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, cast

from hyops_ci.parsing.documents import read_json

SUDO: Final = "/usr/bin/sudo"
VISUDO: Final = "/usr/sbin/visudo"
MAX_LINE: Final = 96 << 20
"""Bytes of one answer."""
START: Final = 60.0
"""Seconds until the first answer."""
_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


class NoAnswer(Exception):
    """The program cannot be started, or has ended; the text is the last line it or sudo wrote."""


def by_sudo(user: str, program: str) -> tuple[str, ...]:
    """Return the command that starts a program of another user's. It asks for no password."""
    return (SUDO, "-n", "-u", user, "--", program)


class Conversation:
    """One program, started now. Used from several threads, a question at a time."""

    def __init__(self, command: Sequence[str], first_line: str) -> None:
        """Start it. Raises NoAnswer."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the program
        self._turn = threading.RLock()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            raise NoAnswer(f"{command[0]}: {error.strerror}") from None
        self._questions, self._answers = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        self._asked = 0
        try:
            self._send(first_line.encode() + b"\n")
        except NoAnswer:
            self.close()
            raise

    def ask(self, question: object) -> Any:
        """Return the JSON value of the answer. Raises NoAnswer."""
        with self._turn:
            self._asked += 1
            self._send(json.dumps([self._asked, question]).encode() + b"\n")
            if self._asked == 1 and not select.select([self._answers], [], [], START)[0]:
                raise NoAnswer(f"nothing within {START:g} s")
            while (line := self._answers.readline(MAX_LINE)).endswith(b"\n"):
                with suppress(ValueError, TypeError):  # what is left of an answer that a signal kept somebody from reading
                    number, answer = read_json(line, most=MAX_LINE)
                    if number == self._asked:
                        return answer
            raise NoAnswer(self._last_words())

    def close(self) -> None:
        """Let the program end, and wait for that."""
        for pipe in (self._questions, self._answers):
            with suppress(OSError):  # it has ended before it had read everything
                pipe.close()
        self._process.wait()
        self._errors.close()

    def _send(self, line: bytes) -> None:
        try:
            self._questions.write(line)
            self._questions.flush()
        except OSError:
            raise NoAnswer(self._last_words()) from None

    def _last_words(self) -> str:
        self._process.wait(START)
        self._errors.seek(0)
        lines = self._errors.read(1 << 16).decode("utf-8", "replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), f"it ended with exit code {self._process.returncode}")


def allowed_commands() -> tuple[str, ...] | None:
    """Return the sudo rules of this user for this host, one a line as sudo prints them; None where sudo says none."""
    try:
        done = subprocess.run([SUDO, "-n", "-l"], capture_output=True, text=True, env=_ENVIRONMENT, cwd="/", check=False, timeout=START)
    except (OSError, subprocess.TimeoutExpired):
        return None
    _, found, rules = done.stdout.partition("may run the following commands on ")
    return tuple(line.strip() for line in rules.partition(":\n")[2].splitlines() if line.strip()) if found else None


def wrong_rule(text: str) -> str:
    """Return what visudo says against a file of rules; empty where it takes it. Raises OSError where there is no visudo."""
    command: Sequence[str] = [VISUDO, "-c", "-f", "-"] if Path(VISUDO).exists() else [VISUDO]
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=_ENVIRONMENT, cwd="/", check=False)
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip()
