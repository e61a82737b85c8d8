#!/bin/bash
# SPDX-License-Identifier: MIT
# How fast the race lab searches: lab.sh [FILE]. Prints the figures, and writes them as JSON to FILE.
# One vCPU and three senders under TSO with one thread and with two by turns, then all scenarios with their
# mutants and the audit on two cores. Speeds are the best of RUNS runs; how many times faster two threads are is the
# median of the pairs, by the clock, which says little on a machine that others use, and by what it would take if
# each thread had a CPU for itself: the CPU time of the slower thread of each level, and that between the levels.
# When another program takes a thread's CPU away the other thread does its work, so this figure is rather too low.
# NOTE=TEXT goes into the record: what is particular about the machine at that time.
set -eu
cd "$(dirname "$0")/.."
lab=${LAB:-build/posthorn-lab}
runs=${RUNS:-7}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# search JOBS: one run: "SECONDS CPU-SECONDS OWN-CPU-SECONDS STATES TRANSITIONS BYTES".
search() {
	"$lab" run post-spin --senders 3 --no-lasso --jobs "$1" --json >"$work/run"
	sed -nE 's/.*"states": ([0-9]+), "transitions": ([0-9]+).*/\1 \2/p
		s/.*"search_seconds": ([0-9.]+), "search_cpu_seconds": ([0-9.]+), "search_path_seconds": ([0-9.]+).*/\1 \2 \3/p
		s/.*"memory": ([0-9]+).*/\1/p' "$work/run" | tr '\n' ' ' | awk '{ print $3, $4, $5, $1, $2, $6 }'
}

# median: of the numbers on standard input.
median() { sort -g | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

# best COLUMN FILE: the least of it.
best() { awk -v column="$1" 'NR == 1 || $column < least { least = $column } END { print least }' "$2"; }

# ratio COLUMN: the median of what one thread took to what two took in the run after it.
ratio() { paste -d' ' "$work/one" "$work/two" | awk -v column="$1" '{ print $column / $(column + 6) }' | median; }

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

for ((i = 0; i < runs; i++)); do
	search 1 >>"$work/one"
	search 2 >>"$work/two"
done
read -r _ _ _ states transitions one_memory <"$work/one"
read -r _ _ _ _ _ two_memory <"$work/two"
peak "$lab" run --jobs 2
set_seconds=$seconds
set_peak=$peak
scenarios=$(tail -n 1 "$work/out" | cut -d' ' -f1)
peak "$lab" audit --no-lasso --jobs 2
audit_seconds=$seconds
audit_peak=$peak

json=$(awk -v s1="$(best 1 "$work/one")" -v s2="$(best 1 "$work/two")" -v c1="$(best 2 "$work/one")" \
	-v c2="$(best 2 "$work/two")" -v times="$(ratio 1)" -v own="$(ratio 3)" -v states="$states" \
	-v t="$transitions" -v m1="$one_memory" -v m2="$two_memory" -v set="$set_seconds" -v setp="$set_peak" \
	-v n="$scenarios" -v audit="$audit_seconds" -v auditp="$audit_peak" -v date="$(date +%F)" \
	-v load="$(cut -d' ' -f1 /proc/loadavg)" -v note="${NOTE:-}" 'BEGIN {
	peak = setp > auditp ? setp : auditp
	printf "{\n\t\"date\": \"%s\",\n\t\"load\": %s,\n", date, load
	if (note)
		printf "\t\"note\": \"%s\",\n", note
	printf "\t\"scenario\": \"post-spin, 3 senders, TSO\",\n\t\"states\": %d,\n\t\"transitions\": %d,\n", states, t
	printf "\t\"one_thread\": { \"per_second\": %.0f, \"per_cpu_second\": %.0f, \"aim\": 3000000, \"met\": %s },\n",
		t / s1, t / c1, (t / c1 >= 3e6) ? "true" : "false"
	printf "\t\"two_threads\": { \"per_second\": %.0f, \"per_cpu_second\": %.0f, \"times_one\": %.2f, ", t / s2,
		t / c2, times
	printf "\"times_one_by_cpu\": %.2f, \"aim\": 1.6, \"met\": %s },\n", own,
		(times >= 1.6) ? "true" : "false"
	printf "\t\"all\": { \"scenarios\": %d, \"seconds\": %.1f, \"audit_seconds\": %.1f, \"aim\": 300, \"met\": %s },\n",
		n, set, audit, (set + audit < 300) ? "true" : "false"
	printf "\t\"memory_mib\": { \"one\": %d, \"two\": %d, \"peak_of_all\": %d, \"aim\": 4096, \"met\": %s }\n}\n",
		m1 / 1048576, m2 / 1048576, peak / 1024, (peak < 4194304) ? "true" : "false"
}')
echo "$json"
[ $# = 0 ] || echo "$json" >"$1"
