"""Attack: text of others that draws on terminals, gives the runner commands, or leaves its place in a summary or a page.

One case is one file of `tests/cases/hostile`. Each goes in wherever somebody's text goes in, and comes out where people look: the log,
annotations, the summary, the report, the approver's page. Wherever it is not refused it must be there, and only be text.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from hyops_ci.cli.render import progress
from hyops_ci.contracts.approval import ApprovalRequest
from hyops_ci.contracts.run import Result, State
from hyops_ci.errors import Fault, shown
from hyops_ci.evidence.contents import read_files
from hyops_ci.github.actions.commands import WorkflowCommands, without_commands
from hyops_ci.intake.form import Form
from hyops_ci.operations.dispatch.follow import follow
from hyops_ci.report.approval_page import approval_lines
from hyops_ci.report.html import html
from hyops_ci.report.text import markdown, summary_lines
from hyops_ci.stages.conclude.stage import Conclusion
from hyops_ci.stages.context import ShiftedClock
from hyops_ci.stages.plan.stage import Ask, plan
from hyops_ci.stages.watch.queue import ExpectedJob
from hyops_ci.stages.watch.stage import WatchRequest, watch
from hyops_ci.text import listed, visible
from tests.security.incident import SERVICE, WORKFLOW, Incident
from tests.support.github.reviews import Review

CASES = sorted((Path(__file__).parents[1] / "cases" / "hostile").glob("*.yml"))
TEXTS: dict[str, str] = {path.stem: yaml.safe_load(path.read_text("utf-8"))["text"] for path in CASES}
HARMLESS = "INC-4242 on-prem DC lost power"
COMMAND = re.compile(r"^\s*::|##\[")
OF_INLINE = {"text": "", "code_inline": " ", "strong_open": " ", "strong_close": " "}
"""Kinds of inline Markdown that a summary is made of; text counts as it is."""
LABELS = (
    "Asked",
    "Does",
    "Data",
    "Old side",
    "Guards",
    "Steps",
    "Checked",
    "Deviation",
    "Unknown",
    "Accepts",
    "Time",
    "Approvers",
    "Not now?",
)
ENDS = (
    "found",
    "expected",
    "fix",
    "cause",
    "Proven",
    "Not proven",
    "Time",
    "Differs",
    "Next",
    "Decided",
    "Approved",
    "Step",
    "Run",
    "Evidence",
)
FIXED = re.compile(rf"|{'|'.join(ENDS)}|### [A-Z][A-Za-z ,()-]*(: nothing was recovered\))?(: pg-ha/lab)?|Verify:")
"""Lines of a summary that hold nobody's text: nothing, the headline, the command."""
FIELDS = ("service", "restore", "branch", "decision")
CHECK = "Check gcp-ops-runner (changes nothing)"


class Structure(HTMLParser):
    """The tags of a page with their attributes' names: what text must not change."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.feed(re.sub(r"(?s)</?text\b[^>]*>", "", content))  # labels of the time line: there where there is room for them
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[f"<{tag} {' '.join(sorted(name for name, _ in attrs))}>"] += 1

    def handle_endtag(self, tag: str) -> None:
        self.found[f"</{tag}>"] += 1

    def handle_comment(self, data: str) -> None:
        self.found["<!-- -->"] += 1


def outside_of_code(text: str) -> str:
    """What of a summary is read as Markdown: text that is no code, and the name of whatever is more than a list."""
    kept = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "inline":
            mark = "### " if kept[-1:] == ["### "] and kept.pop() else ""
            kept.append(mark + "".join(OF_INLINE.get(each.type, each.type) or each.content for each in token.children or ()).strip())
        elif token.type == "heading_open":
            kept.append("### ")
        elif not token.type.startswith(("paragraph", "bullet_list", "list_item", "heading")):
            kept.append(token.type)
    return "\n".join(kept)


def commands(lines: list[str]) -> str:
    """What the runner reads of one annotation and a few lines of log."""
    stream = io.StringIO()
    WorkflowCommands({"GITHUB_ACTIONS": "true"}, stream).annotate("error", lines[0], "\n".join(lines))
    for line in lines:
        stream.write(without_commands(line) + "\n")
    return stream.getvalue()


def assert_only_text(lines: list[str], summary: str, report: str, like: str) -> None:
    """`like` is the report of the same end with harmless words."""
    assert all(line.isprintable() for line in lines), lines
    said = [line for line in re.split(r"[\n\r]", commands(lines)) if COMMAND.search(line)]
    assert len(said) == 1
    assert said[0].startswith("::error title=")
    assert all(FIXED.fullmatch(line) for line in outside_of_code(summary).splitlines()), summary
    assert all(character.isprintable() or character == "\n" for character in summary)
    assert Structure(report).found == Structure(like).found
    assert all(character.isprintable() or character == "\n" for character in report)


def told(ended: Conclusion) -> tuple[list[str], str, str]:
    files = read_files(ended.bundle)
    return summary_lines(ended.result, {}), markdown(files), html(files)


def decided(incident: Incident, **form: str) -> tuple[Conclusion, Incident]:
    """A person's form with this in it, as far as it gets, and how it ends."""
    incident.folder = incident.fresh()
    whole = {"action": "failover", "service": SERVICE, "reason": HARMLESS, **form}
    plan(Ask(incident.site.repository, form=Form(**whole)), incident.folder, incident.world("plan"))
    return incident.conclude({"plan": "success", "check": "cancelled"}), incident


def commented(incident: Incident, text: str) -> Conclusion:
    """The approver's no, with this for a reason."""
    incident.again()
    incident.run.history.append(Review(incident.fake.account("jonas"), "rejected", text, [incident.gate]))
    ended = incident.conclude()
    assert ended.result.outcome is State.DENIED
    return ended


def taken(incident: Incident, name: str) -> Conclusion:
    """A runner of this name takes the check."""
    incident.start(actor="maria")
    job = incident.run.add_job(f"dr / {CHECK}", ["self-hosted", "gcp-ops-runner"])
    job.take(incident.repository.add_runner(name, ["gcp-ops-runner"]))
    wanted = ExpectedJob(job=CHECK, attempt=1, labels=("self-hosted", "gcp-ops-runner"), names=("gcp-ops-runner-01",))
    found = watch(WatchRequest("check", wanted, "gcp-ops-runner"), incident.client(), incident.world("plan"))
    assert incident.plan().state is State.PLANNED
    return incident.conclude({"plan": "success", "check": "cancelled"}, watches=[found])


@pytest.fixture(scope="module")
def likes(long_night: Incident) -> dict[str, str]:
    """The reports of the harmless twins, by the way in."""
    run = long_night.run
    found = {"comment": told(commented(long_night, HARMLESS))[2], "reason": told(decided(long_night)[0])[2]}
    found["refused"] = told(decided(long_night, reason="x" * 5000)[0])[2]
    found["runner"] = told(taken(long_night, "mallory"))[2]
    long_night.run = run
    return found


@pytest.mark.parametrize("name", TEXTS)
def test_a_reason(long_night: Incident, likes: dict[str, str], name: str) -> None:
    """Control characters are refused; what can be shown goes through, to the letter, into the evidence."""
    text = TEXTS[name]
    ended, incident = decided(long_night, reason=text)
    planned = incident.folder.has("plan.json")
    assert_only_text(*told(ended), like=likes["reason" if planned else "refused"])
    if planned:
        assert incident.folder.read_json("decision.json")["rationale"] == text
        assert shown(text, 200).rstrip(".") in markdown(read_files(ended.bundle))
    else:
        assert (ended.result.outcome, ended.result.exit_code) == (State.REJECTED, 3)


@pytest.mark.parametrize("name", TEXTS)
def test_an_approvers_page(long_night: Incident, name: str) -> None:
    """Whatever got past the intake, the page is lines of text."""
    request = ApprovalRequest.model_validate_json((long_night.at_the_gate / "request.json").read_bytes())
    subject = request.subject.model_copy(update={"accepted_risks": (TEXTS[name],)})
    decision = request.decision.model_copy(update={"rationale": TEXTS[name]})
    lines = approval_lines(request.model_copy(update={"decision": decision, "subject": subject}))
    assert all(line.isprintable() for line in lines)
    assert sum(line.startswith("APPROVE?") for line in lines) == 1
    assert set(outside_of_code("\n".join(listed(lines))).splitlines()) <= {"", *LABELS}
    assert len([line for line in re.split(r"[\n\r]", commands(lines)) if COMMAND.search(line)]) == 1


@pytest.mark.parametrize("name", TEXTS)
def test_a_comment_of_a_reviewer(long_night: Incident, likes: dict[str, str], name: str) -> None:
    ended = commented(long_night, TEXTS[name])
    assert_only_text(*told(ended), like=likes["comment"])
    assert ended.verdict.ok


@pytest.mark.parametrize("name", TEXTS)
def test_a_runners_name(long_night: Incident, likes: dict[str, str], name: str) -> None:
    run = long_night.run
    ended = taken(long_night, TEXTS[name])
    long_night.run = run
    assert (ended.result.outcome, ended.result.exit_code) == (State.NO_RUNNER, 7)
    assert_only_text(*told(ended), like=likes["runner"])


@pytest.mark.parametrize(("name", "field"), [(name, FIELDS[at % 4]) for at, name in enumerate(TEXTS)])
def test_a_name_that_is_none(long_night: Incident, name: str, field: str) -> None:
    """Services, labels and branches have an alphabet; and nothing of a decision that is none is obeyed."""
    text, incident = TEXTS[name], long_night
    if field in ("service", "restore"):
        ended, _ = decided(incident, **{field: text})
    else:
        incident.folder = incident.fresh()
        decision = json.dumps({"kind": text, text: text}).encode() if field == "decision" else b""
        world = incident.world("plan")
        world = replace(world, job=replace(world.job, ref=f"refs/heads/{text}")) if field == "branch" else world
        plan(Ask(incident.site.repository, decision, Form() if decision else Form("failover", SERVICE, HARMLESS)), incident.folder, world)
        ended = incident.conclude({"plan": "failure"})
    assert ended.result.outcome in (State.REJECTED, State.BLOCKED)
    lines, summary, report = told(ended)
    assert_only_text(lines, summary, report, like=html(read_files(ended.bundle) | {"result.json": harmless(ended.result)}))


def harmless(result: Result) -> bytes:
    """The same result in harmless words."""
    assert result.refusal is not None
    said = result.refusal.model_copy(update={"found": HARMLESS})
    return result.model_copy(update={"refusal": said}).model_dump_json(exclude_none=True).encode()


def test_every_case_says_what_it_is() -> None:
    assert len(CASES) > 20
    for path in CASES:
        assert set(yaml.safe_load(path.read_text("utf-8"))) == {"what", "text"}, path.name


def on_a_terminal(incident: Incident, monkeypatch: pytest.MonkeyPatch, job: str, runner: str) -> None:
    """Somebody follows a run from their own terminal, and a job of it and its runner are called like this."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    run = incident.repository.add_run(WORKFLOW, actor="mallory")
    taken_by = incident.repository.add_runner(runner, ["gcp-ops-runner"])
    run.add_job(job, ["gcp-ops-runner"]).take(taken_by)
    clock = ShiftedClock(incident.site.clock.now())
    with pytest.raises(Fault, match=r"dispatch\.deadline"):
        follow(incident.client(), run.id, within=0, clock=clock, say=progress)


@pytest.mark.parametrize("text", ["\x1b[2J\x1b]0;t\x07", "\u202egnp", "pg\u200bha\U000e0041", "\x9b31m", "a\rb\nc", "\ufe0f\u3164"])
def test_a_name_on_the_terminal_of_who_follows_the_run(
    incident: Incident, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    on_a_terminal(incident, monkeypatch, f"dr / Check {text} x", f"r{text}-01")
    shown_to = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)
    assert all(visible(line) == line for line in shown_to.rstrip("\n").split("\n")), shown_to
    assert [line for line in shown_to.split("\n") if "does dr / Check" in line and line.endswith("-01")]


def test_a_plain_name_on_the_terminal_of_who_follows_the_run(
    incident: Incident, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_a_terminal(incident, monkeypatch, "dr / Check Zürich (changes nothing)", "gcp-ops-runner-01")
    assert "does dr / Check Zürich (changes nothing) on gcp-ops-runner-01" in re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)
