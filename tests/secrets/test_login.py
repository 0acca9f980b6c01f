"""Who gets in, who does not, and what a person reads then (texts, refusal 7)."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyops_ci.errors import Exit, Refusal
from hyops_ci.identity.oidc_request import job_identity
from hyops_ci.secrets.port import Purpose
from tests.secrets.conftest import REFS, open_as, plan_for
from tests.support.openbao import BOUND, OWN_TOKEN, OpenBao, TokenFor, start_token_service

pytestmark = pytest.mark.bao


def refusal(bao: OpenBao, **claims: str | None) -> Refusal:
    """What a run that sends these claims is told; nothing of its token is in it."""
    token_for = TokenFor(bao, {"environment": "dr-prod", **claims})
    authority = open_as(bao, token_for=token_for)
    with pytest.raises(Refusal) as refused:
        authority.read(REFS)
    authority.close()
    assert authority.revoked is None
    text = "\n".join(refused.value.lines()) + repr(refused.value) + repr(refused.value.__context__)
    for part in token_for.tokens[0].split("."):
        assert part not in text
    return refused.value


def test_the_token_is_asked_for_the_origin_being_called(bao: OpenBao) -> None:
    token_for = TokenFor(bao, {"environment": "dr-prod"})
    authority = open_as(bao, token_for=token_for)
    assert token_for.audiences == []
    authority.read(REFS)
    authority.read(REFS)
    authority.close()
    assert token_for.audiences == [bao.origin]


@pytest.mark.parametrize("claim", BOUND)
def test_each_bound_claim_keeps_others_out(bao: OpenBao, claim: str) -> None:
    refused = refusal(bao, **{claim: "another-value"})
    assert refused.gate == "secrets.login"
    assert refused.exit_code is Exit.SECRETS
    assert refused.reason == "Vault does not know this workflow; no password is wrong"
    assert refused.found == f'role dr-prod: claim "{claim}" does not match any associated bound claim values; sent another-value'


@pytest.mark.parametrize("claim", BOUND)
def test_each_bound_claim_must_be_there(bao: OpenBao, claim: str) -> None:
    assert refusal(bao, **{claim: None}).found == f'role dr-prod: claim "{claim}" is missing; sent no such claim'


def test_the_refusal_is_the_products_text(bao: OpenBao) -> None:
    sent = "hybridops/dr-dispatch/.github/workflows/dispatch.yml@" + "b" * 40
    assert refusal(bao, job_workflow_ref=sent).lines() == [
        "REFUSED secrets.login (exit 8): Vault does not know this workflow; no password is wrong",
        f'  found    role dr-prod: claim "job_workflow_ref" does not match any associated bound claim values; sent {sent}',
        "  expected a bound value that matches what was sent",
        "  fix      vault read auth/jwt/role/dr-prod; add the value sent (docs/vault-role.md); new run",
        "  docs     hyops-ci docs vault-role.md",
    ]


def test_a_job_logs_in_with_what_github_gives_it(bao: OpenBao) -> None:
    with start_token_service(bao) as github:
        for purpose, environment in ((Purpose.CHECK, "dr-check"), (Purpose.EXECUTE, "dr-prod")):
            authority = open_as(bao, purpose, token_for=job_identity(github.job(environment=environment)))
            assert all(authority.names(REFS).values()) if purpose is Purpose.CHECK else authority.read(REFS)
            authority.close()
            assert authority.revoked is True
    assert github.audiences == [bao.origin, bao.origin]


def test_globs_are_not_bound(bao: OpenBao) -> None:
    assert "does not match" in refusal(bao, ref="refs/heads/*").found


def test_a_claim_with_control_characters_is_spelled_out(bao: OpenBao) -> None:
    found = refusal(bao, environment="x\n::add-mask::y\x1b[2J").found
    assert "sent x\\u000a::add-mask::y\\u001b[2J" in found


def test_a_second_attempt_is_told_to_start_anew(bao: OpenBao) -> None:
    assert refusal(bao, run_attempt="2").fix == "start a new run: a re-run never acts"


@pytest.mark.parametrize(
    "claims, found, fix",
    [
        ({"audience": "https://vault.other.example"}, "sent aud https://vault.other.example", "bound_audiences"),
        ({"iss": "https://github.example.net/_services/token"}, "sent iss https://github.example.net/_services/token", "config"),
    ],
)
def test_wrong_audience_and_issuer(bao: OpenBao, claims: dict[str, str], found: str, fix: str) -> None:
    refused = refusal(bao, **claims)
    assert found in refused.found
    assert fix in refused.fix


def login_fails(bao: OpenBao, token: str, role: str = "dr-prod") -> Refusal:
    authority = open_as(bao, plan=plan_for(bao, role=role), token_for=lambda audience: token)
    with pytest.raises(Refusal) as refused:
        authority.names(REFS)
    authority.close()
    assert token not in "\n".join(refused.value.lines())
    return refused.value


def test_an_expired_token(bao: OpenBao) -> None:
    refused = login_fails(bao, bao.mint_job_token(environment="dr-prod", lifetime=-1000))
    assert refused.reason == "Vault and GitHub disagree on the time"
    assert "exp 1" in refused.found


def test_a_token_of_another_key(bao: OpenBao) -> None:
    token = bao.mint_job_token(environment="dr-prod")
    forged = token[: token.rindex(".") + 1] + "A" * 86
    assert login_fails(bao, forged).reason == "Vault does not know who issued this job's token"


@pytest.mark.parametrize("token", ["", "no-token", "a.b.c", "é", "x" * 20000])
def test_what_is_no_token(bao: OpenBao, token: str) -> None:
    authority = open_as(bao, token_for=lambda audience: token)
    with pytest.raises(Refusal, match=r"secrets\.login"):
        authority.names(REFS)


def test_an_unknown_role(bao: OpenBao) -> None:
    refused = login_fails(bao, bao.mint_job_token(), role="dr-nowhere")
    assert refused.reason == "Vault has no such role"
    assert "dr-nowhere" in refused.found


def test_an_unknown_mount(bao: OpenBao) -> None:
    plan = plan_for(bao).model_copy(update={"auth_path": "auth/elsewhere"})
    authority = open_as(bao, plan=plan)
    with pytest.raises(Refusal) as refused:
        authority.names(REFS)
    assert refused.value.gate == "secrets.login"
    assert "auth/elsewhere" in refused.value.found


@pytest.mark.parametrize(
    "name, changes, found",
    [
        ("long", {"token_explicit_max_ttl": "30m", "token_ttl": "30m"}, "can live 1800 s"),
        ("endless", {"token_explicit_max_ttl": 0, "token_ttl": "5m"}, "renewed without end"),
        ("default", {"token_no_default_policy": False}, "policies default"),
        ("batch", {"token_type": "batch"}, "token type batch"),
    ],
)
def test_a_login_with_too_much_power_is_given_back(bao: OpenBao, name: str, changes: dict[str, object], found: str) -> None:
    bao.add_role(f"dr-{name}", OWN_TOKEN, claims={"environment": "dr-prod"}, **changes)
    tokens: list[str] = []
    authority = open_as(bao, plan=plan_for(bao, role=f"dr-{name}"), learn=tokens.append)
    with pytest.raises(Refusal) as refused:
        authority.read(REFS)
    assert refused.value.gate == "secrets.token"
    assert found in refused.value.found
    assert tokens[0] not in "\n".join(refused.value.lines())
    if name != "batch":
        assert authority.revoked is True
        assert not bao.works(tokens[0])
    else:
        assert authority.revoked is False


def test_a_role_that_cannot_see_its_own_limits(bao: OpenBao) -> None:
    bao.add_role("dr-blind", 'path "secret/data/x" { capabilities = ["read"] }', claims={"environment": "dr-prod"})
    with pytest.raises(Refusal) as refused:
        open_as(bao, plan=plan_for(bao, role="dr-blind")).read(REFS)
    assert refused.value.gate == "secrets.token"
    assert "auth/token/revoke-self" in refused.value.expected


class TestBreakGlass:
    """A token that a person put on the host, with GitHub down."""

    def token(self, bao: OpenBao, **changes: object) -> str:
        facts = {"policies": ["dr-prod"], "no_default_policy": True, "explicit_max_ttl": "10m", "ttl": "10m", **changes}
        return str(bao.admin.auth.token.create(**facts)["auth"]["client_token"])

    def file(self, tmp_path: Path, token: str) -> str:
        path = tmp_path / "token"
        path.write_text(token + "\n")
        path.chmod(0o600)
        return str(path)

    def test_it_serves_check_and_run_and_ends_with_the_run(self, bao: OpenBao, tmp_path: Path) -> None:
        token = self.token(bao, policies=["dr-prod", "dr-check"])
        path = self.file(tmp_path, token)
        check = open_as(bao, Purpose.CHECK, token_file=path)
        assert all(check.names(REFS).values())
        check.close()
        assert (check.revoked, bao.works(token)) == (None, True)
        run = open_as(bao, token_file=path)
        assert len(run.read(REFS)) == len(REFS)
        run.close()
        assert (run.login, run.revoked, bao.works(token)) == ("token-file", True, False)

    @pytest.mark.parametrize(
        "changes", [{"policies": ["root"]}, {"no_default_policy": False}, {"explicit_max_ttl": "2h"}, {"explicit_max_ttl": None}]
    )
    def test_the_same_limits_hold(self, bao: OpenBao, tmp_path: Path, changes: dict[str, object]) -> None:
        with pytest.raises(Refusal, match=r"secrets\.token"):
            open_as(bao, token_file=self.file(tmp_path, self.token(bao, **changes))).read(REFS)

    def test_a_file_that_others_read_is_refused(self, bao: OpenBao, tmp_path: Path) -> None:
        path = self.file(tmp_path, "hvs.canary-token")
        Path(path).chmod(0o644)
        with pytest.raises(Refusal, match=r"secrets\.login") as refused:
            open_as(bao, token_file=path).read(REFS)
        assert "canary" not in "\n".join(refused.value.lines())

    def test_a_file_without_a_token_is_refused(self, bao: OpenBao, tmp_path: Path) -> None:
        with pytest.raises(Refusal, match=r"secrets\.login"):
            open_as(bao, token_file=self.file(tmp_path, "canary canary")).read(REFS)

    def test_environment_and_home_give_no_token(self, bao: OpenBao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("VAULT_TOKEN", "root-of-the-test-server")
        (tmp_path / ".vault-token").write_text("root-of-the-test-server")
        authority = open_as(bao, token_for=lambda audience: "no-token")
        with pytest.raises(Refusal, match=r"secrets\.login"):
            authority.names(REFS)
