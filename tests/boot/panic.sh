#!/bin/bash
# SPDX-License-Identifier: MIT
# A panic while guests run: registers, the state of each vCPU, the last trace events; then the emulator ends.
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

"$posthorn" run --guest "$build/guests/wild.elf" --append iterations=0 --cpus 2 --memory 64M --trace \
	--bundle "$work/bundle" --dry-run || fail "no bundle"
# The control channel is standard input and output here.
{
	for ((i = 0; i < 400; i++)); do
		! grep -q '^wild: ' "$work/console" 2>/dev/null || break
		sleep 0.1
	done
	echo panic
} | emulate 60 384M -kernel "$build/posthorn.elf" -initrd "$work/bundle" \
	-serial "file:$work/console" -serial stdio >"$work/log"
status=${PIPESTATUS[1]}
cat "$work/log"
[ "$status" = 37 ] || fail "the emulator's status is $status, not 37"
for text in 'panic: asked for by the control channel' 'panic: pCPU [01], thread ' 'vm0 vcpu 0:' 'vm0 vcpu 1:' \
	'panic: rip=' 'rip 0' 'exit [0-9]*: .* (cpuid) at rip' '@trace pcpu=0 .*,exit,' '@end status=18'; do
	grep -q "$text" "$work/log" || fail "no '$text'"
done
