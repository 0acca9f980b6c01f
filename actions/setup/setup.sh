#!/usr/bin/env bash
# Finds or makes the Python environment of hyops-ci. With arguments it then becomes `hyops-ci` with them; without, it puts `hyops-ci` on
# the PATH of the job.
# Nothing that an earlier job may have left is trusted: not the workspace, not the user's home, not the tool cache. Either the environment
# is one that root made (`hyops-ci runner prepare`), the only kind that a host with a trust file takes, or every file of it is compared
# with the wheels of its file of requirements, by their hashes, before it is used. Python runs isolated (-I) throughout.
set -euo pipefail
umask 022
started=$SECONDS here=$PWD
unset CDPATH # else `cd` enters a folder of that name elsewhere, or prints where it went
root=$(cd -- "${BASH_SOURCE[0]%/*}/../.." && pwd)
wheelhouse=${DR_WHEELHOUSE:-} preparing=
# Which packages: those of every command, or with them those of one provider of machines. A step says it, and says no more than the name.
requirements=requirements/${DR_REQUIREMENTS:=runtime}.txt
if [ "${1:-} ${2:-}" = "runner prepare" ]; then
  preparing=1
  for argument; do
    case ${before:-}=$argument in --wheelhouse=*) wheelhouse=$argument ;; *=--wheelhouse=*) wheelhouse=${argument#*=} ;; esac
    before=$argument
  done
fi
case $wheelhouse in /* | "") ;; *) wheelhouse=$here/$wheelhouse ;; esac
cd /

if [ -n "$preparing" ] && [ "$EUID" = 0 ]; then RUNNER_TOOL_CACHE=~root/.cache; fi # sudo may keep another user's home
refuse() { # id, text
  echo "::error title=REFUSED $1 (exit 7)::$2"
  exit 7
}

case $DR_REQUIREMENTS in
  runtime | gcp | proxmox) ;;
  *) refuse setup.requirements "DR_REQUIREMENTS is none of runtime, gcp and proxmox; leave it to the action" ;;
esac
if [ -n "$preparing" ]; then requirements=requirements/runtime.txt; fi # what root prepares is for check and execute
key=$({ uname -sm; cat "$root/$requirements"; } | sha256sum)
key=${key:0:24}
base=${RUNNER_TOOL_CACHE:-${HOME:-/nonexistent}/.cache}/hyops-ci
home=/opt/dr-dispatch/$key

# The environment of root: nobody else can write a file of it or on the way to it. The marker holds the version of Python that it was
# built with: after an upgrade of the host's Python it is made again.
of_root() {
  [ -e "$home/complete" ] &&
    [ -z "$(find /opt /opt/dr-dispatch -maxdepth 0 \( ! -user 0 -o -perm /022 \) 2>&1; find "$home" ! -type l \( ! -user 0 -o -perm /022 \) -print -quit 2>&1)" ] &&
    "$home/bin/python" -I -S -c 'import sys; sys.exit(open(sys.argv[1]).read() != sys.version)' "$home/complete" 2>/dev/null
}

# Makes the environment of a user, or finds that it is as the wheels say. Wheels that are missing are fetched, and only those whose hash
# is known are ever opened.
of_wheels() {
  local python said lacking code
  for python in python3.14 python3.13 python3.12 python3.11 python3; do
    code=0
    said=$(packages "$python") || code=$?
    home=${said%%$'\n'*} lacking=${said#*$'\n'}
    if [ "$code" = 4 ] && fetch "$python" "$lacking"; then
      code=0
      said=$(packages "$python") || code=$?
      lacking=${said#*$'\n'}
    fi
    case $code in
      0) return ;;
      4) refuse setup.packages "not to be had with the hashes of $requirements: $lacking; look at pip's lines above" ;;
      5) refuse setup.noexec "nothing can be started from the tool cache $base (mounted noexec); set RUNNER_TOOL_CACHE of the agent to another folder" ;;
      6) refuse setup.packages "the environment cannot be written: $lacking; rm -rf $home" ;;
    esac
  done
  refuse setup.python "no Python 3.11 or newer on this runner; install python3 and python3-venv"
}

packages() { "$1" -I -S -B "$root/actions/setup/environment.py" "$base/$key" "$root/$requirements" 2>/dev/null; }

# pip reads no file and no variable of the user: of its own variables only those that say where packages are.
fetch() { # interpreter, what is lacking
  local name pip flags=(--require-hashes --only-binary :all: --no-deps --disable-pip-version-check --no-cache-dir --quiet)
  pip=$("$1" -I -c "$find_pip" 2>/dev/null) || refuse setup.python "$1 has no pip for new environments; install python3-venv"
  if [ -n "$wheelhouse" ]; then
    unset PIP_FIND_LINKS
    flags+=(--no-index --find-links "$wheelhouse")
  elif [ "${DR_INDEX:-allowed}" = never ]; then
    refuse setup.packages "no wheelhouse, no index allowed, and not on this host: $2; pass wheelhouse"
  fi
  for name in ${!PIP_*}; do
    case $name in PIP_INDEX_URL | PIP_EXTRA_INDEX_URL | PIP_FIND_LINKS | PIP_CERT | PIP_CLIENT_CERT | PIP_PROXY | PIP_TRUSTED_HOST | PIP_DEFAULT_TIMEOUT) ;; *) unset "$name" ;; esac
  done
  rm -rf "$home/wheels" "$home/wheels.new"
  mkdir -p "$home/wheels.new"
  HOME=/nonexistent XDG_CONFIG_HOME=/nonexistent TMPDIR=$home "$1" -I "$pip" download "${flags[@]}" -r "$root/$requirements" --dest "$home/wheels.new" >&2 || return
  mv -T "$home/wheels.new" "$home/wheels"
}

# The interpreter's own pip, else the one that it brings for new environments, out of its wheel.
find_pip='
import importlib.util, pathlib, sysconfig
if own := importlib.util.find_spec("pip"):
    print(pathlib.Path(own.origin).parent)
else:
    import ensurepip
    places = [sysconfig.get_config_var("WHEEL_PKG_DIR"), pathlib.Path(ensurepip.__file__).parent / "_bundled"]
    print([wheel / "pip" for place in places if place for wheel in pathlib.Path(place).glob("pip-*.whl")][0])'

if [ -n "$preparing" ] || ! of_root; then
  if [ -z "$preparing" ] && [ -e /etc/dr-dispatch/trust.json ]; then
    refuse setup.host "this host pins its callers, and has no environment $key that only root can write; as root in a checkout of this commit on the host: bash actions/setup/setup.sh runner prepare"
  fi
  mkdir -p "$base"
  if ! [ -O "$base" ]; then refuse setup.packages "the tool cache $base belongs to another user, who could change what runs; move it away"; fi
  # Whoever can open the file can hold the lock for ever: nobody else can. Anything but a file was put there.
  lock=$base/$key.lock
  if [ -L "$lock" ] || ! [ -f "$lock" ]; then rm -rf "$lock"; fi
  (umask 077 && : >>"$lock" && chmod 600 "$lock")
  exec 9>>"$lock"
  flock --wait 600 9 || refuse setup.packages "another process has held $lock for 10 minutes; end it: fuser $lock"
  of_wheels
  exec 9>&-
  export DR_WHEELS=$home/wheels
  home=$home/environment
fi

# The library of exactly this commit, and nothing of the workspace. UTF-8, whatever the locale of the agent: -I reads no PYTHONUTF8.
start=("$home/bin/python" -I -X utf8 "$root/hyops_ci/start.py" hyops_ci.cli.app)
cd "$here"
if [ $# -gt 0 ]; then exec "${start[@]}" "$@"; fi
bin=
for place in "${RUNNER_TEMP:-/tmp}" "$base" /tmp; do
  bin=$(mktemp -d "$place/hyops-ci.XXXXXXXX") || continue
  {
    printf '#!/usr/bin/env bash\nexec'
    printf ' %q' "${start[@]}"
    printf ' "$@"\n'
  } >"$bin/hyops-ci"
  chmod 755 "$bin/hyops-ci"
  if [ -x "$bin/hyops-ci" ]; then break; fi # nothing can be started from a file system that is mounted noexec
done
if ! [ -x "$bin/hyops-ci" ]; then refuse setup.noexec "nothing can be started from $RUNNER_TEMP, $base or /tmp (mounted noexec); mount one of them exec"; fi
echo "$bin" >>"$GITHUB_PATH"
{
  echo "python=$home/bin/python"
  echo "seconds=$((SECONDS - started))"
} >>"$GITHUB_OUTPUT"
