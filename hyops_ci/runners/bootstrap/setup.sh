#!/usr/bin/env bash
# Makes a machine a runner of dr-dispatch (docs/design/workflows.md 6). Started as root by hyops_ci/runners/bootstrap, in the folder of what
# it brings: order.sh (what is wanted), trust.json, release/ (this release of dr-dispatch). Its first argument is the part that is done:
#   setup      everything but the registration; nothing secret is read
#   register   reads one line from stdin, a registration token, and registers the agent with it
# Done again, it changes only what differs. Each thing of the host is one line of stdout: made, changed, kept, would make or would
# change, and what it is. `begin` names the step that follows, `fact` what the caller wants to know, `refuse` why it goes no further.
set -Eeuo pipefail
umask 022
unset LANG
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
# shellcheck source=/dev/null
source "$here/order.sh"

readonly RUNNER=gha-runner HYOPS=hyops
readonly AGENT=/opt/actions-runner CORE=/opt/hybridops/core SETTINGS=/etc/dr-dispatch PROGRAMS=/opt/dr-dispatch
readonly UNIT=actions.runner.dr-dispatch.service METADATA_UNIT=dr-dispatch-metadata.service UNITS=/etc/systemd/system
readonly METADATA="169.254.169.254" METADATA6="fd00:ec2::254 fd20:ce::254"
restart= differs=

# ------------------------------------------------------------------------------------------------- what is said

begin() { step=$1; echo "begin $1"; }

fact() { echo "fact $1=$2"; }

refuse() { # found, expected, fix
  printf 'refuse %s\t%s\t%s\n' "$1" "$2" "$3"
  exit 70
}

broken() {
  local rc=$?
  echo "step ${step:-start} failed (exit $rc)" >&2
  exit "$rc"
}
trap broken ERR

# Says what becomes of a thing, and tells by its exit code whether it is to be done now.
changes() { # made or changed, what
  if [ -z "$only_say" ]; then
    echo "$1 $2"
    return 0
  fi
  case $1 in made) echo "would make $2" ;; *) echo "would change $2" ;; esac
  return 1
}

kept() { echo "kept $1"; }

# Starts a program of the agent's user. It may be a job's work: neither the lock of setups (9) nor what root reads is its to keep.
as_runner() { runuser -u $RUNNER -- "$@" </dev/null 9>&-; }

# ------------------------------------------------------------------------------------------------- files of root

# Writes stdin to a file of root as a whole, where it differs, and says so in $differs.
put() { # path, mode
  local path=$1 mode=$2 draft how=changed
  draft=$(mktemp)
  cat >"$draft"
  differs=
  if [ -f "$path" ] && ! [ -L "$path" ] && cmp -s "$draft" "$path" && [ "$(stat -c '%u %a' "$path")" = "0 ${mode#0}" ]; then
    kept "$path"
  else
    differs=1
    if ! [ -e "$path" ]; then how=made; fi
    if changes "$how" "$path"; then
      mkdir -p "${path%/*}"
      install -m "$mode" -o root -g root "$draft" "$path.new"
      mv -fT "$path.new" "$path"
    fi
  fi
  rm -f "$draft"
}

folder() { # path, owner, mode
  if [ -d "$1" ] && ! [ -L "$1" ] && [ "$(stat -c '%U %a' "$1")" = "$2 $3" ]; then
    kept "$1"
    return
  fi
  if [ -L "$1" ]; then refuse "$1 is a link" "a folder" "look where it leads; rm $1"; fi
  local how=changed
  if ! [ -e "$1" ]; then how=made; fi
  if changes "$how" "$1"; then install -d -m "$3" -o "$2" -g "$(id -gn "$2")" "$1"; fi
}

# Puts a file of the release's table into this folder; nothing of it is opened before its digest is compared.
fetch() { # name, where it is published
  local from=$2
  if [ -n "$archives" ]; then
    [ -f "$archives/$1" ] || refuse "no $archives/$1" "the file, as the release's table names it" "put it there; or leave installation.archives out"
    cp "$archives/$1" "$here/$1"
    return
  fi
  if [ -n "$mirror" ]; then from=$mirror/$1; fi
  curl --fail --silent --show-error --location --proto '=https' --retry 3 --retry-all-errors --connect-timeout 20 --max-time 900 \
    --output "$here/$1" "$from" || refuse "$from cannot be fetched" "the file, over https" "the machine's way out; or installation.mirror, or installation.archives"
}

compare() { # file of this folder, sha256
  local digest
  digest=$(sha256sum <"$here/$1")
  [ "${digest%% *}" = "$2" ] || refuse "$1 has sha256 ${digest%% *}" "$2, of the release's table" "it was changed on the way, or is another file: get it anew"
}

# ------------------------------------------------------------------------------------------------- the steps

look_at_system() {
  begin system
  [ "$EUID" = 0 ] || refuse "user id $EUID" "root" "a user of the machine who becomes root by sudo without a password"
  [ -d /run/systemd/system ] || refuse "no systemd" "a machine that systemd runs" "another image"
  case $(uname -m) in
    x86_64) architecture=x64 ;;
    aarch64) architecture=arm64 ;;
    *) refuse "$(uname -m)" "x86_64 or aarch64" "another machine: GitHub's agent and HyOps run on these" ;;
  esac
  fact architecture "$architecture"
  if [ -z "$only_say$restart_agent" ] && grep -qsx 'Runner\.Worker' /proc/[0-9]*/comm; then
    refuse "a job runs on this machine" "an agent without a job" "wait for it; or restart the agent all the same, which ends it"
  fi
}

# The commands that are needed, each with Debian's package; where there is no apt, or nothing may be fetched, they must be there.
install_packages() {
  begin packages
  local lacking=() packages=() pair
  for pair in bash:bash curl:curl git:git tar:tar gzip:gzip flock:util-linux runuser:util-linux visudo:sudo python3:python3; do
    command -v "${pair%%:*}" >/dev/null || { lacking+=("${pair%%:*}") packages+=("${pair##*:}"); }
  done
  python3 -I -c 'import ensurepip, venv' 2>/dev/null || { lacking+=("Python's venv") packages+=(python3-venv); }
  command -v nft >/dev/null || command -v iptables >/dev/null || { lacking+=("nft or iptables") packages+=(nftables); }
  [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || { lacking+=(certificates) packages+=(ca-certificates); }
  [[ $(ldconfig -p) == *libicuuc.so* ]] || { lacking+=("libicu, of GitHub's agent") packages+=(libicu); }
  if [ ${#lacking[@]} -eq 0 ]; then
    kept "packages"
  elif [ -n "$archives" ] || ! command -v apt-get >/dev/null; then
    refuse "$(printf '%s, ' "${lacking[@]}" | sed 's/, $//') not there" "an image that brings them, where nothing is fetched or there is no apt" "install them into the image"
  elif changes made "packages ${packages[*]}"; then
    apt-get update -qq >&2
    local icu
    icu=$(apt-cache pkgnames libicu | grep -E '^libicu[0-9]+$' | sort -V | tail -n 1)
    apt-get install -y -qq --no-install-recommends "${packages[@]/#libicu/$icu}" >&2
  fi
  if command -v python3 >/dev/null && ! python3 -I -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    refuse "$(python3 --version)" "Python 3.11 or newer" "an image with one: Debian 12 or newer"
  fi
}

make_users() {
  begin users
  local user home
  for user in $RUNNER $HYOPS; do
    if id "$user" >/dev/null 2>&1; then
      [ "$(id -u "$user")" != 0 ] || refuse "$user is root" "a user of its own" "another name for it"
      kept "user $user"
    elif changes made "user $user"; then
      useradd --system --user-group --create-home --home-dir "/home/$user" --shell /bin/bash "$user"
    fi
    if id "$user" >/dev/null 2>&1; then
      home=$(getent passwd "$user" | cut -d: -f6)
      if ! [ -d "$home" ] || [ "$(stat -c %U "$home")" != "$user" ]; then
        refuse "$home, the home of $user, is not its own" "a home that belongs to $user" "userdel $user, and it is made anew; or give it a home: usermod --move-home --home /home/$user $user"
      fi
      folder "$home" "$user" 700
    fi
  done
}

# The agent keeps itself current; what is there is replaced where it is older than what GitHub still registers, and where it is to be
# registered anew: its files are its user's, and a job may have changed what would read the token.
install_agent() {
  begin agent
  local there draft before anew=
  if [ -e $AGENT/.runner ] && { [ -n "$again" ] || ! is_registered; }; then anew=1; fi
  for before in "$AGENT".before.*; do # a setup was cut off while it replaced the agent
    if [ -z "$only_say" ] && [ -d "$before" ] && ! [ -e "$AGENT" ]; then mv -T "$before" "$AGENT"; fi
  done
  if [ -z "$only_say" ]; then rm -rf "$AGENT".????????; fi
  if [ -x "$AGENT/config.sh" ] && [ -x "$AGENT/bin/Runner.Listener" ]; then
    there=$(cd "$AGENT" && HOME=/home/$RUNNER as_runner ./bin/Runner.Listener --version 2>/dev/null | tail -n 1) || there=0
    fact agent "$there"
    if [ -z "$anew" ] && [ "$(printf '%s\n' "$agent_version" "$there" | sort -V | tail -n 1)" = "$there" ]; then
      kept "$AGENT"
      return
    fi
  fi
  fact agent "$agent_version"
  local sha256=agent_sha256_$architecture name=actions-runner-linux-$architecture-$agent_version.tar.gz
  if ! changes "$([ -e "$AGENT" ] && echo changed || echo made)" "$AGENT"; then return; fi
  fetch "$name" "https://github.com/actions/runner/releases/download/v$agent_version/$name"
  compare "$name" "${!sha256}"
  draft=$(mktemp -d "$AGENT.XXXXXXXX")
  tar -xzf "$here/$name" -C "$draft" --no-same-owner
  rm -f "$here/$name"
  chown -R $RUNNER:$RUNNER "$draft"
  if [ -e "$AGENT" ]; then # older, damaged, or another's work
    systemctl stop $UNIT 2>/dev/null || :
    local file
    for file in .runner .credentials .credentials_rsaparams .env .path; do
      if [ -e "$AGENT/$file" ]; then cp -a "$AGENT/$file" "$draft/"; fi
    done
    if [ -d "$AGENT/_work" ]; then mv "$AGENT/_work" "$draft/"; fi
    mv -T "$AGENT" "$AGENT.before.$$"
  fi
  chown root:$RUNNER "$draft"
  chmod 1775 "$draft"
  mv -T "$draft" "$AGENT"
  rm -rf "$AGENT".before.*
  restart=1
}

install_hyops() {
  begin hyops
  local marker=/opt/hybridops/release wanted source
  if [ -z "$hyops_version" ]; then
    [ -x "$CORE/venv/bin/hyops" ] || refuse "no $CORE/venv/bin/hyops" "HyOps of the image (installation.hyops is false)" "put it into the image; or leave installation.hyops out"
    kept "$CORE"
    return
  fi
  wanted="$hyops_version $hyops_tar_sha256 $(sha256sum <"$here/release/requirements/hyops.txt" | cut -c1-64) $(python3 -I -c 'import sys; print(*sys.version_info[:2])')"
  if [ -x "$CORE/venv/bin/hyops" ] && [ "$(cat $marker 2>/dev/null)" = "$wanted" ]; then
    kept "$CORE"
    return
  fi
  if ! changes "$([ -e $CORE ] && echo changed || echo made)" "$CORE"; then return; fi
  if [ -n "$(find /proc -maxdepth 1 -name '[0-9]*' -user $HYOPS -print -quit)" ]; then
    refuse "HyOps works on this machine" "a HyOps that is not in use, to put another release in its place" "wait for it: ps -u $HYOPS"
  fi
  # GitHub packs a tag as `git archive` does; how it compresses that is not promised, so the tar inside is compared.
  local name=hybridops-core-$hyops_version
  fetch "$name.tar.gz" "https://github.com/hybridops-tech/hybridops-core/archive/refs/tags/v$hyops_version.tar.gz"
  gzip -dc "$here/$name.tar.gz" >"$here/$name.tar"
  compare "$name.tar" "$hyops_tar_sha256"
  tar -xf "$here/$name.tar" -C "$here" --no-same-owner
  source=$here/$name
  # pip as Python brings it for new environments, out of its wheel.
  local pip
  pip=$(python3 -I -c '
import ensurepip, pathlib, sysconfig
places = [sysconfig.get_config_var("WHEEL_PKG_DIR"), pathlib.Path(ensurepip.__file__).parent / "_bundled"]
print([wheel / "pip" for place in places if place for wheel in pathlib.Path(place).glob("pip-*.whl")][0])')
  local flags=(--require-hashes --only-binary :all: --no-deps --disable-pip-version-check --no-cache-dir --quiet)
  if [ -n "$wheelhouse" ]; then flags+=(--no-index --find-links "$wheelhouse"); fi
  HOME=/nonexistent python3 -I "$pip" install "${flags[@]}" -r "$here/release/requirements/hyops.txt" --target "$source/vendor/python" >&2 ||
    refuse "pip could not get what HyOps imports" "the wheels of requirements/hyops.txt, by their hashes" "the machine's way to a package index; or installation.wheelhouse"
  mkdir -p "$here/home" # for the wrapper that its installer insists on: jobs start HyOps by its path
  HOME=$here/home HYOPS_INSTALL_NO_DEPS=true bash "$source/install.sh" --prefix "$CORE" --no-system-link --no-setup-all --force >&2
  rm -rf "$here/home" "$source" "$here/$name.tar" "$here/$name.tar.gz"
  chown -R root:root /opt/hybridops
  chmod -R go-w /opt/hybridops
  chmod 755 /opt/hybridops
  printf '%s\n' "$wanted" >$marker
}

# What is the same on every prepared host, by the release's own command: key, trust file, hook, environment, sudo rule.
prepare_host() {
  begin prepare
  local flags=(--user $RUNNER --trust "$here/trust.json" --agent $AGENT --format json) said
  if [ -n "$wheelhouse" ]; then flags+=(--wheelhouse "$wheelhouse"); fi
  if [ -n "$only_say" ]; then
    if ! id $HYOPS >/dev/null 2>&1 || ! [ -e $AGENT/config.sh ] || ! compgen -G "$PROGRAMS/*/complete" >/dev/null; then
      changes made "$SETTINGS" || :
      changes made "$PROGRAMS" || :
      return
    fi
    flags+=(--dry-run)
  fi
  said=$(bash "$here/release/actions/setup/setup.sh" runner prepare "${flags[@]}" 2>"$here/prepare.err") || {
    cat "$here/prepare.err" >&2
    python3 -I -c 'import json, sys; said = json.load(sys.stdin)["error"]; print(*(said[each] for each in ("gate", "reason", "found")), sep=": ")' <<<"$said" >&2 ||
      printf '%s\n' "$said" >&2
    return 1
  }
  said=$(python3 -I -c 'import json, sys; print(json.dumps(json.load(sys.stdin)))' <<<"$said")
  echo "prepared $said"
  case $said in *"\"kept\", \"$AGENT/.env\""*) ;; *) restart=1 ;; esac
}

# The folder of HyOps' envs is its user's alone. The password of their bundles is brought by people.
make_envs() {
  begin envs
  if [ -n "$envs_base" ]; then
    if id $HYOPS >/dev/null 2>&1; then folder "$envs_base" $HYOPS 700; else changes made "$envs_base" || :; fi
  fi
  if [ -n "$password_file" ] && ! [ -e "$password_file" ]; then fact left "$password_file: the password of the bundles, mode 0600, of user $HYOPS"; fi
}

# What asks the metadata address gets the machine's own credentials. Root and HyOps may; names are resolved there on some clouds.
close_metadata() {
  begin metadata
  local filter program uid same=1
  if [ -n "$only_say" ] && ! command -v nft >/dev/null && ! command -v iptables >/dev/null; then
    changes made $METADATA_UNIT || :
    return
  fi
  uid=$(id -u $HYOPS 2>/dev/null || echo none)
  if command -v nft >/dev/null && nft list tables >/dev/null 2>&1; then
    filter=$SETTINGS/metadata.nft program="$(command -v nft) -f $filter"
    put $filter 0644 <<RULES
# Closes the metadata address to everybody but root and $HYOPS; port 53 is the name server of some clouds.
table inet dr_dispatch
delete table inet dr_dispatch
table inet dr_dispatch {
  chain output {
    type filter hook output priority filter; policy accept;
    ip daddr $METADATA tcp dport != 53 meta skuid != { 0, $uid } reject with tcp reset
    ip6 daddr { ${METADATA6/ /, } } tcp dport != 53 meta skuid != { 0, $uid } reject with tcp reset
  }
}
RULES
  elif command -v iptables >/dev/null && iptables -w -L OUTPUT >/dev/null 2>&1; then
    filter=$SETTINGS/metadata.sh program="/bin/sh $filter"
    put $filter 0755 <<RULES
#!/bin/sh
# Closes the metadata address to everybody but root and $HYOPS; port 53 is the name server of some clouds.
set -eu
close() { # iptables or ip6tables, addresses
  program=\$1
  shift
  "\$program" -w -N dr-dispatch 2>/dev/null || "\$program" -w -F dr-dispatch
  for uid in 0 $uid; do "\$program" -w -A dr-dispatch -m owner --uid-owner "\$uid" -j RETURN; done
  "\$program" -w -A dr-dispatch -p tcp -j REJECT --reject-with tcp-reset
  for address; do
    "\$program" -w -C OUTPUT -d "\$address" -p tcp ! --dport 53 -j dr-dispatch 2>/dev/null ||
      "\$program" -w -I OUTPUT -d "\$address" -p tcp ! --dport 53 -j dr-dispatch
  done
}
close iptables $METADATA
if [ -e /proc/net/if_inet6 ]; then close ip6tables $METADATA6; fi
RULES
  else
    refuse "neither nft nor iptables works here" "one of them, to close the metadata address $METADATA to jobs" "a kernel with nf_tables, and the package nftables"
  fi
  if [ -n "$differs" ]; then same=; fi
  # What flushes every rule brings this one back.
  if [ "$filter" = $SETTINGS/metadata.nft ]; then
    put $UNITS/nftables.service.d/dr-dispatch.conf 0644 <<RULES
[Service]
ExecStartPost=$program
ExecReload=$program
ExecStopPost=$program
RULES
  fi
  if [ -n "$differs" ]; then same=; fi
  put $UNITS/$METADATA_UNIT 0644 <<RULES
[Unit]
Description=Metadata address closed to jobs (dr-dispatch)
DefaultDependencies=no
After=local-fs.target nftables.service
Before=network-pre.target
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=$program

[Install]
WantedBy=multi-user.target
RULES
  if [ -n "$differs" ]; then same=; fi
  # Also where nothing changed: a setup may have been cut off between file and kernel.
  if [ -z "$only_say" ]; then $program; fi
  started $METADATA_UNIT "$same"
}

# Enables and starts a unit; where its files changed, anew.
started() { # unit, 1 where nothing of it changed
  if [ -n "$2" ] && systemctl is-enabled --quiet "$1" 2>/dev/null && systemctl is-active --quiet "$1" &&
    [ "$(systemctl show --property NeedDaemonReload --value "$1")" = no ]; then
    kept "$1"
    return
  fi
  if changes "$(systemctl is-enabled --quiet "$1" 2>/dev/null && echo changed || echo made)" "$1"; then
    systemctl daemon-reload
    systemctl enable --quiet "$1"
    systemctl restart "$1"
  fi
}

# Without a registration the unit is there and does not start. A job that ends its service's process ends no recovery: HyOps goes on
# to its end under its own supervisor, hence KillMode; run.sh hands the signal on to the agent only where RUNNER_MANUALLY_TRAP_SIG is set.
write_unit() {
  begin unit
  put $UNITS/$UNIT 0644 <<RULES
[Unit]
Description=GitHub Actions runner (dr-dispatch)
Requires=$METADATA_UNIT
After=$METADATA_UNIT network-online.target
Wants=network-online.target
ConditionPathExists=$AGENT/.runner
StartLimitIntervalSec=0

[Service]
User=$RUNNER
Group=$RUNNER
WorkingDirectory=$AGENT
Environment=ACTIONS_RUNNER_HOOK_JOB_STARTED=$PROGRAMS/job-started.sh
Environment=RUNNER_MANUALLY_TRAP_SIG=1
ExecStart=$AGENT/run.sh
Restart=always
RestartSec=5
KillMode=process
KillSignal=SIGTERM
TimeoutStopSec=5min
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
RULES
  if [ -n "$differs" ]; then restart=1; fi
}

# ------------------------------------------------------------------------------------------------- the registration

registration() { # what the host says of itself, in the form that is compared
  printf 'url=%s\nname=%s\nlabels=%s\ngroup=%s\n' "$url" "$name" "$labels" "$group"
}

is_registered() {
  [ -f $AGENT/.runner ] && [ -f $AGENT/.credentials ] && [ "$(cat $SETTINGS/registration 2>/dev/null)" = "$(registration)" ]
}

look_at_registration() {
  begin registration
  if is_registered && [ -z "$again" ]; then
    fact registration same
    kept "registration as $name"
    run_agent
  elif [ -f $AGENT/.runner ]; then
    fact registration other
    if [ -n "$only_say" ]; then changes changed "registration as $name" || :; fi
  else
    fact registration none
    if [ -n "$only_say" ]; then changes made "registration as $name" || :; fi
  fi
}

run_agent() {
  if [ -n "$restart" ] || [ -n "$restart_agent" ]; then started $UNIT ""; else started $UNIT 1; fi
}

# What a job left behind could read the environment of config.sh: the user is the same.
end_all_of_jobs() {
  rm -f /var/spool/cron/crontabs/$RUNNER /var/spool/cron/$RUNNER /var/lib/systemd/linger/$RUNNER
  as_runner bash -c 'kill -KILL -- -1' 2>/dev/null || : # every process that this user may end
}

# The token is in the environment of config.sh alone, which GitHub's agent reads and clears (ACTIONS_RUNNER_INPUT_*).
register() {
  begin register
  local token how=made said flags=(--unattended --replace --url "$url" --name "$name" --labels "$labels" --work _work)
  if [ -n "$group" ]; then flags+=(--runnergroup "$group"); fi
  IFS= read -r token || :
  [ -n "$token" ] || refuse "nothing that registers it" "a registration token" "look at what minted it"
  if [ -e $AGENT/.runner ]; then
    how=changed
    systemctl stop $UNIT
    rm -f $AGENT/.runner $AGENT/.credentials $AGENT/.credentials_rsaparams
  fi
  rm -f $SETTINGS/registration
  end_all_of_jobs
  if ! said=$(cd $AGENT && HOME=/home/$RUNNER ACTIONS_RUNNER_INPUT_TOKEN=$token as_runner ./config.sh "${flags[@]}" 2>&1); then
    printf '%s\n' "${said//"$token"/***}" | tail -n 5 >&2
    return 1
  fi
  [ -f $AGENT/.runner ] || refuse "no $AGENT/.runner" "a registered agent" "look at $AGENT/_diag"
  put $SETTINGS/registration 0644 >/dev/null < <(registration)
  echo "$how registration as $name"
  restart=1
  run_agent
}

case $1 in
  setup)
    look_at_system
    install_packages
    make_users
    install_agent
    install_hyops
    prepare_host
    make_envs
    close_metadata
    write_unit
    look_at_registration
    ;;
  register)
    register
    ;;
esac
fact done "$1"
