"""A recovery host where HyOps has a user of its own: two real users, real sudo, made by `hyops-ci runner prepare`.

In a mount namespace `/srv` is memory and `/etc` a copy, so that users and rules are the host's own: outside nothing changes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.act.hosting import on_prepared_host
from tests.act.rewriting import ROOT
from tests.support.ports import free_port

RUNNER, HYOPS = "gha-runner", "hyops"
SITE: Final = "/srv/site"
_HOST: Final = f"""
checkout=$1 made=$2 base=$3 closed=$4 port=$5 shared=$6; shift 6
mount -t tmpfs -o mode=755 tmpfs /srv
mkdir /srv/checkout /srv/python /srv/made
mount --bind "$checkout" /srv/checkout; mount --bind "$made" /srv/made
if [ -n "$closed" ]; then   # a Python in somebody's home, which two other users could not start
  mount --bind "$base" /srv/python
  mount -t tmpfs -o mode=755 tmpfs "$closed"
  mkdir -p "$base"; mount --bind /srv/python "$base"
fi
python=$(echo /opt/dr-dispatch/*/bin/python)
driver="$python -I -B /srv/checkout/tests/security/recover_as_user.py"
mkdir -p /var/lib/dr-dispatch; mount -t tmpfs tmpfs /var/lib/dr-dispatch
useradd --system --create-home --base-dir /srv {RUNNER}
useradd --system --create-home --base-dir /srv {HYOPS}
rm -f /etc/sudoers.d/*
cd /srv
$driver make $port $shared >/srv/trust.json
prepare() {{
  "$python" -I -B -c 'import sys; sys.path.insert(0, "/srv/checkout"); from hyops_ci.cli.app import main; main()' \\
    runner prepare --user {RUNNER} --trust /srv/trust.json
}}
prepare >/srv/made/prepared || {{ cat /srv/made/prepared >&2; exit 1; }}
prepare >/srv/made/again
places="/etc/sudoers.d /opt/dr-dispatch/as-hyops /opt/dr-dispatch/hyops-access /var/lib/dr-dispatch"
find $places -maxdepth 2 -printf '%u %g %m %p\\n' >/srv/made/there || :
mkdir /srv/good; cp -a /etc/sudoers.d /etc/dr-dispatch/trust.json /srv/good
[ -n "$shared" ] || cp -a /opt/dr-dispatch/as-hyops /srv/good
as_prepared() {{
  chown -R {RUNNER}:{RUNNER} {SITE}
  [ -n "$shared" ] || chown -R {HYOPS}:{HYOPS} {SITE}/runner/envs {SITE}/runner/vault-password
  gpasswd --delete {HYOPS} {RUNNER} >/dev/null 2>&1 || :
  chmod 700 {SITE}/runner/envs; chmod 600 {SITE}/runner/vault-password {SITE}/keys/host.key
  rm -rf /etc/sudoers.d; cp -a /srv/good/sudoers.d /etc; cp -a /srv/good/trust.json /etc/dr-dispatch
  [ -n "$shared" ] || cp -a /srv/good/as-hyops /opt/dr-dispatch
}}
while [ $# -gt 0 ]; do
  as_prepared
  eval "$1"
  setpriv --reuid {RUNNER} --regid {RUNNER} --init-groups env -i HOME=/srv/{RUNNER} PATH=/usr/bin:/bin \\
    ACTIONS_ID_TOKEN_REQUEST_TOKEN=t0ken-of-the-job $driver $2
  shift 2
done
"""


@dataclass(frozen=True)
class Host:
    """What such a host was, and what its runs came to."""

    facts: list[dict[str, Any]]
    prepared: str
    again: str
    there: str


def on_host_of_two(folder: Path, *runs: tuple[str, str], shared: bool = False) -> Host:
    """Do each run, (what root does to the host first in shell, the words for `recover_as_user.py`), on one host as the agent's user.

    `shared`: HyOps runs as that user, too. Raises RuntimeError where there can be no such host.
    """
    (made := folder / "made").mkdir(parents=True)
    base = Path(sys.base_prefix).resolve()
    closed = next((str(each) for each in reversed(base.parents) if not each.stat().st_mode & 0o001), "")
    command = [*as_root(), *on_prepared_host(folder / "host"), "bash", "-euc", _HOST, "host", str(ROOT), str(made), str(base), closed]
    asked = [str(free_port()), "shared" if shared else "", *(word for run in runs for word in run)]
    done = subprocess.run([*command, *asked], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return Host(
        [json.loads(line) for line in done.stdout.splitlines()], *((made / name).read_text() for name in ("prepared", "again", "there"))
    )


def as_root() -> Sequence[str]:
    """What to put before a command of root: two users need one. Raises RuntimeError where that, or sudo, is not to be had."""
    if not Path("/usr/bin/sudo").exists() or not Path("/usr/sbin/visudo").exists():
        install_sudo()
    if os.geteuid() == 0:
        return ()
    if subprocess.run(["/usr/bin/sudo", "-n", "true"], capture_output=True, check=False).returncode:
        raise RuntimeError("two users on one host need root, or a user whom sudo asks for no password (docs/testing.md)")
    return ("/usr/bin/sudo", "-n")


def install_sudo() -> None:
    """Install sudo where the suite runs as root of a Debian. Raises RuntimeError elsewhere."""
    done = None
    if os.geteuid() == 0 and shutil.which("apt-get"):
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "sudo"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    if done is None or done.returncode:
        raise RuntimeError(f"this test needs sudo: apt-get install sudo (docs/testing.md); {done.stderr if done else 'not as root'}")
