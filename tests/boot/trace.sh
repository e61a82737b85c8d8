#!/bin/bash
# SPDX-License-Identifier: MIT
# The trace of a guest, out of the emulator and shown: trace.sh [POSTHORN-OPTION...]
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

"$posthorn" trace --json="$work/json" --log "$work/log" --guest "$build/guests/ipi_storm.elf" --cpus 2 --pcpus 2 \
	--memory 32M --append rounds=3 --timeout "${LIMIT:-100}" "$@" >"$work/console" </dev/null
status=$?
tail -n 60 "$work/console"
[ "$status" = 1 ] || fail "status $status"
on_console 'RESULT ipi_storm PASS'
on_console '^Trace: [1-9][0-9]* events'
for event in enter exit post block; do
	on_console "^ +[0-9]+\.[0-9]+ +vm0/[01] $event"
done
on_console '^ +[0-9.]+  vm0/' # in pCPU 0's column
on_console '^ +[0-9.]+ {32}vm0/'
grep -q '"ph":"X"' "$work/json" || fail "no slices in the JSON"
# What the log has kept shows the same.
"$posthorn" trace "$work/log" >"$work/again" || fail "the log cannot be shown"
diff <(sed -n '/^Trace: /,$p' "$work/console") <(sed -n '/^Trace: /,$p' "$work/again") ||
	fail "the log shows another trace"
