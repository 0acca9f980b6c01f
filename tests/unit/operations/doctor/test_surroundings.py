"""What doctor says of the host it is asked on: a line for each row of docs/hosts.md that a shell can see."""

from __future__ import annotations

import locale
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from hyops_ci.contracts.plan import Plan, SecretPlan
from hyops_ci.operations.doctor import surroundings as module
from hyops_ci.operations.doctor.surroundings import surroundings

STORE = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ca_store", lambda: STORE)
    monkeypatch.setattr(module, "git_version", lambda: "2.39.5")
    monkeypatch.setattr(module, "user_name", lambda: "gha-runner")


def plan(*env_pass: str, proxy: str = "") -> Plan:
    secrets = SecretPlan(kind="vault", addresses=(("https://vault.example.net", "gcp"),), proxy=proxy)
    return Plan.model_construct(env_pass=env_pass, secrets=secrets)


def told(demand: Plan | None = None, **environ: str) -> list[str]:
    found = surroundings({"HOME": "/home/gha-runner", "LANG": "C.UTF-8"} | environ, demand or plan())
    return [f"{'ok' if each.good else 'warn'} {each.text}" for each in found]


def test_a_host_as_it_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0o027)
    try:
        assert told() == [
            "ok locale C.UTF-8",
            "ok git 2.39.5",
            "ok no HTTPS_PROXY: GitHub and git are asked directly",
            "ok https://vault.example.net is asked directly (vault.proxy names a proxy)",
            f"ok certificates: GitHub by {STORE}; authority and issuer by {STORE}",
            "ok umask 0027; what hyops-ci makes has modes of its own",
            "ok programs start from /home/gha-runner/.cache",
            "ok user gha-runner, home /home/gha-runner",
        ]
        assert os.umask(0o027) == 0o027, "it was asked, not changed"
    finally:
        os.umask(before)


def test_a_locale_that_is_not_utf8_is_mended_where_the_host_can(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(LC_ALL="en_US.ISO-8859-1")[0] == "ok locale en_US.ISO-8859-1 is not UTF-8: HyOps gets LC_ALL=C.UTF-8"

    def none_of_it(category: int, name: str | None = None) -> str:
        if name == "C.UTF-8":
            raise locale.Error("unsupported locale setting")
        return "C"

    monkeypatch.setattr(locale, "setlocale", none_of_it)
    assert told(LANG="en_US")[0].startswith("warn locale en_US is not UTF-8, and the host has no C.UTF-8: Ansible will not start")


@pytest.mark.parametrize(
    "version,said",
    [
        ("", "warn no git on the PATH"),
        ("2.30.2", "warn git 2.30.2; the ledger needs 2.31"),
        ("2.31.0", "ok git 2.31.0"),
    ],
)
def test_git(version: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "git_version", lambda: version)
    assert told()[1].startswith(said)


def test_a_proxy_is_named_without_its_password_and_with_who_uses_it() -> None:
    proxy = "http://dr:hunter2-0123456789@proxy.example.net:3128"
    lines = told(HTTPS_PROXY=proxy, NO_PROXY="vault.example.net")
    assert "hunter2" not in "\n".join(lines)
    said = "ok HTTPS_PROXY http://proxy.example.net:3128, not for vault.example.net: GitHub, git and issuer; HyOps does not get it"
    assert lines[2] == f"{said} (host.env_pass)"
    assert told(plan("HTTPS_PROXY"), https_proxy=proxy)[2].endswith("GitHub, git and issuer; HyOps gets it")
    assert told(plan(proxy="http://proxy.example.net:3128"))[3] == (
        "ok https://vault.example.net is asked through vault.proxy http://proxy.example.net:3128"
    )


@pytest.mark.parametrize("name", ["ALL_PROXY", "HTTPS_PROXY", "all_proxy"])
def test_a_proxy_that_cannot_be_used(name: str) -> None:
    said = f"warn {name.upper()} socks5://proxy.example.net:1080 is no proxy that can be used: http or https"
    assert said in told(**{name: "socks5://u:hunter2@proxy.example.net:1080"})


def test_certificates_of_github_alone(tmp_path: Path) -> None:
    company = tmp_path / "company.pem"
    company.touch()
    assert f"ok certificates: GitHub by REQUESTS_CA_BUNDLE {company}; authority and issuer by {STORE}" in told(
        REQUESTS_CA_BUNDLE=str(company)
    )
    gone = told(REQUESTS_CA_BUNDLE=str(tmp_path / "gone.pem"))
    assert f"warn REQUESTS_CA_BUNDLE names {tmp_path / 'gone.pem'}, which is not there: GitHub cannot be asked" in gone


def test_certificates_that_hyops_gets(tmp_path: Path) -> None:
    handed = plan("SSL_CERT_FILE")
    (tmp_path / "ca.pem").touch()
    assert f"ok HyOps gets SSL_CERT_FILE {tmp_path / 'ca.pem'}" in told(handed, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
    assert "warn HyOps gets SSL_CERT_FILE /gone.pem, which is not there" in told(handed, SSL_CERT_FILE="/gone.pem")
    assert "warn HyOps gets SSL_CERT_FILE (not set here)" in told(handed)


@pytest.mark.parametrize(
    "barred,said",
    [
        (("/runner/_temp",), "ok programs start from /home/gha-runner/.cache, not from /runner/_temp (noexec)"),
        (
            ("/runner/_temp", "/home/gha-runner/.cache", "/tmp"),
            "warn no program starts from /runner/_temp, /home/gha-runner/.cache, /tmp (noexec)",
        ),
    ],
)
def test_folders_without_exec(barred: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_starts", lambda place: str(place) not in barred)
    assert next(line for line in told(RUNNER_TEMP="/runner/_temp") if "program" in line).startswith(said)


def test_noexec_is_asked_of_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def mounted(flag: int) -> Callable[[Path], SimpleNamespace]:
        return lambda place: asked.append(Path(place)) or SimpleNamespace(f_flag=flag)

    monkeypatch.setattr(os, "statvfs", mounted(os.ST_NOEXEC | os.ST_NOSUID))
    assert not module._starts(tmp_path / "still" / "to-be-made")
    assert asked == [tmp_path]
    monkeypatch.setattr(os, "statvfs", mounted(os.ST_NOSUID))
    assert module._starts(tmp_path)


def test_a_service_without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(HOME="")[-1] == "ok user gha-runner, HOME not set: the system's entry is used"
