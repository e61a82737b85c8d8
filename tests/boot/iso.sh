#!/bin/bash
# SPDX-License-Identifier: MIT
# Make a GRUB ISO with the guest hello and boot it from the emulator's CD drive.
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

"$posthorn" run --guest "$build/guests/hello.elf" --memory 64M --iso "$work/hello.iso" ||
	fail "no ISO was made"
emulate 80 256M -cdrom "$work/hello.iso" -vga none \
	-serial "file:$work/console" -serial "file:$work/log" </dev/null
status=$?
cat "$work/console" "$work/log"
[ $status = 33 ] || fail "the emulator's status is $status, not 33"
stopped vm0 debug-exit 1
on_console 'RESULT hello PASS'
