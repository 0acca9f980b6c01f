"""The HTML report: one page that answers, in this order, how it ended, how long it took, what is proven, and who said so."""

from __future__ import annotations

from importlib.resources import files as resources
from typing import Final

from hyops_ci.contracts.approval import Approval
from hyops_ci.contracts.run import ENDINGS, Result, State
from hyops_ci.report.markup import Safe, clock, document, el, items, join, pairs, table
from hyops_ci.report.story import STAND_IN, StepTold, Story, figures_of, rto_of, word_of
from hyops_ci.report.timeline import LEGEND, phases, picture
from hyops_ci.text import span

_NOTHING_DONE: Final = frozenset({State.REJECTED, State.BLOCKED, State.NO_RUNNER})
_VERDICTS: Final = {
    True: ("good", "Objective met"),
    False: ("bad", "Objective not met"),
    None: ("", "Objective: nobody can say"),
}
_FIGURES: Final = (
    ("request_to_proven", "Request to proven"),
    ("approval_to_proven", "Approval to proven"),
    ("hyops_only", "HyOps only"),
    ("approval_wait", "Waiting for approval"),
    ("runner_wait", "Waiting for the runner"),
    ("our_overhead", "The rest, verification included"),
)


def render(story: Story) -> str:
    """The whole page. Sections without content say so or are left out; nothing is made up."""
    style = resources(__package__).joinpath("page.css").read_text(encoding="utf-8")
    result = story.result
    banner = el("div", STAND_IN, class_="stand-in", role="note") if result and result.stand_in else Safe("")
    sections = (
        _head,
        _refusal,
        _achieved,
        _timeline,
        _proofs,
        _exceptions,
        _decided,
        _approved,
        _steps,
        _surroundings,
        _verifying,
        _events,
    )
    title = f"{word_of(result.outcome) if result else 'Bundle'} {result.service or '' if result else ''} {result.run_id if result else ''}"
    return document(title, style, join(banner, el("main", *(section(story) for section in sections))))


def _head(story: Story) -> Safe:
    result, plan = story.result, story.plan
    if result is None:
        return el("h1", "A bundle without a result", class_="bad")
    what = (
        f"{plan.decision_type.value.replace('_', ' ')} of {plan.service}, {plan.source_site} \N{RIGHTWARDS ARROW} {plan.target_site}"
        if plan
        else ""
    )
    drill = f", drill ({plan.exercise})" if plan and plan.exercise else ""
    day = result.started_at[:10]
    eyebrow = " \N{MIDDLE DOT} ".join(part for part in (f"Run {result.run_id}", day, what + drill) if part)
    title, rest = _heading(result)
    mood = "wait" if result.stand_in else ENDINGS[result.outcome].mood if result.outcome in ENDINGS else "bad"
    return join(el("p", eyebrow, class_="eyebrow"), el("h1", title, class_=mood), el("p", rest, class_="lead") if rest else Safe(""))


def _heading(result: Result) -> tuple[str, str]:
    """The headline in two sizes: `Recovered, 1 deviation` and where it serves from. A refusal's own words stand in its card."""
    if result.refusal is not None and result.outcome in _NOTHING_DONE:
        return word_of(result.outcome).capitalize(), "Nothing was changed."
    title, mark, rest = result.headline.partition("  ")
    if not mark:
        title, _, rest = result.headline.partition(": ")
    word, space, more = title.partition(" ")
    first, rest = rest.strip().partition(" ")[0], rest.strip()
    return f"{word.capitalize()}{space}{more}", rest[:1].upper() + rest[1:] if first.isalpha() else rest  # an id keeps its case


def _refusal(story: Story) -> Safe:
    refusal = story.result.refusal if story.result else None
    if refusal is None:
        return Safe("")
    rows = [("found", refusal.found), ("expected", refusal.expected), ("fix", refusal.fix), ("exit", str(refusal.exit_code))]
    heading = el("h3", el("code", refusal.gate), f"  {refusal.reason}")
    return el("section", heading, pairs(rows), class_="card refusal")


def _achieved(story: Story) -> Safe:
    """The figure that the business asked for, against what it was promised."""
    total, rto = figures_of(story).get("request_to_proven"), rto_of(story)
    if total is None and rto.objective is None:
        return Safe("")
    big = el("div", el("b", span(total) if total is not None else "\N{EM DASH}"), el("span", "from request to proven"), class_="figure")
    if rto.objective is None:
        return el("section", big, el("p", "No recovery time objective is set for this service.", class_="note"), class_="figures")
    mood, words = _VERDICTS[rto.met]
    share = min(100, round(100 * total / rto.objective)) if total is not None and rto.objective else 0
    gauge = el("div", el("i", style=f"width:{share}%"), class_="gauge over" if rto.met is False else "gauge")
    promised = span(rto.objective)
    note = f"{span(total)} of {promised}" if total is not None else f"{promised} were promised; {rto.reason}"
    return el("section", big, el("div", el("p", words, class_=f"verdict {mood}"), gauge, el("p", note, class_="note")), class_="figures")


def _timeline(story: Story) -> Safe:
    drawn = picture(story)
    if not drawn:
        return Safe("")
    total = {whose: sum(phase.seconds for phase in phases(story) if phase.whose == whose) for whose in LEGEND}
    swatch = {whose: el("svg", el("rect", width="11", height="11", rx="2", class_=f"fill-{whose}"), aria_hidden="true") for whose in LEGEND}
    legend = el("ul", *(el("li", swatch[w], f"{LEGEND[w]} ", el("b", span(total[w]))) for w in LEGEND if total[w]), class_="legend")
    return join(el("h2", "Timeline", el("small", "UTC")), drawn, legend)


def _proofs(story: Story) -> Safe:
    result = story.result
    if result is None or not (result.proven or result.not_proven):
        return Safe("")
    proven = el("section", el("h3", "Proven"), items(result.proven, "nothing"), class_="card proven")
    unproven = el("section", el("h3", "Not proven"), items(result.not_proven, "nothing that was asked"), class_="card unproven")
    return join(el("h2", "What is known"), el("div", proven, unproven, class_="two"))


def _exceptions(story: Story) -> Safe:
    result = story.result
    if result is None or not (result.deviations or result.next):
        return Safe("")
    differs = el("section", el("h3", "Deviations"), items(result.deviations, "none"), class_="card marked")
    then = el("section", el("h3", "Next"), items(result.next, "nothing"), class_="card next")
    return join(el("h2", "What remains"), el("div", differs, then, class_="two"))


def _decided(story: Story) -> Safe:
    decision, plan = story.decision, story.plan
    if not decision and plan is None:
        return Safe("")
    rationale = decision.get("rationale")
    rows = [
        ("Decided by", str(decision.get("issuer", ""))),
        ("Asked by", ", ".join(story.requesters)),
        ("Decision", story.result.decision_id if story.result else ""),
    ]
    if plan is not None:
        point = story.check.restore_point if story.check else None
        label = str(point.value) if point and point.value is not None else f"{plan.restore_point}, which set that is was not measured"
        rows += [
            ("Blueprint", plan.blueprint),
            ("Restore point", label if any(step.restores for step in plan.steps) else "no step puts a backup back"),
            ("Old side", "confirmed off by who asked" if plan.old_primary == "confirmed-off" else "not confirmed off"),
            ("Point of no return", plan.point_of_no_return or "no step moves clients"),
            ("Plan", el("code", plan.digest())),
            ("Config", el("code", plan.config_digest)),
            ("Commit", el("code", plan.config_commit) if plan.config_commit else ""),
        ]
    quote = (
        el("blockquote", f"\N{LEFT DOUBLE QUOTATION MARK}{rationale}\N{RIGHT DOUBLE QUOTATION MARK}") if isinstance(rationale, str) else ""
    )
    return join(el("h2", "What was decided"), quote or Safe(""), pairs(rows))


def _approved(story: Story) -> Safe:
    """Who said yes. That nobody did, or had to, is said."""
    heading = el("h2", "Who approved")
    if not story.approvals:
        need = story.plan.approval.required if story.plan else True
        return join(heading, el("p", "Nobody." if need else "Nobody had to in this environment.", class_="none"))
    return join(heading, table(("Who", "When", "How", "Said"), [_approval(each) for each in story.approvals]))


def _approval(approval: Approval) -> list[str]:
    how = join(approval.channel, el("span", approval.key_id, class_="why") if approval.key_id else Safe(""))
    risks = f"accepts {', '.join(approval.subject.accepted_risks)}" if approval.subject.accepted_risks else ""
    said = join(approval.comment or "\N{EM DASH}", el("span", risks, class_="why") if risks else Safe(""))
    return [f"{approval.approver.login}: {approval.verdict}", clock(approval.observed_at), how, said]


def _steps(story: Story) -> Safe:
    if not story.steps:
        return Safe("")
    heads = "".join(
        el("th", name, class_=kind) for name, kind in (("", ""), ("Step", ""), ("Does", "kind"), ("Went", ""), ("Took", "number"))
    )
    rows = [_step_row(number, step) for number, step in enumerate(story.steps, 1)]
    return join(el("h2", "Steps"), el("table", el("thead", el("tr", Safe(heads))), el("tbody", *rows), class_="steps"))


def _step_row(number: int, step: StepTold) -> Safe:
    mood = "good" if step.status == "ok" else "bad" if step.status in ("failed", "cancelled", "running") else "dim"
    last = el("span", "point of no return", class_="why") if step.no_return else Safe("")
    went = el("td", el("span", step.status, class_=mood), el("span", step.reason, class_="why") if step.reason else Safe(""))
    took = span(step.seconds) if step.seconds is not None else ""
    name = el("td", el("code", step.id), last)
    return el("tr", el("td", str(number), class_="dim"), name, el("td", step.kind, class_="kind"), went, el("td", took, class_="number"))


def _surroundings(story: Story) -> Safe:
    """Runner, lock, secrets by name, and every figure with the reason where there is none."""
    check, claim, secrets = story.check, story.claim, story.secrets
    names = (
        [each.get("key") for each in secrets.get("secrets", ()) if isinstance(each, dict)]
        if isinstance(secrets.get("secrets"), list)
        else []
    )
    revoked = "; login revoked" if secrets.get("revoked") is True else "; LOGIN NOT REVOKED" if secrets.get("revoked") is False else ""
    rows = [
        ("Runner", f"{check.runner.name or check.runner.hostname}, HyOps {check.hyops_version}" if check else ""),
        ("Lock", f"epoch {claim.epoch}, taken {clock(claim.claimed_at)}" if claim else "never taken"),
        (
            "Secrets",
            f"{len(names)} from {secrets.get('origin', 'unknown')}: {', '.join(map(str, names))}{revoked}" if secrets else "none read",
        ),
    ]
    figures = story.objectives.get("figures")
    for key, label in _FIGURES if isinstance(figures, dict) else ():
        entry = figures.get(key) if isinstance(figures, dict) else None
        seconds = entry.get("seconds") if isinstance(entry, dict) else None
        reason = entry.get("reason", "no reason given") if isinstance(entry, dict) else "no reason given"
        rows.append((label, span(seconds) if isinstance(seconds, int) else f"not measured: {reason}"))
    return join(el("h2", "Where it ran, and how long each part took"), pairs(rows))


def _verifying(story: Story) -> Safe:
    run = story.result.run_id if story.result else "RUN"
    manifest = story.manifest
    rows = [
        (
            "Signed by",
            ", ".join(story.signers) or "nobody: the bundle is chained and unsigned, so it proves that it is whole, not whose it is",
        ),
        ("Previous bundle", el("code", manifest.previous_bundle) if manifest.previous_bundle else "none known") if manifest else ("", ""),
        ("Last event", el("code", manifest.last_event) if manifest else ""),
        ("Files", f"{len(manifest.files)}, {sum(entry.bytes for entry in manifest.files)} bytes" if manifest else "no manifest"),
    ]
    command = f"hyops-ci evidence verify dr-evidence-{run}.tar"
    words = "This page was made from the bundle and is no evidence itself. The bundle is: offline, any single changed byte ends in exit 11."
    return join(el("h2", "How to verify"), el("p", words), el("pre", command), pairs(rows))


def _events(story: Story) -> Safe:
    if not story.events:
        return Safe("")
    rows = [[clock(event.at), event.stage, event.kind, event.name] for event in story.events[:1000]]
    more = f", the first {len(rows)}" if len(rows) < len(story.events) else ""
    return el("details", el("summary", f"All {len(story.events)} events{more}"), table(("At", "Stage", "Kind", "Name"), rows))
