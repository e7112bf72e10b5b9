#!/bin/sh
# Check the archive of Isaac Gym Preview 4, and unpack it where a folder is given.
set -eu

fail() {
  echo "error: $*" >&2
  exit 2
}

[ $# -eq 1 ] || [ $# -eq 2 ] || fail "usage: docker/unpack_isaacgym.sh ARCHIVE [FOLDER]"
archive="$1"
[ -f "$archive" ] || fail "$archive: there is no such file; download Isaac Gym Preview 4 from" \
  "developer.nvidia.com/isaac-gym with your own account and put it into docker/"
tar -tzf "$archive" isaacgym/python/setup.py >/dev/null 2>&1 ||
  fail "$archive: isaacgym/python/setup.py is not in it; it is no complete archive of Preview 4"
[ $# -eq 1 ] || tar -xzf "$archive" --no-same-owner -C "$2"
