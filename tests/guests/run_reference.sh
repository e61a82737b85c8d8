#!/bin/sh
# SPDX-License-Identifier: MIT
# Run the guests of a LIST on QEMU itself, the reference that they are checked against.
# Usage: run_reference.sh LIST FOLDER [NAME...]; exit status 0 when all end as the list says.
set -u

list=$1
folder=$2
shift 2
only=" $* "
output=$(mktemp)
trap 'rm -f "$output"' EXIT
passed=0
failed=0
skipped=0

# Input for the console: empty lines first, as a UART that is being set up drops what came early.
console_input() {
	[ "$1" = input ] || return 0
	printf '%64s' '' | tr ' ' '\n'
	printf 'hello posthorn\nquit\n'
}

run_guest() {
	console_input "$needs" | timeout "$seconds" qemu-system-x86_64 -machine pc -accel tcg \
		-cpu max -m 128M -smp "$1" -kernel "$folder/$name.elf" -append "$arguments" \
		-device isa-debug-exit,iobase=0xf4,iosize=4 -device pc-testdev \
		-display none -serial stdio -no-reboot >"$output" 2>&1
	status=$?
	verdict=ok
	[ "$status" = "$reference" ] || verdict=FAIL
	[ "$needs" != input ] || grep -q '^echo: hello posthorn' "$output" || verdict=FAIL
	grep -q "^RESULT $name " "$output" || verdict=FAIL
}

report() {
	case $verdict in
	ok)
		if grep -q "^RESULT $name SKIP" "$output"; then
			verdict=skip
			skipped=$((skipped + 1))
		else
			passed=$((passed + 1))
		fi
		;;
	*)
		failed=$((failed + 1))
		;;
	esac
	printf '%-4s %s cpus=%s %s\n' "$verdict" "$name" "$1" "$arguments"
	if [ "$verdict" = FAIL ]; then
		printf '     exit status %s, expected %s; the last lines:\n' "$status" "$reference"
		tail -n 20 "$output" | sed 's/^/     | /'
	elif [ "$verdict" = skip ]; then
		grep '^SKIP' "$output" | sed 's/^/     | /'
	fi
}

while read -r name _ _ cpus reference seconds needs args; do
	case $name in '' | '#'*) continue ;; esac
	[ "$only" = "  " ] || case $only in *" $name "*) ;; *) continue ;; esac
	arguments=
	[ "$args" = - ] || arguments=$(printf '%s' "$args" | tr ',' ' ')
	for count in $(printf '%s' "$cpus" | tr ',' ' '); do
		run_guest "$count" </dev/null
		report "$count"
	done
done <"$list"

printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
