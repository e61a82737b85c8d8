#!/bin/bash
# SPDX-License-Identifier: MIT
# The hypervisor's kernel tests itself on bare (emulated) metal; its lines are TAP. With an argument
# "panic", "fault" or "overflow" it must end in a panic that says so, not hang.
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

end=${1:-}
module=()
if [ -n "$end" ]; then
	printf '%s\n' "$end" >"$work/module"
	module=(-initrd "$work/module")
fi
emulate 50 256M -kernel "$build/posthorn-selftest.elf" "${module[@]}" \
	-serial "file:$work/console" -serial "file:$work/log" </dev/null
status=$?
sed 's/\r$//; s/^posthorn: //' "$work/console" "$work/log"
case $end in
'') wanted=33 text='self-test on 2 CPUs: 0 failed' ;;
panic) wanted=37 text='panic: wanted by the module: 42' ;;
fault) wanted=37 text='panic: exception #PF error=0x3 ' ;;
overflow) wanted=37 text='panic: exception #DF ' ;;
esac
[ $status = $wanted ] || fail "the emulator's status is $status, not $wanted"
grep -q "$text" "$work/log" || fail "no '$text'"
[ -z "$end" ] || grep -q 'panic: rip=' "$work/log" || fail "no registers"
