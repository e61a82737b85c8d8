#!/bin/bash
# SPDX-License-Identifier: MIT
# Many steps of the KVM oracle in chunks, each with seeds of its own: oracle-chunks.sh FOLDER STEPS [SEED]
#
# A chunk that passed is a file in FOLDER, named by its first seed, which counts for the tester that
# it was run with: called again, this goes on behind the last. It ends at the first chunk that
# fails (its output: FOLDER/failed); else it prints the sums. A machine that stands still (LIMIT,
# 1800 s a chunk) is started a second time, and that is said.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$1
wanted=$2
first=${3:-1000000}
chunk=250000
program=${BUILD:-build}/host/tests/oracle/kvm
tester=$(sha256sum "$program" | cut -c 1-16)
mkdir -p "$folder"

passed() { # FILE
	grep -qx "# tester $tester" "$1" 2>/dev/null
}

run() { # SEED
	LIMIT=${LIMIT:-1800} tools/on-kvm.sh "$program" --steps "$chunk" --seed "$1" >"$folder/failed" 2>&1
}

files=()
for ((seed = first; (seed - first) / 1000 * chunk < wanted; seed += 1000)); do
	file=$folder/$seed
	files+=("$file")
	passed "$file" && continue
	run "$seed" || { grep -q '^on-kvm: no end' "$folder/failed" && echo "$seed: no end; again" && run "$seed"; } ||
		{ cat "$folder/failed"; exit 1; }
	echo "# tester $tester" >>"$folder/failed"
	mv "$folder/failed" "$file"
	echo "$(date +%T) $seed: $(grep -o '^# [0-9.]* s on .*,' "$file")"
done

awk '
/ times: / { count = $2; sub(/^.* times: /, ""); listed[$0] += count }
/ s on Linux / { seconds += $2 }
/ cells compared/ { steps += $2; cells += $4 }
END {
	for (name in listed) printf "# %8d times: %s\n", listed[name], name | "sort -k 2nr"
	close("sort -k 2nr")
	printf "# %d steps, %d cells compared, %d s\n", steps, cells, seconds
}' "${files[@]}"
