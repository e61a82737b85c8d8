#!/bin/bash
# SPDX-License-Identifier: MIT
# A guest that misbehaves beside one that works: beside.sh BAD CODE REASON STATUS
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

bad=$1 code=$2 reason=$3 wanted=$4
boot --guest "$build/guests/$bad.elf" --name bad --cpus 2 --memory 64M \
	--guest "$build/guests/ipi_storm.elf" --name good --cpus 2 --memory 64M \
	--pcpus 1 --timeout "${LIMIT:-100}"
stopped bad "$reason" "$code"
stopped good debug-exit 1
on_console '^\[good\] RESULT ipi_storm PASS'
[ "$status" = "$wanted" ] || fail "status $status"
