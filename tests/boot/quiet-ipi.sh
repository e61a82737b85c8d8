#!/bin/bash
# SPDX-License-Identifier: MIT
# With posted interrupts, IPIs make their receiver exit no more often, however many they are:
# quiet-ipi.sh POSTHORN-OPTION...
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

FEW=100 MANY=3100

# The receiver's counters of a run with so many IPIs, KEY=VALUE a line, into $work/N.
counters() { # count
	boot --guest "$build/guests/quiet_ipi.elf" --cpus 2 --pcpus 2 --pin --memory 32M --append "count=$1" \
		--timeout "${LIMIT:-100}" "${options[@]}"
	[ "$status" = 1 ] || fail "status $status"
	grep -q '^@table vm0 vcpu=1 delivery=posted' "$work/log" || fail "the receiver has another delivery"
	on_console 'RESULT quiet_ipi PASS'
	grep '^@table vm0 vcpu=1 ' "$work/log" | tr ' ' '\n' | grep -E '=[0-9]+$' >"$work/$1"
}

value() { # count, key
	awk -F= -v key="$2" '$1 == key { print $2; found = 1 } END { if (!found) print 0 }' "$work/$1"
}

options=("$@")
counters $FEW
counters $MANY
extra=$((MANY - FEW))
# An interrupt of the host may always come: its timers, not one for each IPI.
for key in $(sed 's/=.*//' "$work/$FEW" "$work/$MANY" | sort -u); do
	grew=$(($(value $MANY "$key") - $(value $FEW "$key")))
	case $key in
	posted_ipi | notified) [ "$grew" = "$extra" ] || fail "$key grew by $grew, by $extra IPIs" ;;
	exit_external_interrupt | entries | laps)
		[ "$grew" -lt $((extra / 20)) ] || fail "$key grew by $grew with $extra IPIs"
		;;
	exit_* | injected | windows | kicked | elided) [ "$grew" = 0 ] || fail "$key grew by $grew" ;;
	esac
	case $key in posted_ipi | notified | exit_* | entries | injected) echo "$key +$grew" ;; esac
done
