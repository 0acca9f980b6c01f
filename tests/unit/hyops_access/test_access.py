"""What a stage asks of HyOps, by either way: as its own user, and through a process of its own as behind sudo. One suite for both."""

from __future__ import annotations

import getpass
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import hyops_ci
from hyops_ci.contracts.config import Host
from hyops_ci.contracts.plan import Command
from hyops_ci.errors import Refusal
from hyops_ci.execution.command import DEFAULT_PATH, Runtime
from hyops_ci.execution.grammar import StepEvent
from hyops_ci.execution.overlay import overlay_path
from hyops_ci.execution.run_handle import SupervisedRun
from hyops_ci.hyops_access import wire, worker
from hyops_ci.hyops_access.own import OwnAccess
from hyops_ci.hyops_access.port import HyOpsAccess, Place, lent_overlay, runtime_bundle
from hyops_ci.hyops_access.sudo import SudoAccess
from hyops_ci.ledger.host_lock import host_lock
from hyops_ci.operations.rehearse.sandbox import EXAMPLE, Site, set_up
from hyops_ci.planning.planner import commands_for
from hyops_ci.secrets.ansible_vault import encrypt
from hyops_ci.stages.context import SystemClock

pytestmark = pytest.mark.slow

RUN = "1-1"
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
PREFLIGHT, DEPLOY, DESTROY = commands_for("lab", destroys=True)
OVERLAY = (
    (EXAMPLE / "overlays" / "postgresql-ha-failover-gcp.yml").read_bytes().replace(b"restore_confirm: false", b"restore_confirm: true")
)
OTHER, FRESH = "0ther-value-in-the-bundle", "fr3sh-value-of-this-run"
NAMES = (
    "NETBOX_DB_PASSWORD",
    "PATRONI_REPLICATION_PASSWORD",
    "PATRONI_SUPERUSER_PASSWORD",
    "PG_BACKUP_GCS_SA_JSON",
    "POWERDNS_API_KEY",
    "WAN_EDGE_SSH_PRIVATE_KEY",
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path / "site", SystemClock())
    set_up(made, 15432)
    vault = root_of(made) / "vault"
    vault.mkdir(mode=0o700)
    (vault / "bootstrap.vault.env").write_bytes(encrypt(f'OTHER="{OTHER}"\n'.encode(), (made.runner / "vault-password").read_bytes()))
    (vault / "bootstrap.vault.env").chmod(0o600)
    return made


def root_of(site: Site) -> Path:
    return site.runner / "envs" / "lab"


def access_to(site: Site, way: str, env: str = "lab", drill_envs: tuple[str, ...] = ()) -> OwnAccess | SudoAccess:
    """Through a process of its own it is the same user here: what sudo adds is tried in tests/security/test_hyops_user.py."""
    runner = site.runner
    host = Host(
        hyops=str(runner / "hyops"),
        core_root=str(runner / "core"),
        envs_base=str(runner / "envs"),
        vault_password_file=str(runner / "vault-password"),
        user="somebody",
    )
    if way == "own":
        runtime = Runtime(runner / "hyops", runner / "core", runner / "envs", env, runner / "vault-password")
        return OwnAccess(Place(runtime, site.root / "journals" / RUN, {"HOME": str(runner), "PATH": "/usr/bin:/bin"}))
    boot = f"""
        import sys
        sys.path.insert(0, {str(Path(hyops_ci.__file__).parents[1])!r})
        from hyops_ci.contracts.config import Host
        from hyops_ci.hyops_access import worker
        worker.JOURNALS = {str(site.root / "journals")!r}
        worker.host_of = lambda user: (Host.model_validate_json({host.model_dump_json()!r}), {drill_envs!r})
        sys.stdin.buffer.raw.readline()
        worker.main()
    """
    return SudoAccess(host, env, RUN, {}, command=(sys.executable, "-I", "-c", textwrap.dedent(boot)))


@pytest.fixture(params=["own", "another process"])
def access(request: pytest.FixtureRequest, site: Site) -> Iterator[HyOpsAccess]:
    (site.root / "journals").mkdir()
    with closing(access_to(site, request.param)) as found:
        yield found


def test_what_it_finds(access: HyOpsAccess, site: Site) -> None:
    access.require_env()
    assert access.user() == getpass.getuser()
    assert access.version() == "0.1.4+stand.in"
    device, free = access.room()
    assert (device, free > 0) == (root_of(site).stat().st_dev, True)
    assert access.place.runtime.root == root_of(site)
    known, missing = access.states(("org/gcp/wan-hub-network", "org/gcp/absent"), datetime.now(UTC))
    assert (known.status, known.run_id[:6], missing.status) == ("ok", "apply-", "missing")


@pytest.mark.parametrize("way", ["own", "another process"])
def test_an_env_that_is_another_one_too(site: Site, way: str) -> None:
    (site.root / "journals").mkdir()
    (site.runner / "envs" / "prod").symlink_to(root_of(site))
    with closing(access_to(site, way)) as access:
        access.require_env()
        with pytest.raises(Refusal, match="is another env, too"):
            access.require_env(alone=True)


@pytest.mark.parametrize("way", ["own", "another process"])
def test_an_env_that_is_not_there(site: Site, way: str) -> None:
    (site.root / "journals").mkdir()
    with closing(access_to(site, way, "lap")) as access, pytest.raises(Refusal, match=r"hyops\.env-dir") as refused:
        access.require_env()
    assert (refused.value.exit_code, refused.value.found) == (7, f"no directory {site.runner / 'envs' / 'lap'}")


def test_what_stands_in_the_way(access: HyOpsAccess, site: Site) -> None:
    assert access.troubles() == ()
    with host_lock(root_of(site)), pytest.raises(Refusal, match=r"lock\.host"):
        access.lock()
    (site.runner / "vault-password").chmod(0o644)
    assert [each.gate for each in access.troubles()] == ["secrets.password"]
    with pytest.raises(Refusal, match=r"secrets\.password"), runtime_bundle(access):
        pass


def test_a_recovery(access: HyOpsAccess, site: Site) -> None:
    before = (root_of(site) / "vault" / "bootstrap.vault.env").read_bytes()
    access.lock()
    with pytest.raises(Refusal, match=r"lock\.host"), host_lock(root_of(site)):
        pass
    assert access.sweep()["files"] == []
    values = dict.fromkeys(NAMES, FRESH)
    with runtime_bundle(access) as bundle:
        assert bundle is not None
        assert (bundle.there, bundle.leftovers) == (True, ())
        assert (OTHER in bundle.hidden) is isinstance(access, OwnAccess), "what is in it stays with HyOps' user"
        written = bundle.merge(values)
    assert (written.kept, set(written.changed)) == (("OTHER",), set(NAMES))
    hidden = {**values, **({"bundle-1": OTHER} if isinstance(access, OwnAccess) else {})}
    access.give(values, hidden, ("postgresql_restore",))
    with lent_overlay(access, RUN, OVERLAY):
        assert access.preflight(RUN, PREFLIGHT, {}).status == "ok"
        with_secrets(site)
        access.start(RUN, DEPLOY, "deploy")
        ended = SupervisedRun.attach(access.place.deploy, cancel=lambda: access.cancel("deploy")).wait(120)
    assert ended is not None
    assert ended.rc == 0, (access.place.deploy / "stderr.log").read_text()
    told = (access.place.deploy / "stdout.log").read_text()
    assert "told [redacted:" in told
    assert OTHER not in told
    assert FRESH not in told
    assert SupervisedRun.attach(access.place.deploy).view().cleaned is not None
    assert (root_of(site) / "vault" / "bootstrap.vault.env").read_bytes() == before
    records = access.records(SINCE)
    assert records
    assert any(access.record_files(name) for name in records)
    assert access.record_end(records[-1]) is not None
    assert access.clean_up(None) == {"removed": [], "kept": [], "bundle_kept": False}


def with_secrets(site: Site) -> None:
    """From now on HyOps prints a value of this run, and one that was in the bundle before."""
    launcher = site.runner / "hyops"
    launcher.write_text(launcher.read_text().replace("#!/bin/sh\n", f'#!/bin/sh\necho "told $POWERDNS_API_KEY {OTHER}"\n'))


def until_a_step_runs(run: SupervisedRun) -> None:
    """A program that is interrupted while it begins ends in another way."""
    until = time.monotonic() + 120
    while not any(isinstance(line, StepEvent) for line in run.view().lines):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_deploy_is_cancelled(access: HyOpsAccess, site: Site) -> None:
    site.script({"gcp_pg_vms": {"seconds": 30}})
    assert not access.cancel("deploy")
    with runtime_bundle(access) as bundle:
        assert bundle is not None
        bundle.merge(dict.fromkeys(NAMES, FRESH))
    access.give(dict.fromkeys(NAMES, FRESH), dict.fromkeys(NAMES, FRESH), ())
    with lent_overlay(access, RUN, OVERLAY):
        access.start(RUN, DEPLOY, "deploy")
        run = SupervisedRun.attach(access.place.deploy, cancel=lambda: access.cancel("deploy"))
        until_a_step_runs(run)
        assert run.wait(0.2) is None
        assert run.cancel()
        ended = run.wait(120)
    assert ended is not None
    assert (ended.rc, ended.stop.value) == (130, "cancel")


def test_a_caller_that_is_gone_ends_the_other_side_and_no_deploy(site: Site) -> None:
    (site.root / "journals").mkdir()
    site.script({"gcp_pg_vms": {"seconds": 1}})
    with closing(access_to(site, "another process")) as access:
        access.give(dict.fromkeys(NAMES, FRESH), {}, ())
        access.write_overlay(RUN, OVERLAY)
        access.start(RUN, DEPLOY, "deploy")
    ended = SupervisedRun.attach(access.place.deploy).wait(120)
    assert ended is not None
    assert ended.rc == 0


def test_a_command_that_was_not_planned_is_started_as_nobody(site: Site) -> None:
    (site.root / "journals").mkdir()
    another = Command(
        name="deploy", argv=("{hyops}", "blueprint", "deploy", "--env", "lab", "--file", "{overlay}", "--force"), timeout="PT1M"
    )
    with closing(access_to(site, "another process")) as access, pytest.raises(Refusal, match=r"hyops\.command") as refused:
        access.start(RUN, another, "deploy")
    assert refused.value.exit_code == 4


@pytest.mark.parametrize("drill_envs", [(), ("drill", "prod")])
def test_a_destroy_is_started_in_an_env_that_root_names_alone(site: Site, drill_envs: tuple[str, ...]) -> None:
    """A job of the runner's user could ask for it without any plan."""
    (site.root / "journals").mkdir()
    with closing(access_to(site, "another process", drill_envs=drill_envs)) as access:
        access.write_overlay(RUN, OVERLAY)
        with pytest.raises(Refusal, match=r"hyops\.command") as refused:
            access.start(RUN, DESTROY, "destroy")
    assert "drill_envs" in refused.value.expected
    assert not (access.place.journal("destroy")).exists()


def test_a_drill_destroys_what_it_made(site: Site) -> None:
    (site.root / "journals").mkdir()
    with closing(access_to(site, "another process", drill_envs=("lab",))) as access:
        access.give(dict.fromkeys(NAMES, FRESH), {}, ())
        for command, journal in ((DEPLOY, "deploy"), (DESTROY, "destroy")):
            access.write_overlay(RUN, OVERLAY)
            access.start(RUN, command, journal)
            ended = SupervisedRun.attach(access.place.journal(journal)).wait(120)
            assert ended is not None
            assert ended.rc == 0, (access.place.journal(journal) / "stderr.log").read_text()
        state = access.states(("platform/gcp/platform-vm#gcp_pg_vms",), datetime.now(UTC))[0]
        other = access.states_of("lab", ("platform/gcp/platform-vm#gcp_pg_vms", "no/such"), datetime.now(UTC))
    assert state.status == "destroyed"
    assert [each.status for each in other] == ["destroyed", "missing"]


def hide_under_its_names(access: HyOpsAccess, site: Site) -> None:
    """Name other values as HyOps' side names those of the bundle."""
    access.give({}, {f"bundle-{number}": "s0mething-else" for number in range(9)}, ())


def hold_the_bundle(access: HyOpsAccess, site: Site) -> None:
    """Keep it locked: whoever waits for it reads nothing of it."""
    access.open_bundle()


def replace_its_value(access: HyOpsAccess, site: Site) -> None:
    """Bring another value under the name that it has in the bundle."""
    with runtime_bundle(access) as bundle:
        assert bundle is not None
        bundle.merge({"OTHER": "s0mething-else"})


@pytest.mark.parametrize("trick", [hide_under_its_names, hold_the_bundle, replace_its_value])
@pytest.mark.parametrize("before", [False, True])
def test_a_value_of_the_bundle_is_in_no_answer(site: Site, trick: Callable[[HyOpsAccess, Site], None], before: bool) -> None:
    """Whatever the one who asks does to what HyOps' side knows of the bundle, now or in an access before."""
    (site.root / "journals").mkdir()
    with_secrets(site)
    if before:
        with closing(access_to(site, "another process")) as other:
            trick(other, site)
    with closing(access_to(site, "another process")) as access:
        if not before:
            trick(access, site)
        access.lock()
        access.write_overlay(RUN, OVERLAY)
        access.start(RUN, DEPLOY, "deploy")
        ended = SupervisedRun.attach(access.place.deploy).wait(120)
    assert ended is not None
    told = (access.place.deploy / "stdout.log").read_text()
    assert "told " in told
    assert OTHER not in told


def test_records_of_another_run_are_nobodys(site: Site) -> None:
    """The secrets of a run are known while it lasts: in its logs nobody could hide them afterwards."""
    (site.root / "journals").mkdir()
    earlier = root_of(site) / "logs" / "module" / "core__shared__manual-gate" / "apply-20260301T000000Z-0a1b2c3d"
    work = root_of(site) / "work" / earlier.parent.name / earlier.name
    earlier.mkdir(parents=True)
    (earlier / "ansible.log").write_text(f"the password is {FRESH}\n")
    with closing(access_to(site, "another process")) as access:
        assert access.records(SINCE) == ()
        access.lock()
        access.write_overlay(RUN, OVERLAY)
        access.start(RUN, DEPLOY, "deploy")
        assert SupervisedRun.attach(access.place.deploy).wait(120) is not None
        found = access.records(SINCE)
        said = b"".join(content for name in found for content in access.record_files(name).values())
        access.give({}, {"mine": "the password is"}, ())
        work.mkdir(parents=True)
        (work / "inventory").write_text("the password is not here")
        assert access.clean_up(SINCE)["removed"] == [], "nor does anybody choose what is removed of it"
    assert (work / "inventory").exists()
    assert f"{earlier.parent.name}/{earlier.name}" not in found
    assert FRESH.encode() not in said


def test_nothing_is_started_beside_a_run_that_has_the_env(site: Site) -> None:
    """Two at once would spoil each other, and the records of one would be told to the other."""
    (site.root / "journals").mkdir()
    with host_lock(root_of(site)), closing(access_to(site, "another process")) as access:
        access.write_overlay(RUN, OVERLAY)
        asked: tuple[Callable[[], object], ...] = (
            lambda: access.start(RUN, DEPLOY, "deploy"),
            access.open_bundle,
            lambda: access.clean_up(None),
            access.sweep,
        )
        for ask in asked:
            with pytest.raises(Refusal, match=r"lock\.host"):
                ask()
    assert not access.place.deploy.exists()


def test_the_overlay_of_a_run_is_exchanged_by_nobody(site: Site) -> None:
    """What was approved is what HyOps reads, with the secrets of that run."""
    (site.root / "journals").mkdir()
    with closing(access_to(site, "another process")) as access, closing(access_to(site, "another process")) as other:
        with lent_overlay(access, RUN, OVERLAY):
            other.remove_overlay(RUN)
            with pytest.raises(Refusal, match=r"hyops\.overlay"):
                other.write_overlay(RUN, b"steps: []\n")
            assert overlay_path(root_of(site), RUN).read_bytes() == OVERLAY
        assert not overlay_path(root_of(site), RUN).exists()
        other.write_overlay(RUN, OVERLAY)
        other.remove_overlay(RUN)
    assert not overlay_path(root_of(site), RUN).exists()


def test_programs_of_who_asks_are_not_found(tmp_path: Path) -> None:
    """sudo hands the PATH on where its rules name no `secure_path`."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin").chmod(0o777)
    hello = wire.Hello(env="lab", run_id=RUN)
    for asked, found in (
        (f"{tmp_path}/bin:/usr/bin:.::bin:/bin", "/usr/bin:/bin"),
        (f"{tmp_path}/bin", DEFAULT_PATH),
        (f"{tmp_path}/absent", DEFAULT_PATH),
        ("", DEFAULT_PATH),
        ("/usr/local/bin:/usr/bin", "/usr/local/bin:/usr/bin"),
    ):
        assert worker.place_of(hello, Host(user="hyops"), "/home/hyops", {"PATH": asked}).base["PATH"] == found, asked
