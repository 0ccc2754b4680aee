# shellcheck shell=bash disable=SC2034,SC2154
# Shared by tools/quickstart and tools/test; sourced, with $root set to the top of the clone.

# What the programs need to build; the tests add to it.
build_packages=(g++ meson ninja-build pkgconf libeigen3-dev libxsimd-dev zlib1g-dev libcli11-dev nlohmann-json3-dev
  ca-certificates)

die() {
  echo "${0##*/}: error: $*" >&2
  exit 1
}

# install_packages NAME...: installs the Debian packages that are missing; quiet and quick where none is.
install_packages() {
  local missing=() package
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "${0##*/}: no apt here; make sure that these or their like are installed: $*" >&2
    return
  fi
  for package; do
    # one word for each architecture; "not-installed" is what dpkg says of packages that others only name
    [[ " $(dpkg-query -W -f='${db:Status-Status} ' "$package" 2>/dev/null)" == *' installed '* ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0

  local as_root=(env)
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      die "these packages are missing, and neither root nor sudo is at hand: ${missing[*]}"
    as_root=(sudo)
    [[ -t 0 || -t 2 ]] || as_root=(sudo -n) # nobody there to type a password
    as_root+=(env)
  fi
  echo "installing ${missing[*]}"
  local log apt=(DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  log=$(mktemp)
  if ! {
    "${as_root[@]}" "${apt[@]}" update &&
      "${as_root[@]}" "${apt[@]}" install -y --no-install-recommends "${missing[@]}"
  } </dev/null >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    die "apt could not install ${missing[*]}"
  fi
  rm -f "$log"
}

# become_owner ARG...: under sudo in somebody's clone, packages are in by now; runs the script again as the clone's
# owner, so that no file of root's stays there.
become_owner() {
  local uid gid home
  uid=$(stat -c %u "$root") gid=$(stat -c %g "$root")
  ((EUID == 0 && uid != 0)) || return 0
  command -v setpriv >/dev/null || return 0
  home=$(getent passwd "$uid" | cut -d: -f6) || home= # an owner whom this system does not know, as in a container
  local as_owner=(setpriv --reuid="$uid" --regid="$gid" --clear-groups env HOME="${home:-/nonexistent}")
  "${as_owner[@]}" test -w "$root" || return 0
  exec "${as_owner[@]}" "$0" "$@"
}

# configure FOLDER MESON_OPTION...: sets the build folder up, or again with these options; quiet unless it fails.
configure() {
  local folder=$1 log again=()
  shift
  [[ -f $folder/meson-private/coredata.dat ]] && again=(--reconfigure) # also where an interrupted run wrote no build.ninja
  log=$(mktemp)
  if meson setup "${again[@]}" "$@" "$folder" "$root" >"$log" 2>&1; then
    rm -f "$log"
    return 0
  fi
  tail -n 30 "$log" >&2
  rm -f "$log"
  return 1
}
