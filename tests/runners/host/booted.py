"""A real Debian with systemd as PID 1, in namespaces of its own, and the three networks around it.

    ci 10.77.0.1 --- 10.77.0.2 runner 10.78.0.1 --- 10.78.0.2 target
                     198.18.x.2 runner --- 198.18.x.1 here (GitHub's stand-in)

`ci` reaches port 22 of the runner's first address and nothing else. The metadata address is the runner's own. The last network is another
for each machine, since machines of several sessions meet there.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hyops_ci.files import locked
from hyops_ci.runners.ports import Machine, MachineState
from hyops_ci.runners.ssh import Candidate, Login
from tests.runners.host.root import NoHost, debian

BOOT: Final = Path(__file__).with_name("boot.sh")
RUNNER, TARGET, METADATA = "10.77.0.2", "10.78.0.2", "169.254.169.254"
LIMIT: Final = 240.0
"""Seconds that a boot may take."""
_NETWORK: Final = f"""
set -eu
ci=$1 runner=$2 target=$3 here=$4 github=$5
for each in $ci $runner $target; do ip netns add $each; ip -n $each link set lo up; done
ip link add $here-c netns $ci type veth peer name management netns $runner
ip link add $here-t netns $target type veth peer name targets netns $runner
ip link add $here-g type veth peer name github netns $runner
ip -n $ci addr add 10.77.0.1/24 dev $here-c; ip -n $ci link set $here-c up
ip -n $target addr add {TARGET}/24 dev $here-t; ip -n $target link set $here-t up
ip addr add $github.1/24 dev $here-g; ip link set $here-g up
ip -n $runner addr add {RUNNER}/24 dev management; ip -n $runner addr add 10.78.0.1/24 dev targets
ip -n $runner addr add $github.2/24 dev github; ip -n $runner addr add {METADATA}/32 dev lo
for each in management targets github; do ip -n $runner link set $each up; done
ip -n $ci route add default via {RUNNER}
ip netns exec $runner nft -f - <<RULES
table inet site {{
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname "management" ct state established accept
    iifname "management" tcp dport != 22 drop
    iifname "management" meta l4proto != tcp drop
  }}
}}
RULES
"""
"""The firewall of the site: its management network opens port 22 of the runner."""
_CONNECT: Final = """
import socket, sys
there = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3]))
socket.send_fds(socket.socket(fileno=0), [b"x"], [there.fileno()])
"""


@dataclass
class BootedHost:
    """One machine while it runs. It is its own way in (`Access`), from the network of CI."""

    name: str
    pid: int
    """Of its systemd, as seen here."""
    networks: tuple[str, str, str]
    """Network namespaces of CI, runner and target."""
    github: str
    """The address here that it reaches, and CI does not."""
    words: str = "the management network of the test"

    @property
    def machine(self) -> Machine:
        return Machine(self.name, MachineState.RUNNING, id=str(self.pid), place="here", address=RUNNER)

    @property
    def root(self) -> Path:
        """Its file system, as seen here."""
        return Path(f"/proc/{self.pid}/root")

    def host_keys(self) -> tuple[str, ...]:
        """By the provider's own channel: its disk."""
        found = sorted((self.root / "etc" / "ssh").glob("ssh_host_ed25519_key.pub"))
        return tuple(" ".join(path.read_text().split()[:2]) for path in found)

    def console(self) -> str:
        return self.run("journalctl --no-pager -n 20 -o cat", check=False)

    def candidate(self) -> Candidate:
        return Candidate(self.machine, self, self.host_keys, self.console)

    def let_in(self, login: Login) -> None:
        """Put the key of a run where the provider would put it."""
        self.run(
            f"install -d -m 700 -o {login.user} -g {login.user} ~{login.user}/.ssh; cat >~{login.user}/.ssh/authorized_keys; "
            f"chown {login.user}: ~{login.user}/.ssh/authorized_keys; chmod 600 ~{login.user}/.ssh/authorized_keys",
            stdin=login.public + "\n",
        )

    @contextmanager
    def connect(self, machine: Machine, timeout: float) -> Iterator[socket.socket]:
        """Connect from CI's network: a process there passes its socket on."""
        with self.socket_from(self.networks[0], RUNNER, 22, timeout) as there:
            yield there

    @contextmanager
    def socket_from(self, network: str, address: str, port: int, timeout: float) -> Iterator[socket.socket]:
        """Raises OSError where there is no connection."""
        ours, theirs = socket.socketpair()
        with ours:
            command = ["ip", "netns", "exec", network, sys.executable, "-I", "-c", _CONNECT, address, str(port), str(timeout)]
            with theirs:
                done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, check=False)
            if done.returncode:
                raise OSError(done.stderr.strip().splitlines()[-1])
            _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        there = socket.socket(fileno=fds[0])
        there.settimeout(None)
        with there:
            yield there

    def run(self, command: str, *, stdin: str = "", check: bool = True, user: str = "root") -> str:
        """Run a command on the machine's own console; return what it said."""
        inside = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-r", "-w"]
        shell = ["bash", "-c", command] if user == "root" else ["runuser", "-u", user, "--", "bash", "-c", command]
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
        done = subprocess.run([*inside, *shell], input=stdin, capture_output=True, text=True, check=False, env=variables)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout + ("" if check else done.stderr)

    def spawn(self, network: str, *command: str) -> subprocess.Popen[str]:
        """Start something in one of the networks, with the programs of here."""
        return subprocess.Popen(["ip", "netns", "exec", network, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@contextmanager
def booted(folder: Path, shared: Path | None = None) -> Iterator[BootedHost]:
    """Boot a machine in `folder`, which is for it alone, and end it. Raises NoHost where namespaces are refused.

    It sees the folder `shared` at the same place.
    """
    lower = debian()
    here = "dr" + secrets.token_hex(3)
    networks = (f"{here}-ci", f"{here}-runner", f"{here}-target")
    with ExitStack() as ended:
        ended.callback(_remove, networks, f"{here}-g")
        with locked(lower.with_name("networks.lock"), wait=None):  # two machines that boot at once would see the same one free
            taken = subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True, check=False).stdout
            github = secrets.choice([each for each in (f"198.18.{n}" for n in range(256)) if f" {each}." not in taken])
            _require(["sh", "-c", _NETWORK, "network", *networks, here, github], "network namespaces")
        (work := folder / "machine").mkdir(parents=True)
        group = _group(here)
        ended.callback(_remove_group, group)
        unshare = ["unshare", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child=SIGKILL"]
        enter = f'echo $$ >"{group}/cgroup.procs"; exec "$@"'
        command = ["sh", "-c", enter, "boot", "ip", "netns", "exec", networks[1], *unshare, "bash", str(BOOT), str(lower), str(work), here]
        command.append(str(shared or ""))
        log = (folder / "console").open("wb")
        ended.callback(log.close)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        ended.callback(_end, process)
        yield _up(BootedHost(here, 0, networks, f"{github}.1"), process, folder / "console")


def _up(host: BootedHost, process: subprocess.Popen[bytes], console: Path) -> BootedHost:
    """Return the machine when its systemd says that it runs."""
    until = time.monotonic() + LIMIT
    said = ""
    while time.monotonic() < until and process.poll() is None:
        if (pid := _child(process.pid)) and _name(pid) == "systemd":
            host.pid = pid
            said = host.run("systemctl is-system-running", check=False).strip()
            if said in ("running", "degraded"):
                _keys(host)
                return host
        time.sleep(0.1)
    raise NoHost(f"a Debian with systemd does not boot in namespaces here: {said or console.read_text(errors='replace')[-1000:]}")


def _keys(host: BootedHost) -> None:
    """Make host keys, as a first boot does. Without them sshd has ended some times: systemd forgets how often, else it may refuse."""
    host.run("ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; systemctl stop ssh; systemctl reset-failed ssh; :")
    host.run("systemctl start ssh")


def _child(pid: int) -> int:
    """Return the process of the namespace: unshare's child; 0 while there is none. `ip` and `sh` become unshare."""
    with suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else 0
    return 0


def _name(pid: int) -> str:
    """Return what a process is called; nothing where it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _group(name: str) -> Path:
    base = Path("/sys/fs/cgroup/systemd")
    group = (base if base.exists() else base.parent) / name
    try:
        group.mkdir()
    except OSError as error:
        raise NoHost(f"no control group for a machine: {error}") from None
    return group


def _remove_group(group: Path) -> None:
    """Remove a machine's control groups when its last process is gone, which takes a moment."""
    until = time.monotonic() + 60
    while group.exists() and time.monotonic() < until:
        for path in [*sorted((each for each in group.rglob("*") if each.is_dir()), reverse=True), group]:
            with suppress(OSError):
                path.rmdir()
        time.sleep(0.05)


def _require(command: Sequence[str], what: str) -> None:
    if not all(map(shutil.which, ("ip", "nft", "unshare", "nsenter"))):
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "iproute2", "nftables"], capture_output=True, check=False
        )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoHost(f"{what} are refused here: {done.stderr.strip()}")


def _remove(networks: Sequence[str], link: str) -> None:
    subprocess.run(["ip", "link", "del", link], capture_output=True, check=False)
    for network in networks:
        subprocess.run(["ip", "netns", "del", network], capture_output=True, check=False)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
