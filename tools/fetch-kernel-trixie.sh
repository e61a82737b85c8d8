#!/bin/bash
# SPDX-License-Identifier: MIT
# Get Debian 13's cloud kernel into the cache, whatever Debian this is. Prints the bzImage.
# shellcheck source=tools/trixie.sh
. "$(dirname "$0")/trixie.sh"

unpack_trixie linux-trixie boot linux-image-cloud-amd64
kernel=$(find "$root/boot" -name 'vmlinuz-*' | sort -V | tail -n 1)
[ -n "$kernel" ] || fail "$root/boot holds no kernel: remove $root and try again"
echo "$kernel"
