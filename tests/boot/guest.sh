#!/bin/bash
# SPDX-License-Identifier: MIT
# Run one of guests/: guest.sh NAME VCPUS PCPUS CODE REASON [POSTHORN-OPTION...]
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

name=$1 cpus=$2 pcpus=$3 code=$4 reason=$5
shift 5
boot --guest "$build/guests/$name.elf" --cpus "$cpus" --pcpus "$pcpus" --memory 64M \
	--timeout "${LIMIT:-50}" "$@"
# A guest that finds it cannot test here says SKIP and leaves with 5.
if [ "$code" != 5 ] && [ "$status" = 5 ] && grep -q "^RESULT $name SKIP" "$work/console"; then
	grep "^RESULT $name SKIP" "$work/console"
	exit 77
fi
stopped vm0 "$reason" "$code"
case $reason in
debug-exit)
	[ "$status" = "$code" ] || fail "status $status"
	[ "$code" != 1 ] || on_console "^RESULT $name PASS"
	;;
poweroff | reset) [ "$status" = 0 ] || fail "status $status" ;;
*) [ "$status" = 72 ] || fail "status $status" ;;
esac
