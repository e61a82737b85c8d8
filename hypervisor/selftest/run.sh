#!/bin/sh
# SPDX-License-Identifier: MIT
# Run the kernel's self-test in QEMU: run.sh IMAGE CPUS [END]
# Status 0 if it ends as it should.  END "panic", "fault" or "overflow": it must end in a panic
# that says so.
set -u
image=$1 cpus=$2 end=${3:-}
command -v qemu-system-x86_64 >/dev/null || { echo "qemu-system-x86_64 is not installed"; exit 77; }
work=$(mktemp -d) || exit 74
trap 'rm -rf "$work"' EXIT
set -- -accel tcg -cpu max -smp "$cpus" -m 256 -display none -no-reboot -monitor none \
	-serial null -serial "file:$work/log" -device isa-debug-exit,iobase=0xf4 -kernel "$image"
if [ -n "$end" ]; then
	printf '%s\n' "$end" >"$work/module"
	set -- "$@" -initrd "$work/module"
fi
timeout 60 qemu-system-x86_64 "$@" </dev/null
status=$?
cat "$work/log"
case $end in
'') [ $status = 33 ] ;;
panic) [ $status = 37 ] && grep -q 'panic: wanted by the module: 42$' "$work/log" ;;
fault) [ $status = 37 ] && grep -q 'panic: exception #PF error=0x3 ' "$work/log" ;;
overflow) [ $status = 37 ] && grep -q 'panic: exception #DF ' "$work/log" ;;
esac || { echo "ended with emulator status $status"; exit 1; }
