"""The file system of a real Debian, made once by mmdebstrap and kept by what is in it, outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from hyops_ci.files import locked

SUITE: Final = "bookworm"
PACKAGES: Final = (
    *("systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2", "procps"),
    *("python3", "python3-venv", "git", "curl", "ca-certificates", "nftables", "iptables", "libicu72"),
)
"""A machine's own, and what the bootstrap would fetch: tests fetch nothing."""
SHAPE: Final = r"""
set -eu
root=$1
: >"$root/etc/fstab"
rm -f "$root"/etc/ssh/ssh_host_*
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
  getty.target console-getty.service systemd-logind.service systemd-resolved.service systemd-timesyncd.service \
  apt-daily.timer apt-daily-upgrade.timer fstrim.timer e2scrub_all.timer dpkg-db-backup.timer; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
printf 'ListenAddress 0.0.0.0\nUseDNS no\nPasswordAuthentication no\n' >"$root/etc/ssh/sshd_config.d/test.conf"
chroot "$root" useradd --create-home --shell /bin/bash ops
echo 'ops ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/ops"
chmod 440 "$root/etc/sudoers.d/ops"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/usr/share/doc/* "$root"/usr/share/locale/*
"""
"""No device manager, no console, nothing that runs by the clock; `ops` is the machine's user who may become root."""


class NoHost(RuntimeError):
    """Why there can be no such machine here. Never a silent skip: the tests that need one fail with it."""


@cache
def debian() -> Path:
    """Return the folder of the file system. Raises NoHost."""
    if os.geteuid() != 0:
        raise NoHost("a Debian with systemd needs root for its namespaces: run these tests as root (docs/testing.md)")
    key = sha256(" ".join([SUITE, *PACKAGES, SHAPE]).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dr-dispatch-tests"
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"debian-{SUITE}-{key}"
    with locked(folder / "debian.lock", wait=None):
        if not made.exists():
            _make(made)
    return made


def _make(made: Path) -> None:
    draft = made.with_name(f"{made.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    command = [_mmdebstrap(), "--variant=minbase", f"--include={','.join(PACKAGES)}", "--quiet", SUITE, str(draft)]
    _run(command)
    _run(["sh", "-c", SHAPE, "shape", str(draft)])
    draft.rename(made)


def _mmdebstrap() -> str:
    if not shutil.which("mmdebstrap"):
        if not shutil.which("apt-get"):
            raise NoHost("mmdebstrap is missing, and there is no apt-get to install it (docs/testing.md)")
        _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap", "debian-archive-keyring"])
    return "mmdebstrap"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    if done.returncode:
        raise NoHost(f"{command[0]} failed: {done.stderr[-1000:]}")
