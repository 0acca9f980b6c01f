#!/usr/bin/env bash
# Builds (once per host and requirements) and reuses the Python environment of hyops-ci.
# The folder is keyed by everything that could make it differ, made beside its final place and renamed, the
# marker last: a half-built environment is never used, and two jobs on one host do not disturb each other.
set -euo pipefail
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV PIP_REQUIRE_VIRTUALENV UV_PROJECT_ENVIRONMENT
export PYTHONUTF8=1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
started=$SECONDS

for python in python3.14 python3.13 python3.12 python3.11 python3; do
  if command -v "$python" >/dev/null && "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi
  python=""
done
if [ -z "$python" ]; then
  echo "::error title=REFUSED setup.python (exit 7)::no Python 3.11 or newer with venv on this runner; install python3 and python3-venv"
  exit 7
fi

tag=$("$python" -c 'import sys, sysconfig; print(sys.version_info[:3], sysconfig.get_platform())')
key=$({ echo "$tag"; cat "$root/requirements/runtime.txt"; } | sha256sum | cut -c1-24)
hardened=/opt/dr-dispatch/$key
base=${RUNNER_TOOL_CACHE:-$HOME/.cache}/hyops-ci
home=$base/$key
[ -e "$hardened/complete" ] && home=$hardened

build() {
  local next=$home.$$.new
  local flags=(--require-hashes --only-binary :all: --no-deps --disable-pip-version-check --quiet -r "$root/requirements/runtime.txt")
  if [ -n "${DR_WHEELHOUSE:-}" ]; then
    flags+=(--no-index --find-links "$DR_WHEELHOUSE")
  elif [ "${DR_INDEX:-allowed}" = never ]; then
    echo "::error title=REFUSED setup.packages (exit 7)::no environment $key on this host, no wheelhouse, and no index allowed"
    exit 7
  fi
  rm -rf "$next"
  "$python" -m venv "$next"
  "$next/bin/python" -m pip install "${flags[@]}"
  touch "$next/complete"
  mv -T "$next" "$home"
}

usable() { [ -e "$home/complete" ] && "$home/bin/python" -I -c 'import pydantic' 2>/dev/null; }

if ! usable; then
  home=$base/$key
  mkdir -p "$base"
  (
    flock 9
    if ! usable; then rm -rf "$home"; build; fi
  ) 9>"$base/$key.lock"
fi

# The launcher runs the library of exactly this commit: isolated, so that no file of the workspace is imported.
bin=$(mktemp -d "${RUNNER_TEMP:-/tmp}/hyops-ci.XXXXXXXX")
printf '#!/usr/bin/env bash\nexec %q -I -c %q "$@"\n' "$home/bin/python" \
  "import sys; sys.path.insert(0, '$root'); from hyops_ci.cli.app import main; main()" >"$bin/hyops-ci"
chmod 755 "$bin/hyops-ci"
echo "$bin" >>"$GITHUB_PATH"
{
  echo "python=$home/bin/python"
  echo "seconds=$((SECONDS - started))"
} >>"$GITHUB_OUTPUT"
