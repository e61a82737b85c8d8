#!/bin/bash
# SPDX-License-Identifier: MIT
# Run one of guests/: guest.sh NAME VCPUS PCPUS CODE REASON NEEDS ARGUMENTS [POSTHORN-OPTION...]
# The fields are those of guests/LIST; LIMIT in the environment is the time it has.
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

name=$1 cpus=$2 pcpus=$3 code=$4 reason=$5 needs=$6 arguments=$7
shift 7
set -- --guest "$build/guests/$name.elf" --cpus "$cpus" --pcpus "$pcpus" --memory 64M \
	--timeout "${LIMIT:-50}" "$@"
[ "$arguments" = - ] || set -- "$@" --append "${arguments//,/ }"

# Empty lines first: a UART that is being set up drops what came early.
if [[ $needs == *input* ]]; then
	boot_input=$work/input
	{
		printf '\n%.0s' {1..64}
		printf 'hello posthorn\nquit\n'
	} >"$boot_input"
fi
boot "$@"

# A guest that finds it cannot test here says SKIP and leaves with 5.
if [ "$status" = 5 ] && grep -q "^RESULT $name SKIP" "$work/console"; then
	grep "^RESULT $name SKIP" "$work/console"
	exit 77
fi
line=$(grep '^@vm vm0 stopped ' "$work/log") || fail "the log does not say how the VM stopped"
# "error" is followed by its text.
[[ $line =~ ^@vm\ vm0\ stopped\ ($reason)(:.*)?\ code=$code$ ]] ||
	fail "'$line' is not $reason with code=$code"
case ${BASH_REMATCH[1]} in
debug-exit)
	[ "$status" = "$code" ] || fail "status $status"
	[ "$code" != 1 ] || on_console "^RESULT $name PASS"
	;;
poweroff | reset) [ "$status" = 0 ] || fail "status $status" ;;
*) [ "$status" = 72 ] || fail "status $status" ;;
esac
[[ $needs != *input* ]] || on_console '^echo: hello posthorn'
