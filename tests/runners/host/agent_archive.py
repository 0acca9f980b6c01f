"""An archive with the files of GitHub's agent (2.336) and a stand-in behind them. Its worker is `tests/security/agent_stand_in.py`."""

from __future__ import annotations

import gzip
import io
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Final

from hyops_ci.runners.bootstrap import AgentArchive
from tests.security import agent_stand_in

LISTENER: Final = Path(__file__).with_name("agent") / "listener.py"
_CONFIG: Final = """#!/bin/bash
# As the real one: no root, and what it keeps of the environment it appends to .env.
if [ $(id -u) -eq 0 ]; then echo "Must not run with sudo"; exit 1; fi
cd "$(dirname "$0")" || exit 1
[ -f .env ] || touch .env
if [ -n "$LANG" ] && ! grep -q ^LANG= .env; then echo "LANG=$LANG" >>.env; fi
echo "$PATH" >.path
exec ./bin/Runner.Listener configure "$@"
"""
_RUN: Final = """#!/bin/bash
# As the real one: a signal reaches the listener only where it is asked for.
cd "$(dirname "$0")" || exit 1
if [ -z "$RUNNER_MANUALLY_TRAP_SIG" ]; then
  ./bin/Runner.Listener run "$@"
  exit
fi
set -m
trap 'kill -INT -$pid' TERM INT
./bin/Runner.Listener run "$@" &
pid=$!
wait -f $pid
"""
_SVC: Final = "#!/bin/bash\necho 'this host has its own unit' >&2\nexit 1\n"


def build(folder: Path, version: str = "2.336.0") -> AgentArchive:
    """Write the archive under the name that GitHub publishes it by; return what GitHub's list of downloads would say of it."""
    worker = "#!/usr/bin/python3 -I\n" + Path(agent_stand_in.__file__).read_text()
    files = {
        "config.sh": _CONFIG,
        "run.sh": _RUN,
        "svc.sh": _SVC,
        "env.sh": "#!/bin/bash\n",
        "run-helper.sh.template": "#!/bin/bash\n",
        "bin/Runner.Listener": LISTENER.read_text().replace("@version@", version),
        "bin/Runner.Worker": worker,
        "bin/installdependencies.sh": "#!/bin/bash\n",
        "externals/node24/bin/node": "#!/bin/sh\n",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size, info.mode, info.uid, info.gid = len(text.encode()), 0o755, 1001, 1001
            archive.addfile(info, io.BytesIO(text.encode()))
    content = gzip.compress(packed.getvalue(), mtime=0)
    (folder / f"actions-runner-linux-x64-{version}.tar.gz").write_bytes(content)
    return AgentArchive(version, sha256(content).hexdigest())
