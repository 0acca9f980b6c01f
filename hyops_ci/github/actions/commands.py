"""Workflow commands: outputs, summary, annotations and groups, safe against text that would be a command.

Besides `cli/`, the only module that prints (docs/design/architecture.md 6). The rules are those of GitHub's docs, "Workflow
commands" and "Job summaries", and of the runner itself (actions/runner `ActionCommand.cs`, `FileCommandManager.cs`).
"""

from __future__ import annotations

import base64
import html
import re
import secrets
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, TextIO

from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.actions.summary import MAX_SUMMARY_BYTES, cut_to
from hyops_ci.redaction import MIN_FORM, spellings
from hyops_ci.streams import lost_reader_ignored

__all__ = ["MAX_SUMMARY_BYTES", "Annotation", "WorkflowCommands", "without_commands"]

Level = Literal["error", "warning", "notice"]
MAX_TITLE: Final = 200
MAX_MESSAGE: Final = 4000
MAX_NOTES: Final = 10
"""Annotations of one level that GitHub keeps of a step; it drops the rest silently."""
MAX_OUTPUT: Final = 1 << 20
"""Bytes of UTF-16 that the outputs of a job may have together; GitHub counts so."""
SHORTEST_MASK: Final = MIN_FORM
"""A mask of a shorter value would blank harmless text everywhere and drop outputs."""
MASKED_BY_GITHUB: Final = ("DR_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
"""Environment variables whose values the runner masks without being told."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
_ODD: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def without_commands(text: str) -> str:
    """Return `text` for a log, without anything that the runner takes for a command.

    The runner reads `::command::` at the beginning of a line, white space aside, and the older `##[command]` anywhere in one.
    """
    return re.sub(r"(^|[\r\n])([^\S\r\n]*):(?=:)", r"\1\2: ", text).replace("##[", "## [")


@dataclass(frozen=True)
class Annotation:
    """One annotation. Of too many, those with the highest weight are shown."""

    level: Level
    title: str
    message: str
    weight: int = 0


class WorkflowCommands:
    """The workflow commands of one step. `environ` names the command files; without them nothing is written.

    It counts the annotations of the step, so a step uses one instance. `stream` defaults to stderr.
    """

    def __init__(self, environ: Mapping[str, str], stream: TextIO | None = None) -> None:
        self._environ, self._stream = environ, stream
        self._masked: set[str] = {environ[name] for name in MASKED_BY_GITHUB if len(environ.get(name, "")) >= SHORTEST_MASK}
        self._notes: Counter[Level] = Counter()

    @property
    def active(self) -> bool:
        """Whether a runner reads what is printed here."""
        return self._environ.get("GITHUB_ACTIONS") == "true"

    # ------------------------------------------------------------------------------------------------- annotations

    def annotate(self, level: Level, title: str, message: str) -> None:
        """Print one annotation; newlines and `%` are escaped, so that no text becomes a command."""
        self.notes([Annotation(level, title, message)])

    def notes(self, notes: Iterable[Annotation]) -> None:
        """Print annotations by weight. Those of a level that GitHub would drop become one that counts them."""
        ordered = sorted(notes, key=lambda note: -note.weight)
        for level in ("error", "warning", "notice"):
            of_level: list[Annotation] = [note for note in ordered if note.level == level]
            room = MAX_NOTES - self._notes[level]
            if len(of_level) > room > 0:
                more = len(of_level) - room + 1
                of_level = [*of_level[: room - 1], Annotation(level, f"and {more} more in the summary", of_level[room - 1].title)]
            for note in of_level[:room]:
                self._notes[level] += 1
                self._command(f"{level} title={_property(note.title[:MAX_TITLE])}", note.message[:MAX_MESSAGE])

    # ----------------------------------------------------------------------------------------------------- outputs

    def outputs(self, values: Mapping[str, str], *, required: Iterable[str] = ()) -> None:
        """Set step outputs, all or none. Each is written between random delimiters, so that no value can end itself.

        Raises Refusal for a name or value that GitHub cannot carry (exit 2), for one of `required` that is missing or empty (exit 2),
        and for a value that contains a masked one (exit 8): the runner would pass on an empty one, and only log it.
        """
        path = self._environ.get("GITHUB_OUTPUT")
        if not path:
            return
        empty = [name for name in required if not values.get(name)]
        if empty:
            raise _unfit("an output that the next jobs need is empty", ", ".join(empty), "a value", "this is a defect: report it")
        hidden = frozenset(form for masked in self._masked for form in _disguises(masked))
        for name, value in values.items():
            self._must_arrive(name, value, hidden)
        if 2 * sum(map(len, values.values())) > MAX_OUTPUT:
            raise _too_large(" and ".join(sorted(values, key=lambda name: -len(values[name]))[:2]))
        with Path(path).open("a", encoding="utf-8", newline="\n") as file:
            for name, value in values.items():
                end = f"end-{secrets.token_hex(16)}"
                file.write(f"{name}<<{end}\n{value}\n{end}\n")

    def _must_arrive(self, name: str, value: str, hidden: frozenset[bytes]) -> None:
        if not _NAME.fullmatch(name):
            raise _unfit("an output has a name that GitHub cannot carry", name, "letters, digits, _ and -", "name it so")
        if odd := _ODD.search(value):
            raise _unfit("an output holds a control character", f"{name}, U+{ord(odd[0]):04X}", "text", "look where the value comes from")
        if 2 * len(value) > MAX_OUTPUT:
            raise _too_large(name)
        data = value.encode()
        if any(form in data for form in hidden):
            raise Refusal(
                "workflow.output",
                "an output holds a value that is masked",
                exit_code=Exit.SECRETS,
                found=f"{name} of {len(value)} characters",
                expected="a handle; secrets never travel by outputs, and the runner would empty this one without an error",
                fix="see which secret of the repository equals a part of it, and give it another value",
            )

    # -------------------------------------------------------------------------------------------- summary and log

    def summary(self, markdown: str) -> None:
        """Append a text to the job summary. It is cut where GitHub would show nothing at all."""
        path = self._environ.get("GITHUB_STEP_SUMMARY")
        if not path:
            return
        file = Path(path)
        had = file.stat().st_size if file.exists() else 0
        with file.open("a", encoding="utf-8") as out:
            out.write(cut_to(MAX_SUMMARY_BYTES - had, markdown))

    @contextmanager
    def group(self, title: str) -> Iterator[None]:
        """Fold what is printed inside. Groups do not nest."""
        self._command("group", title[:MAX_TITLE])
        try:
            yield
        finally:
            self._command("endgroup", "")

    def _command(self, name: str, data: str) -> None:
        if self.active:
            stream = self._stream or sys.stderr
            with lost_reader_ignored(stream):
                print(f"::{name}::{_data(data)}", file=stream, flush=True)


def _disguises(masked: str) -> frozenset[bytes]:
    """Return the forms in which the runner masks a value (actions/runner `ValueEncoders.cs`): more than those that we print."""
    raw = masked.encode("utf-8", "replace")
    shifted = {base64.b64encode(raw[shift:]).rstrip(b"=") for shift in range(3)}
    xml = html.escape(masked).replace("&#x27;", "&apos;")
    quoted = {xml, masked.replace('"', '\\"'), masked.replace("'", "''"), masked.strip('"')}
    return spellings(masked) | shifted | {form.encode("utf-8", "replace") for form in {masked, *quoted} if form}


def _unfit(reason: str, found: str, expected: str, fix: str) -> Refusal:
    return Refusal("workflow.output", reason, exit_code=Exit.USAGE, found=found, expected=expected, fix=fix)


def _too_large(name: str) -> Refusal:
    return _unfit("outputs larger than GitHub carries", name, f"at most {MAX_OUTPUT} bytes together", "hand files on as an artifact")
