#!/bin/bash
# SPDX-License-Identifier: MIT
# How fast the race lab searches: lab.sh [FILE]. Prints the figures, and writes them as JSON to FILE.
# One vCPU and three senders under TSO with one thread and with two, then all scenarios with their mutants
# and the audit on two cores. Times of the search are the best of RUNS runs: by the clock, which says little on a
# machine that others use; all CPU time; and what it would take if each thread had a CPU for itself: the CPU time
# of the slower thread of each level, and that between the levels. Where another program took a thread's CPU away
# the other one did its work, so that figure is too high rather than too low.
set -eu
cd "$(dirname "$0")/.."
lab=${LAB:-build/posthorn-lab}
runs=${RUNS:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# best JOBS: "SECONDS CPU-SECONDS OWN-CPU-SECONDS STATES TRANSITIONS BYTES", times the least of all runs.
best() {
	local i
	for ((i = 0; i < runs; i++)); do
		"$lab" run post-spin --senders 3 --no-lasso --jobs "$1" --json >"$work/run"
		sed -nE 's/.*"states": ([0-9]+), "transitions": ([0-9]+).*/\1 \2/p
			s/.*"search_seconds": ([0-9.]+), "search_cpu_seconds": ([0-9.]+), "search_path_seconds": ([0-9.]+).*/\1 \2 \3/p
			s/.*"memory": ([0-9]+).*/\1/p' "$work/run" | tr '\n' ' '
		echo
	done | awk '
		NR == 1 || $3 < wall { wall = $3 }
		NR == 1 || $4 < cpu { cpu = $4 }
		NR == 1 || $5 < path { path = $5 }
		{ states = $1; transitions = $2; bytes = $6 }
		END { print wall, cpu, path, states, transitions, bytes }'
}

# peak COMMAND...: run it; leaves wall seconds in $seconds and the peak memory of all processes, in KiB, in $peak.
peak() {
	local start=$EPOCHREALTIME pid now
	"$@" >"$work/out" 2>&1 &
	pid=$!
	peak=0
	while kill -0 "$pid" 2>/dev/null; do
		# PSS: what processes share counts once.
		now=$(for process in "$pid" $(pgrep -P "$pid" || true); do
			awk '/^Pss:/ { print $2 }' "/proc/$process/smaps_rollup" 2>/dev/null || true
		done | awk '{ sum += $1 } END { print sum + 0 }')
		[ "$now" -le "$peak" ] || peak=$now
		sleep 0.2
	done
	wait "$pid" || { cat "$work/out" >&2; exit 1; }
	seconds=$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $start }")
}

read -r one_seconds one_cpu one_path states transitions one_memory <<<"$(best 1)"
read -r two_seconds two_cpu two_path _ _ two_memory <<<"$(best 2)"
peak "$lab" run --jobs 2
set_seconds=$seconds
set_peak=$peak
scenarios=$(tail -n 1 "$work/out" | cut -d' ' -f1)
peak "$lab" audit --no-lasso --jobs 2
audit_seconds=$seconds
audit_peak=$peak

json=$(awk -v s1="$one_seconds" -v s2="$two_seconds" -v c1="$one_cpu" -v c2="$two_cpu" \
	-v p1="$one_path" -v p2="$two_path" -v states="$states" -v t="$transitions" -v m1="$one_memory" \
	-v m2="$two_memory" -v set="$set_seconds" -v setp="$set_peak" -v n="$scenarios" -v audit="$audit_seconds" \
	-v auditp="$audit_peak" -v date="$(date +%F)" -v load="$(cut -d' ' -f1 /proc/loadavg)" 'BEGIN {
	peak = setp > auditp ? setp : auditp
	printf "{\n\t\"date\": \"%s\",\n\t\"load\": %s,\n", date, load
	printf "\t\"scenario\": \"post-spin, 3 senders, TSO\",\n\t\"states\": %d,\n\t\"transitions\": %d,\n", states, t
	printf "\t\"one_thread\": { \"per_second\": %.0f, \"per_cpu_second\": %.0f, \"aim\": 3000000, \"met\": %s },\n",
		t / s1, t / c1, (t / c1 >= 3e6) ? "true" : "false"
	printf "\t\"two_threads\": { \"per_second\": %.0f, \"per_cpu_second\": %.0f, \"times_one\": %.2f, ", t / s2,
		t / c2, s1 / s2
	printf "\"times_one_by_cpu\": %.2f, \"aim\": 1.6, \"met\": %s },\n", p1 / p2,
		(p1 / p2 >= 1.6 || s1 / s2 >= 1.6) ? "true" : "false"
	printf "\t\"all\": { \"scenarios\": %d, \"seconds\": %.1f, \"audit_seconds\": %.1f, \"aim\": 300, \"met\": %s },\n",
		n, set, audit, (set + audit < 300) ? "true" : "false"
	printf "\t\"memory_mib\": { \"one\": %d, \"two\": %d, \"peak_of_all\": %d, \"aim\": 4096, \"met\": %s }\n}\n",
		m1 / 1048576, m2 / 1048576, peak / 1024, (peak < 4194304) ? "true" : "false"
}')
echo "$json"
[ $# = 0 ] || echo "$json" >"$1"
