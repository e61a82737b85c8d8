#!/bin/bash
# SPDX-License-Identifier: MIT
# Boot Linux with its self-test: linux.sh VCPUS [PCPUS [POSTHORN-OPTION...]]
# FETCH_KERNEL in the environment: which of tools/ finds the kernel.
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

cpus=$1
pcpus=${2:-2}
shift $(($# < 2 ? $# : 2))
kernel=$("$root/tools/${FETCH_KERNEL:-fetch-kernel.sh}") || { echo "no kernel could be fetched"; exit 1; }
boot --kernel "$kernel" --initrd "$build/run/initrd" --cpus "$cpus" --pcpus "$pcpus" \
	--memory 512M --append "console=ttyS0 quiet panic=-1 posthorn.selftest posthorn.cpus=$cpus" \
	--timeout "${LIMIT:-150}" "$@"
[ "$status" = 1 ] || fail "status $status"
stopped vm0 debug-exit 1
on_console '^SELFTEST PASS: the whole'
for kind in posted_ipi posted_lvt posted_ioapic injected; do
	[ "$(sum_of $kind vm0)" -gt 0 ] || [ "$cpus $kind" = "1 posted_ipi" ] ||
		fail "the delivery table counts no $kind"
done
