#!/bin/sh
# SPDX-License-Identifier: MIT
# Make the small initrd of `make run`: make-initrd.sh OUT SELFTEST-BINARY
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
[ $# = 2 ] || { echo "usage: make-initrd.sh OUT SELFTEST-BINARY" >&2; exit 64; }
out=$1
selftest=$2

busybox=$(command -v busybox) ||
	{ echo "make-initrd: no busybox; apt-get install busybox-static" >&2; exit 1; }
if ldd "$busybox" >/dev/null 2>&1; then
	echo "make-initrd: $busybox is not static; apt-get install busybox-static" >&2
	exit 1
fi

mkdir -p "$(dirname "$out")"
work=$(mktemp -d "$(dirname "$out")/initrd.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/root"
cp "$busybox" "$root/bin/busybox"
cp "$here/initrd/init" "$root/init"
cp "$selftest" "$root/bin/selftest"
chmod 0755 "$root/init" "$root/bin/busybox" "$root/bin/selftest"
# Not compressed: unpacking under an emulator costs more than loading a few megabytes.
(cd "$root" && find . -print | LC_ALL=C sort |
	cpio --quiet --reproducible -o -H newc -R 0:0) >"$work/initrd"
mv "$work/initrd" "$out"
