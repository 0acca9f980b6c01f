"""Gather the board: one service after the other as the config has them, then what somebody has to do something about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from hyops_ci.config.drills import practised_on
from hyops_ci.config.settings import env_of, env_settings, objective_of
from hyops_ci.contracts.base import seconds, stamp
from hyops_ci.contracts.board import Alarm, Board, BoardService
from hyops_ci.contracts.config import DispatchConfig, EnvClass
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import shown
from hyops_ci.operations.alarms.ledger import ledger_alarms
from hyops_ci.operations.alarms.readiness import readiness_alarms
from hyops_ci.operations.board.runs import ended_runs, given_bundles, merged, named_bundles, recurring, trends
from hyops_ci.operations.status import ServiceStatus, lock_text

_ORDER = {"alarm": 0, "warning": 1, "unknown": 2}


@dataclass(frozen=True, kw_only=True)
class BoardFacts:
    """What a board is made of."""

    config: DispatchConfig
    config_sha256: str
    services: Sequence[ServiceStatus]
    now: datetime
    repository: str = ""
    evidence: Sequence[Path] = ()
    """Bundles, or folders with bundles."""
    github: bool = False
    """Whether GitHub was asked."""
    alarms: Sequence[Alarm] = field(default=())
    """What was seen elsewhere than in ledgers."""


@dataclass(frozen=True)
class MadeBoard:
    """The board, and the files that were given and that no ledger names."""

    board: Board
    strange: tuple[str, ...]


def make_board(facts: BoardFacts) -> MadeBoard:
    """Return the board. Raises nothing for evidence that cannot be read: it is named."""
    by_name = {each.service: each for each in facts.services}
    named = {digest for each in facts.services for digest in named_bundles(each.history)}
    bundles, strange = given_bundles(facts.evidence, named)
    runs = {name: ended_runs(each.history, bundles) for name, each in by_name.items()}

    def of(found: ServiceStatus) -> BoardService:
        practice = practised_on(facts.config, found.service)
        objective, tip = objective_of(facts.config, found.service), found.tip
        drills = [run for run in runs.get(practice, ()) if run.drill] if practice != found.service else []
        its = merged(runs[found.service], drills)
        return BoardService(
            service=found.service,
            env_class=env_settings(facts.config, env_of(found.service)).env_class,
            approvers=shown(found.approvers),
            position=tip.position if tip else None,
            serves=shown(tip.serves) if tip else "",
            lock=found.lock if tip else None,
            holder=lock_text(tip, found.lock) if tip and found.lock != "free" else "",
            epoch=tip.epoch if tip else None,
            vouched=found.vouched,
            trouble=shown(f"{found.trouble.reason}; {found.trouble.found}") if found.trouble else "",
            readiness=found.known.readiness if found.known else None,
            obligations=found.known.obligations if found.known else (),
            rto=seconds(objective.rto) if objective.rto else None,
            rpo=seconds(objective.rpo) if objective.rpo else None,
            runs=its,
            trends=trends(its),
            recurring=recurring(its),
        )

    alarms = [alarm for each in facts.services for alarm in ledger_alarms(each, facts.now)]
    alarms += [alarm for each in facts.services for alarm in readiness_alarms(each, lab=_is_lab(facts.config, each.service))]
    board = Board(
        made_at=stamp(facts.now),
        repository=shown(facts.repository),
        config_sha256=facts.config_sha256,
        github=facts.github,
        alarms=ordered([*alarms, *facts.alarms]),
        services=tuple(of(each) for each in facts.services),
    )
    return MadeBoard(board, strange)


def _is_lab(config: DispatchConfig, service: str) -> bool:
    return env_settings(config, env_of(service)).env_class is EnvClass.LAB


def ordered(alarms: Iterable[Alarm], rank: Mapping[str, int] = _ORDER) -> tuple[Alarm, ...]:
    """Return alarms, the worst first, else as they came."""
    return tuple(sorted(alarms, key=lambda alarm: rank[alarm.level]))
