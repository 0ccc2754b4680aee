#!/usr/bin/env bash
# The tests of core, kernels and gates, compiled for 64-bit ARM (NEON) and run under emulation. Status 77 (skipped)
# without Debian's cross compiler and qemu-user. Speed is not looked at.
set -euo pipefail

compiler=aarch64-linux-gnu-g++
if ! command -v $compiler >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
  echo "skipped: needs g++-aarch64-linux-gnu and qemu-user"
  exit 77
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/include" # header-only packages of this machine, and nothing else of its own
for package in doctest xsimd eigen3; do ln -s "/usr/include/$package" "$work/include/$package"; done
flags="-std=c++20 -O2 -DNDEBUG -ffp-contract=off -fopenmp -w -I$root/include -I$root/tests -I$work/include -I$work/include/eigen3"
cd "$root/tests"
printf '%s\n' support/main.cpp {core,kernels,gates,known_answers}/*.cpp |
  xargs -P "$(nproc)" -I '{}' sh -c "$compiler $flags -c {} -o \$(echo $work/{} | sed 's,/\([a-z_]*\)/\([a-z0-9_]*\).cpp\$,/\1-\2.o,')"
$compiler -fopenmp -static "$work"/*.o -o "$work/tests"
qemu-aarch64 "$work/tests" --test-case-exclude='*100 million*'
