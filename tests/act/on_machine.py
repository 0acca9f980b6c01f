"""The jobs of the runner that was made are carried out on it: their steps enter the machine as the agent's user.

act starts each step of `shell: bash` as a process of this machine. Here `bash` is a program that looks which job asks; those of the
runner go into the machine's namespaces (its files, its users, its processes, its sudo), where the site's folder lies at the same place.
Its network is left out: what GitHub, Git, the authority and the service are in a test listens on the loopback of this one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.runners.host.booted import BootedHost

JOBS: Final = "check|execute"
AGENT: Final = "gha-runner"
_BASH: Final = """\
#!/bin/bash
# Steps come as: bash --noprofile --norc -e -o pipefail <file>
set -eu
case ${{GITHUB_JOB:-}} in {jobs}) ;; *) exec /bin/bash "$@" ;; esac
path=
IFS=:
for each in $PATH; do case $each in {root}/run-*) path=$path$each: ;; esac; done   # what earlier steps added
unset IFS
enter=(nsenter -t {pid} -m -u -i -p -r -w --)
"${{enter[@]}}" chown -R {agent}:{agent} "$RUNNER_TEMP/.." "$GITHUB_WORKSPACE"
unset LD_LIBRARY_PATH RUNNER_TOOL_CACHE SSL_CERT_FILE REQUESTS_CA_BUNDLE GIT_SSL_CAINFO
export PATH=$path/usr/local/bin:/usr/bin:/bin HOME=/home/{agent} USER={agent}
as_agent=(setpriv --reuid {agent} --regid {agent} --init-groups)
exec "${{enter[@]}}" "${{as_agent[@]}}" /bin/bash -c 'cd "$1"; shift; exec /bin/bash "$@"' on-machine "$PWD" "$@"
"""
_READY: Final = """
set -e
install -d -o hyops -g hyops -m 700 /srv/hyops/envs
cp -a {envs}/. /srv/hyops/envs/
chown -R hyops:hyops /srv/hyops/envs; chmod 700 /srv/hyops/envs
install -d -m 755 /etc/hyops
install -o hyops -g hyops -m 600 {password} /etc/hyops/vault-password
"""
HOST: Final = {"user": "hyops", "envs_base": "/srv/hyops/envs", "vault_password_file": "/etc/hyops/vault-password"}
"""`host` of the config, as such a machine has it."""
HYOPS: Final = """\
#!/bin/sh
exec /opt/dr-dispatch/*/bin/python -I -B -c '
import runpy, sys
sys.path.insert(0, "/srv/hyops_double")
runpy.run_module("program", run_name="__main__")' "$@"
"""
"""The contract double's command, with the packages of the environment that root made."""


def enter(host: BootedHost, root: Path) -> Path:
    """Return the folder that a run's PATH begins with, so that its jobs on the runner are carried out on `host`."""
    host.run("grep -q github.localhost /etc/hosts || echo '127.0.0.1 github.localhost' >>/etc/hosts")
    folder = root / "on-machine"
    folder.mkdir()
    root.chmod(0o755)
    bash = folder / "bash"
    bash.write_text(_BASH.format(jobs=JOBS, root=root, pid=host.pid, agent=AGENT))
    bash.chmod(0o755)
    return folder


def bring(host: BootedHost, envs: Path, password: Path) -> None:
    """What only people bring to a machine that was made: the runtime of each env, and the password of their bundles."""
    host.run(_READY.format(envs=envs, password=password))
