#!/usr/bin/env bash
# The two commands in an empty Debian 12, from a clean clone of HEAD: once as root, once as a user with sudo.
# Status 77 (skipped) without root or debootstrap. Needs about 5 GB below $TMPDIR.
set -euo pipefail

if [[ ${1:-} == --help ]]; then
  echo "tests/long/chroot.sh [--data DIR]: DIR is handed to tools/quickstart as the user's cache of MNIST"
  exit
fi
if ((EUID != 0)) || ! command -v debootstrap >/dev/null; then
  echo "skipped: needs root and debootstrap"
  exit 77
fi
data=
[[ ${1:-} == --data ]] && data=$(realpath "$2")

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Mounts of our own, which vanish with this process.
[[ ${TOMBOLA_UNSHARED:-} == yes ]] || TOMBOLA_UNSHARED=yes exec unshare --mount --propagation private "$0" "$@"
work=$(mktemp -d)
cleanup() {
  local mounted
  for mounted in "$work"/*/proc; do umount "$mounted" 2>/dev/null || true; done
  rm -rf --one-file-system "$work"
}
trap cleanup EXIT

say() { echo "chroot: $*"; }

timed() { # timed WHAT COMMAND...: says how long it took
  local what=$1 start=$SECONDS status=0
  shift
  "$@" || status=$?
  say "$what: status $status after $((SECONDS - start)) s"
  return $status
}

make_base() {
  local mirror
  mirror=$(sed -nE 's/^URIs: +([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]+).*/\2/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/*.{sources,list} 2>/dev/null | grep -m 1 debian || true)
  debootstrap --variant=minbase bookworm "$work/base" ${mirror:+"$mirror"} >"$work/debootstrap.log" 2>&1 || {
    tail -n 20 "$work/debootstrap.log" >&2
    return 1
  }
  # How this machine reaches its packages: sources, keys and proxies.
  rm -f "$work/base/etc/apt/sources.list"
  cp -a /etc/apt/. "$work/base/etc/apt/"
  cp -L /etc/resolv.conf /etc/hosts "$work/base/etc/"
}

inside() { # inside CHROOT USER COMMAND
  chroot "$work/$1" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
    setpriv --reuid="$2" --regid="$2" --init-groups bash -c "export HOME=~$2; cd ~$2; $3" </dev/null
}

try_commands() { # try_commands CHROOT USER
  local home last
  home=$work/$1$(inside "$1" "$2" pwd)
  git clone --quiet --no-local "$root" "$home/tombola"
  if [[ -n $data ]]; then
    mkdir -p "$home/.cache/tombola"
    cp -r "$data" "$home/.cache/tombola/mnist"
  fi
  inside "$1" root "chown -R $2: ~$2"
  timed "$2: quickstart" inside "$1" "$2" tombola/tools/quickstart
  timed "$2: test" inside "$1" "$2" "tombola/tools/test > test.log 2>&1" || {
    tail -n 50 "$home/test.log" >&2
    return 1
  }
  last=$(tail -n 1 "$home/test.log")
  say "$2: $last"
  [[ $last =~ ^[0-9]+\ passed,\ 0\ failed$ ]]
  if [[ $2 != root && -n $(find "$home/tombola" -user root -print -quit) ]]; then
    say "files of root's stay in the clone: $(find "$home/tombola" -user root | head -n 3)"
    return 1
  fi
}

timed "debootstrap" make_base
cp -a "$work/base" "$work/as_root"
mv "$work/base" "$work/as_user"
for chroot in as_root as_user; do
  mount -t proc proc "$work/$chroot/proc"
done
{
  inside as_user root "apt-get -qq update && apt-get -qq install -y --no-install-recommends sudo"
  inside as_user root "useradd --create-home --shell /bin/bash tester"
  inside as_user root "echo 'tester ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/tester"
} >"$work/sudo.log" 2>&1 || {
  tail -n 20 "$work/sudo.log" >&2
  exit 1
}

try_commands as_root root
try_commands as_user tester
