#!/bin/bash
# SPDX-License-Identifier: MIT
# 4 virtual CPUs on 2, moved about every 5 ms, send each other 1,000,000 IPIs: none lost.
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

boot --guest "$build/guests/soak.elf" --cpus 4 --pcpus 2 --memory 64M --migrate 5 \
	--timeout "${LIMIT:-280}"
[ "$status" = 1 ] || fail "status $status"
stopped vm0 debug-exit 1
on_console '^RESULT soak PASS'
[ "$(sum_of migrations vm0)" -gt 0 ] || fail "nothing was migrated"
[ "$(sum_of posted_ipi vm0)" -ge 1000000 ] || fail "fewer than 1,000,000 IPIs were posted"
