#!/bin/bash
# SPDX-License-Identifier: MIT
# Two Linux guests at once, each with its self-test.
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

kernel=$("$root/tools/fetch-kernel.sh") || { echo "no kernel could be fetched"; exit 1; }
append="console=ttyS0 quiet panic=-1 posthorn.selftest posthorn.cpus=2"
vm=(--kernel "$kernel" --initrd "$build/run/initrd" --cpus 2 --memory 384M --append "$append")
boot "${vm[@]}" --name left "${vm[@]}" --name right --pcpus 2 --timeout "${LIMIT:-170}" "$@"
[ "$status" = 1 ] || fail "status $status"
for name in left right; do
	stopped $name debug-exit 1
	on_console "^\[$name\] SELFTEST PASS: the whole"
	[ "$(sum_of posted_ipi $name)" -gt 0 ] || fail "$name sent no IPI"
done
