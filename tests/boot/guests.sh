#!/bin/bash
# SPDX-License-Identifier: MIT
# Run several of guests/ at once, each in a VM of its own, and check that each passes:
# guests.sh PCPUS NAME:VCPUS[:ARGUMENTS]... [POSTHORN-OPTION...]; commas in ARGUMENTS are blanks.
# With MIGRATE=MS each vCPU is moved to the next pCPU each MS milliseconds, and has to have been moved.
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

pcpus=$1
shift
vms=() names=()
while [ $# -gt 0 ] && [[ $1 != --* ]]; do
	IFS=: read -r name cpus arguments <<<"$1"
	label=$(tr _ - <<<"$name")-$cpus
	vms+=(--guest "$build/guests/$name.elf" --name "$label" --cpus "$cpus" --memory 32M)
	[ -z "$arguments" ] || vms+=(--append "${arguments//,/ }")
	[ -z "${MIGRATE:-}" ] || vms+=(--migrate "$MIGRATE")
	names+=("$name:$label")
	shift
done
boot "${vms[@]}" --pcpus "$pcpus" --timeout "${LIMIT:-200}" "$@"
[ "$status" = 1 ] || fail "status $status"
for entry in "${names[@]}"; do
	stopped "${entry#*:}" debug-exit 1
	on_console "RESULT ${entry%:*} PASS"
	[ -z "${MIGRATE:-}" ] || [ "$(sum_of migrations "${entry#*:}")" -gt 4 ] || fail "${entry#*:} was not migrated"
done
