#!/bin/bash
# SPDX-License-Identifier: MIT
# Run fuzz targets one after the other: run-fuzz.sh SECONDS TARGET...  What they find beyond the corpus
# stays in $BUILD/fuzz-corpus, a crashing input in $BUILD/fuzz-crash; 1 if there was one.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
seconds=$1
shift

failed=0
for target in "$@"; do
	found=$build/fuzz-corpus/$target
	crash=$build/fuzz-crash/$target
	mkdir -p "$found" "$crash"
	echo "== $target, $seconds s"
	if ! nice -n 10 "$build/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="$crash/" "$found" "tests/fuzz/corpus/$target" \
		>"$build/fuzz-$target.log" 2>&1; then
		failed=1
		echo "not ok - $target: $build/fuzz-$target.log, input in $crash"
		grep -E 'ERROR|SUMMARY|does not hold|PH_BUG_ON|runtime error' "$build/fuzz-$target.log" | head -5
	else
		grep -E 'number_of_executed_units|new_units_added' "$build/fuzz-$target.log" | sed 's/^stat::/  /'
	fi
done
exit $failed
