#!/bin/bash
# SPDX-License-Identifier: MIT
# Run the programs of order.h on the model and as a guest, and compare what they saw:
# compare.sh xapic|x2apic [POSTHORN-OPTION...]
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/../boot/common.sh"

[ "$1" = x2apic ] && append="x2apic=1" || append="x2apic=0"
shift
model=$build/host/tests/hardware/model
"$model" >"$work/model" || fail "the model"
"$model" wrong >"$work/wrong" || fail "the wrong model"
"$posthorn" run --log "$work/log" --guest "$build/guests/order.elf" --memory 32M --append "$append" \
	--timeout "${LIMIT:-200}" "$@" >"$work/console" </dev/null
status=$?
tail -n 45 "$work/console"
[ "$status" = 1 ] || fail "status $status"
on_console 'RESULT order PASS'
programs() { grep '^order [^E]' "$1" | tr -d '\r'; }
# Differences, each with what the model saw (-) and what the guest saw (+).
if ! diff -U0 <(programs "$work/model") <(programs "$work/console") >"$work/diff"; then
	grep -E '^[-+]order' "$work/diff" | head -n 60
	fail "$(grep -c '^+order' "$work/diff") of $(programs "$work/model" | wc -l) programs differ"
fi
echo "$(programs "$work/model" | wc -l) programs: the guest saw what the model saw"
# The comparison can fail: another behaviour shows.
! diff -q <(programs "$work/wrong") <(programs "$work/console") >/dev/null ||
	fail "a wrong model makes no difference"
# With virtual-interrupt delivery, EOIs of level-triggered interrupts exit, and no others.
wanted=$(sed -n 's/^order EOI exits: //p' "$work/model")
seen=$(sum_of exit_virtualized_eoi vm0)
if grep -q '^@table vm0 vcpu=0 delivery=\(posted\|virtual\)' "$work/log"; then
	[ "$seen" = "$wanted" ] || fail "$seen EOI exits, by the model $wanted"
	echo "$seen EOI exits, as by the model"
fi
