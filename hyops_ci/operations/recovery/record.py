"""The record of a recovery of several services, with the evidence of each run beside it; and whether such a folder holds.

Written from the ledgers, so that it says the same whoever carried the recovery on, and however often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from hyops_ci.contracts.base import moment, stamp
from hyops_ci.contracts.decision import Decision
from hyops_ci.contracts.digest import canonical, digest_bytes
from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.contracts.recovery import RecoveryRecord, ServiceRecord, Standing, WaveRecord
from hyops_ci.contracts.run import ENDINGS, Result
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError, Exit, Refusal, shown
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.verify import verify
from hyops_ci.files import UnsafeFile, read, write
from hyops_ci.github.runs import run as run_fact
from hyops_ci.ledger.rules import DONE
from hyops_ci.operations.dispatch.follow import fetch
from hyops_ci.operations.recovery.context import Recovery, names
from hyops_ci.parsing.documents import read_document
from hyops_ci.planning.waves import TYPES, next_wave
from hyops_ci.text import counted

RECORD: Final = "recovery.json"
MOST: Final = 1024 * 1024
"""Bytes of a record: 20 waves of 20 services have a third of that."""


def record(recovery: Recovery, tips: Mapping[str, Tip]) -> RecoveryRecord:
    """Return how the recovery stands, wave by wave."""
    standing, acted = recovery.standing(tips), {service: _acted(recovery, service) for service in tips}
    waves = tuple(
        WaveRecord(number=number, services=tuple(_service(service, standing[service], acted[service]) for service in wave))
        for number, wave in enumerate(recovery.plan.waves, 1)
    )
    outcome, headline = _headline(recovery, standing, acted)
    return RecoveryRecord(
        recovery_plan=recovery.name,
        recovery_id=recovery.id,
        action=recovery.plan.action,
        outcome=outcome,
        headline=headline,
        at=stamp(recovery.clock.now().replace(microsecond=0)),
        waves=waves,
    )


def keep(recovery: Recovery, made: RecoveryRecord, folder: Path) -> RecoveryRecord:
    """Write the record into `folder`, with each run's verified evidence beside it, and return it as it was written.

    A bundle that cannot be had, or is not the one of the ledger, is said and left out: the record names its digest all the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    waves = []
    for wave in made.waves:
        kept = [each.model_copy(update={"evidence": _fetched(recovery, each, folder)}) for each in wave.services]
        waves.append(wave.model_copy(update={"services": tuple(kept)}))
    whole = made.model_copy(update={"waves": tuple(waves)})
    write(folder / RECORD, canonical(whole.document()))
    return whole


def problems(folder: Path) -> Iterator[str]:
    """Yield what does not hold of a kept record: evidence that is missing or does not verify, waves that overlapped.

    Raises Refusal (exit 11) `recovery.record` where there is no record to look at.
    """
    made = _read(folder / RECORD)
    if problem := _contradiction(made):
        yield problem
    ended, before = "", ""
    for wave in made.waves:
        for each in wave.services:
            if not each.run_id:
                continue
            found = _opened(folder, each)
            if isinstance(found, str):
                yield f"{each.service}: {found}"
                continue
            yield from (f"{each.service}: {text}" for text in _differences(made, each, found))
            if ended and moment(found.claim.claimed_at) < moment(ended):
                yield f"{each.service}: began at {found.claim.claimed_at}, before wave {wave.number - 1} ended at {ended}"
            before = max(before, found.result.ended_at, key=lambda at: moment(at).timestamp() if at else 0.0)
        ended = before


def _differences(made: RecoveryRecord, about: ServiceRecord, found: _Evidence) -> Iterator[str]:
    """Yield what the evidence of a service says otherwise than the record."""
    decision, part, way = found.decision, found.decision.part_of, TYPES[made.action]
    known = part is not None and (part.recovery_plan, part.recovery_id) == (made.recovery_plan, made.recovery_id)
    if decision.service != about.service or not known:
        yield f"its evidence is about {decision.service}, {part.recovery_id if part else 'no recovery'}"
    if decision.decision_type is not way:
        yield f"the record says {way}, its evidence {decision.decision_type}"
    if (about.run_id, about.outcome) != (found.claim.run_id, found.result.outcome):
        said = f"{found.result.outcome} of run {found.claim.run_id}"
        yield f"the record says {shown(about.outcome)} of run {shown(about.run_id)}, its evidence {said}"


def without_evidence(folder: Path) -> Iterator[str]:
    """Yield what a kept record says and nothing beside it shows: that a service is proven which no run of this recovery brought there."""
    for each in _services(_read(folder / RECORD)):
        if each.standing == "proven" and not each.run_id:
            yield f"{each.service}: it was there before this recovery, as the record says; its own ledger and evidence show it"
        elif each.standing == "proven" and each.outcome not in DONE:
            run = f"run {shown(each.run_id)}, which ended {shown(each.outcome)}"
            yield f"{each.service}: it came there after {run}; its own ledger shows how"


def _contradiction(made: RecoveryRecord) -> str:
    """Return where a record contradicts itself, empty where it does not: its waves, a service that stands twice, or its outcome."""
    if not made.waves or not all(each.services for each in made.waves):
        return "it has no wave, or one without a service, as no recovery plan has"
    if [each.number for each in made.waves] != list(range(1, len(made.waves) + 1)):
        return f"its waves are {', '.join(str(each.number) for each in made.waves)}, and not one after the other from 1"
    if twice := [name for name, times in Counter(each.service for each in _services(made)).items() if times > 1]:
        return f"{names(twice)} stands in it more than once"
    open_ = [each.service for each in _services(made) if each.standing != "proven"]
    begins = _recovered(len(_services(made)), made.recovery_plan) if made.outcome == "DONE" else f"{made.outcome} in wave "
    if (made.outcome == "DONE") == (not open_) and made.headline.startswith(begins):
        return ""
    return f"it says {made.outcome}: {shown(made.headline)}; not proven are {names(open_) or 'none'}"


def _services(made: RecoveryRecord) -> list[ServiceRecord]:
    return [each for wave in made.waves for each in wave.services]


def _read(path: Path) -> RecoveryRecord:
    """Return a kept record. Raises Refusal (exit 11) for what is none."""
    try:
        return read_document(RecoveryRecord, read(path, MOST, follow=True))
    except OSError as error:
        found = f"{path}: {error.strerror}"
    except UnsafeFile as no:
        found = no.found
    except ValueError as error:
        found = f"{path}: {shown(str(error).partition(chr(10))[0])}"
    raise Refusal(
        "recovery.record",
        "there is no record of a recovery here",
        exit_code=Exit.EVIDENCE,
        found=found,
        expected=f"the folder of a recovery, with its {RECORD} and the evidence",
        fix="name that folder; the ledgers and GitHub have it still: hyops-ci recovery status ID --out FOLDER",
        docs="recovery-plans.md",
    )


@dataclass(frozen=True)
class _Evidence:
    decision: Decision
    claim: Claim
    result: Result


def _opened(folder: Path, about: ServiceRecord) -> _Evidence | str:
    """Return the evidence of one service, or what is wrong with it."""
    path = folder / Path(about.evidence).name
    if not about.evidence or not path.is_file():
        return f"its evidence is not here: run {about.run_id}, {about.evidence_sha256}"
    if digest_bytes(path.read_bytes()) != about.evidence_sha256:
        return f"{path.name} is not the bundle that its ledger names"
    verdict = verify(path)
    if not verdict.ok:
        return f"{path.name}: {'; '.join(verdict.problems)}"
    inside = read_files(path)
    try:
        return _Evidence(
            read_document(Decision, inside["decision.json"]),
            read_document(Claim, inside["claim.json"]),
            read_document(Result, inside["result.json"]),
        )
    except (KeyError, ValueError) as error:
        return f"{path.name} does not tell of a run that acted: {error}"


def _acted(recovery: Recovery, service: str) -> Tip | None:
    """Return the last word of the run that acted on a service for this recovery; None where none did."""
    mine = recovery.decision_id(service)
    history = recovery.opened(service).vouched_history()
    return next((each for each in history if each.claim is not None and each.claim.decision_id == mine), None)


def _service(service: str, standing: Standing, acted: Tip | None) -> ServiceRecord:
    if acted is None or acted.claim is None:
        return ServiceRecord(service=service, standing=standing)
    return ServiceRecord(
        service=service,
        standing=standing,
        run_id=acted.claim.run_id,
        run_url=acted.claim.run_url,
        outcome=acted.state.value if acted.state else "",
        at=acted.at,
        evidence_sha256=acted.bundle_sha256,
    )


def _headline(
    recovery: Recovery, standing: Mapping[str, Standing], acted: Mapping[str, Tip | None]
) -> tuple[Literal["DONE", "STOPPED", "WAITING"], str]:
    number, plan = next_wave(recovery.plan, standing), recovery.plan
    if not number:
        return "DONE", _recovered(len(standing), recovery.name)
    wave = plan.waves[number - 1]
    left = [f"{each} {_end(acted[each]) or standing[each]}" for each in wave if standing[each] != "proven"]
    stopped = any(standing[each] == "unknown" or _end(acted[each]) for each in wave if standing[each] in ("open", "unknown"))
    later = len(plan.waves) - number
    rest = f"; {counted(later, 'later wave')} not begun" if later else ""
    word: Literal["STOPPED", "WAITING"] = "STOPPED" if stopped else "WAITING"
    return word, f"{word} in wave {number} of {len(plan.waves)}: {names(left)}{rest}"


def _recovered(services: int, plan: str) -> str:
    return f"RECOVERED: all {services} services of {plan} are proven"


def _end(acted: Tip | None) -> str:
    """Return how the run that acted on a service ended, as people read it; empty where none did, or where it is at work."""
    return ENDINGS[acted.state].headline if acted is not None and acted.state in ENDINGS else ""


def _fetched(recovery: Recovery, about: ServiceRecord, folder: Path) -> str:
    """Return the name of the file that a run's bundle was written to; empty where it could not be had."""
    number = about.run_id.partition("-")[0]
    if about.evidence_sha256 is None or not number.isdigit():
        return ""
    try:
        ended = fetch(recovery.client, run_fact(recovery.client, int(number)), decision_id=recovery.decision_id(about.service))
        if ended.digest != about.evidence_sha256:
            raise Refusal(
                "evidence.other",
                "the artifact is not the bundle that the ledger names",
                exit_code=Exit.EVIDENCE,
                found=ended.digest,
                expected=about.evidence_sha256,
                fix="keep both, and find out who uploaded the artifact",
            )
    except DispatchError as error:
        recovery.say(f"the evidence of {about.service} is not here: {error.title()}")
        return ""
    write(folder / f"{ended.artifact}.tar", ended.bundle)
    return f"{ended.artifact}.tar"
