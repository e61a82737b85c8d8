#!/bin/sh
# SPDX-License-Identifier: MIT
# Check that no C function has more than 80 lines, braces included: check-functions.sh [ROOT]
set -eu
cd "${1:-$(dirname "$0")/..}"

find . \( -path ./build -o -path ./.git \) -prune -o -name '*.c' -print | LC_ALL=C sort |
	xargs awk -v limit=80 '
	FNR == 1 { name = ""; start = 0 }
	# The last line that began a declaration names the function; a lone "{" opens its body.
	/^[A-Za-z_].*\(/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
	/^{/ { start = FNR }
	/^}/ && start {
		count++
		if (FNR - start + 1 > limit) {
			printf "not ok - %s:%d: %s has %d lines\n", FILENAME, start, name, FNR - start + 1
			failed = 1
		}
		start = 0
	}
	END {
		if (!count) { print "not ok - no function found"; exit 1 }
		if (failed) exit 1
		printf "ok 1 - none of %d functions has more than %d lines\n", count, limit
	}'
