#!/usr/bin/env bash
# Builds (once per host and requirements) and reuses the Python environment of hyops-ci. With arguments it then becomes `hyops-ci` with
# them; without, it puts `hyops-ci` on the PATH of the job.
# The folder is made beside its final place and renamed, the marker last: a half-built environment is never used, and two jobs on one
# host do not disturb each other. Python runs isolated (-I) throughout: no file of the workspace, no variable and no user site counts.
set -euo pipefail
unset PIP_REQUIRE_VIRTUALENV
started=$SECONDS
root=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)

key=$({ uname -sm; cat "$root/requirements/runtime.txt"; } | sha256sum)
key=${key:0:24}
base=${RUNNER_TOOL_CACHE:-$HOME/.cache}/hyops-ci
home=/opt/dr-dispatch/$key

refuse() { # id, text
  echo "::error title=REFUSED $1 (exit 7)::$2"
  exit 7
}

# The marker holds the version that the environment was built with: after an upgrade of the host's Python it is built again.
usable() {
  [ -e "$home/complete" ] &&
    "$home/bin/python" -I -S -c 'import sys; sys.exit(open(sys.argv[1]).read() != sys.version)' "$home/complete" 2>/dev/null
}

build() {
  local python pip next=$home.$$.new flags=(--require-hashes --only-binary :all: --no-deps --no-compile --no-warn-script-location)
  flags+=(--disable-pip-version-check --root-user-action ignore --quiet -r "$root/requirements/runtime.txt")
  for python in python3.14 python3.13 python3.12 python3.11 python3 ""; do
    if [ -z "$python" ]; then refuse setup.python "no Python 3.11 or newer with venv on this runner; install python3 and python3-venv"; fi
    if pip=$("$python" -I -c "$find_pip" 2>/dev/null); then break; fi
  done
  if [ -n "${DR_WHEELHOUSE:-}" ]; then
    flags+=(--no-index --find-links "$DR_WHEELHOUSE")
  elif [ "${DR_INDEX:-allowed}" = never ]; then
    refuse setup.packages "no environment $key on this host, no wheelhouse, and no index allowed"
  fi
  rm -rf "$next"
  "$python" -I -m venv --without-pip "$next"
  TMPDIR=$base "$python" -I "$pip" install "${flags[@]}" --target "$next"/lib/python3.*/site-packages
  "$next/bin/python" -I -c 'import sys, pydantic_core; sys.stdout.write(sys.version)' >"$next/complete"
  mv -T "$next" "$home"
}

# The interpreter's own pip, else the one that it brings for new environments, out of its wheel: to install a pip first takes longer
# than all the rest.
find_pip='
import ensurepip, importlib.util, pathlib, sys, sysconfig, venv
places = [sysconfig.get_config_var("WHEEL_PKG_DIR"), pathlib.Path(ensurepip.__file__).parent / "_bundled"]
wheels = [wheel / "pip" for place in places if place for wheel in pathlib.Path(place).glob("pip-*.whl")]
own = importlib.util.find_spec("pip")
print(pathlib.Path(own.origin).parent if own else wheels[0])
sys.exit(sys.version_info < (3, 11))'

if ! usable; then home=$base/$key; fi
if ! usable; then
  mkdir -p "$base"
  (
    flock 9
    if ! usable; then rm -rf "$home"; build; fi
  ) 9>"$base/$key.lock"
fi

# The library of exactly this commit, and nothing of the workspace.
start=("$home/bin/python" -I "$root/actions/setup/start.py")
if [ $# -gt 0 ]; then exec "${start[@]}" "$@"; fi
bin=$(mktemp -d "${RUNNER_TEMP:-/tmp}/hyops-ci.XXXXXXXX")
{
  printf '#!/usr/bin/env bash\nexec'
  printf ' %q' "${start[@]}"
  printf ' "$@"\n'
} >"$bin/hyops-ci"
chmod 755 "$bin/hyops-ci"
echo "$bin" >>"$GITHUB_PATH"
{
  echo "python=$home/bin/python"
  echo "seconds=$((SECONDS - started))"
} >>"$GITHUB_OUTPUT"
