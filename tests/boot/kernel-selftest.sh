#!/bin/bash
# SPDX-License-Identifier: MIT
# The hypervisor's kernel tests itself on bare (emulated) metal; its lines are TAP.
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

timeout 50 qemu-system-x86_64 -accel tcg,thread=single -cpu max -smp 2 -m 256M \
	-kernel "$build/posthorn-selftest.elf" -device isa-debug-exit,iobase=0xf4,iosize=4 \
	-display none -no-reboot -nodefaults -serial "file:$work/console" -serial "file:$work/log" \
	</dev/null
status=$?
sed 's/\r$//; s/^posthorn: //' "$work/console" "$work/log"
[ $status = 33 ] || fail "the emulator's status is $status, not 33"
