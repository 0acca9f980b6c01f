"""What `hyops-ci upgrade` prints for the authority, pasted into a real server: both commits log in, and at the end the new one alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hyops_ci.config.file import parsed_config
from hyops_ci.errors import Refusal
from hyops_ci.operations.upgrade.steps import Step, at_the_end, before_the_caller
from hyops_ci.secrets.port import Purpose
from tests.secrets.conftest import KEYS, REFS, open_as
from tests.secrets.test_adopted_role import adopter, paste
from tests.support.openbao import OpenBao, TokenFor
from tests.unit.operations.upgrade.calling import CONFIG

pytestmark = pytest.mark.bao
NEW = "4b1c" + "1" * 36


def roles(steps: list[Step]) -> str:
    [text] = [text for title, text in steps if title.startswith("Vault")]
    return text


def test_the_printed_roles_let_in_both_and_then_the_new_one_alone(own_bao: OpenBao, tmp_path: Path) -> None:
    known, config = adopter(), parsed_config(CONFIG.encode())
    old = known.release

    def may_log_in(commit: str) -> bool:
        claims = {"job_workflow_sha": commit, "job_workflow_ref": f"{known.workflow}@{commit}"}
        found = []
        for purpose, environment in ((Purpose.CHECK, "dr-check"), (Purpose.EXECUTE, "dr-prod")):
            session = open_as(own_bao, purpose, token_for=TokenFor(own_bao, {"environment": environment, **claims}))
            try:
                found.append(set(session.names(REFS)) if purpose is Purpose.CHECK else {each.key for each in session.read(REFS)})
            except Refusal as refused:
                found.append({refused.gate})
            session.close()
        assert found in ([set(KEYS)] * 2, [{"secrets.login"}] * 2)
        return found[0] == set(KEYS)

    assert (may_log_in(old), may_log_in(NEW)) == (True, False)
    paste(own_bao, tmp_path, roles(before_the_caller(config, replace(known, release=NEW, former=(old,)))))
    assert (may_log_in(old), may_log_in(NEW)) == (True, True)
    paste(own_bao, tmp_path, roles(at_the_end(config, replace(known, release=NEW))))
    assert (may_log_in(old), may_log_in(NEW)) == (False, True)
