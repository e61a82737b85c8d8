#!/bin/bash
# SPDX-License-Identifier: MIT
# Print the tests for tools/run-tests: list-tests.sh quick|full. Programs come in the variables
# UNIT_TESTS and ASAN_TESTS, the guests from guests/LIST; BUILD is the build folder.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}

unit() {
	local program
	for program in ${UNIT_TESTS:-}; do echo "unit/$(basename "$program") 120 $program"; done
	for program in ${ASAN_TESTS:-}; do echo "asan/$(basename "$program") 180 $program"; done
}

checks() {
	echo "check/borders 60 tools/check-borders.sh"
	echo "check/functions 20 tools/check-functions.sh"
	echo "check/checks 60 tests/cli/test-checks.sh"
	echo "check/scripts 60 tools/check-scripts.sh"
}

cli() {
	local name
	for name in bad-input run bench runner; do
		echo "cli/$name 120 tests/cli/test-$name.sh"
	done
	for name in bad-input run bench; do
		echo "cli-asan/$name 180 POSTHORN=$PWD/$build/asan/posthorn tests/cli/test-$name.sh"
	done
	echo "cli/terminal 120 tests/cli/test-terminal.sh"
}

# guests/LIST is described at its head. soak is a boot test of its own.
guests() {
	local name code reason cpus_list _ seconds needs arguments cpus pcpus test label
	while read -r name code reason cpus_list _ seconds needs arguments; do
		case $name in '' | '#'* | soak) continue ;; esac
		for cpus in ${cpus_list//,/ }; do
			for pcpus in 1 2; do
				test="$((seconds + 10)) LIMIT=$seconds tests/boot/guest.sh $name $cpus $pcpus"
				test+=" $code '$reason' $needs $arguments"
				label=$name-$cpus-on-$pcpus
				[ "$arguments" = - ] || label+=-$arguments
				echo "guest/$label $test"
				if [[ $needs == *migrate* && $pcpus = 2 ]]; then
					echo "guest/$label-migrating $test --migrate 5"
				fi
			done
		done
	done <guests/LIST
}

boots() {
	# The long ones first: the short ones fill the gaps.
	echo "boot/soak 300 tests/boot/soak.sh"
	echo "boot/linux-8 200 LIMIT=190 tests/boot/linux.sh 8 2"
	echo "boot/two-linux 200 tests/boot/two-linux.sh"
	echo "boot/linux-2 170 tests/boot/linux.sh 2 2"
	echo "boot/linux-2-migrating 170 tests/boot/linux.sh 2 2 --migrate 20"
	echo "boot/linux-1 170 tests/boot/linux.sh 1 1"
	echo "boot/iso-hello 90 tests/boot/iso.sh"
	echo "boot/beside-triple-fault 110 tests/boot/beside.sh triple_fault 1 triple-fault 72"
	echo "boot/beside-wild 110 tests/boot/beside.sh wild 1 debug-exit 1"
	echo "boot/beside-apic-fuzz 110 tests/boot/beside.sh apic_fuzz 1 debug-exit 1"
	echo "boot/interrupt 90 tests/boot/interrupt.sh"
	echo "boot/kernel-selftest 60 tests/boot/kernel-selftest.sh"
}

case ${1:-} in
quick)
	unit
	checks
	cli
	;;
full)
	boots
	guests
	unit
	checks
	cli
	;;
*)
	echo "usage: list-tests.sh quick|full" >&2
	exit 64
	;;
esac
