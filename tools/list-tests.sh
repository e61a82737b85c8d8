#!/bin/bash
# SPDX-License-Identifier: MIT
# Print the tests for tools/run-tests: list-tests.sh quick|full|long. Programs come in the variables
# UNIT_TESTS, ASAN_TESTS, FUZZ_REPLAYS, EXAMPLE_PROGRAMS; the guests from guests/LIST; BUILD is the build folder.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}

unit() {
	local program
	for program in ${UNIT_TESTS:-}; do echo "unit/$(basename "$program") 240 $program"; done
	for program in ${ASAN_TESTS:-}; do echo "asan/$(basename "$program") 180 $program"; done
}

# Each fuzz target on its corpus.
fuzz() {
	local program name
	for program in ${FUZZ_REPLAYS:-}; do
		name=${program##*/replay_}
		echo "fuzz/$name 120 $program tests/fuzz/corpus/$name"
	done
}

# The examples, plain and under TSan, and a program against the installed library.
embedding() {
	local program
	for program in ${EXAMPLE_PROGRAMS:-}; do
		case $program in
		*/tsan/*) echo "example/$(basename "$program")-tsan 120 $program" ;;
		*) echo "example/$(basename "$program") 60 $program" ;;
		esac
	done
	echo "example/kvm 200 CPUS=2 LIMIT=180 tools/on-kvm.sh $build/examples/kvm"
	echo "oracle/records 120 $build/asan/tests/oracle/replay tests/oracle/records/[bq]*"
	echo "oracle/kvm-records 120 $build/asan/tests/oracle/kvm_replay tests/oracle/records/kvm-*"
	echo "oracle/kvm 200 LIMIT=180 tools/on-kvm.sh $build/host/tests/oracle/kvm --steps 0 --seconds 10"
	echo "install/install 120 tests/install/install.sh"
	echo "install/api-doc 60 tests/install/api-doc.sh"
}

checks() {
	echo "check/borders 60 tools/check-borders.sh"
	echo "check/functions 20 tools/check-functions.sh"
	echo "check/fences 20 tools/check-fences.sh"
	echo "check/checks 60 tests/cli/test-checks.sh"
	echo "check/scripts 60 tools/check-scripts.sh"
	echo "check/lab-audit 400 LAB=$build/posthorn-lab tools/lab-audit.sh check"
}

cli() {
	local name
	for name in bad-input run bench trace runner; do
		echo "cli/$name 120 tests/cli/test-$name.sh"
	done
	for name in bad-input run bench trace; do
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

hidden() {
	echo "guest/apic_mode-without-x2apic 40 tests/boot/guest.sh apic_mode 1 1 1 debug-exit - - --x2apic 0"
	echo "guest/ipi_storm-without-x2apic 90 LIMIT=80 tests/boot/guest.sh ipi_storm 2 2 1 debug-exit - - --x2apic 0"
}

boots() {
	local end
	# The long ones first: the short ones fill the gaps.
	echo "boot/soak 900 LIMIT=880 tests/boot/soak.sh"
	echo "boot/linux-8 200 LIMIT=190 tests/boot/linux.sh 8 2"
	echo "boot/two-linux 200 tests/boot/two-linux.sh"
	echo "boot/linux-2 170 tests/boot/linux.sh 2 2"
	echo "boot/linux-2-migrating 170 tests/boot/linux.sh 2 2 --migrate 20"
	echo "boot/linux-debian-13 220 FETCH_KERNEL=fetch-kernel-trixie.sh tests/boot/linux.sh 2 2"
	echo "boot/linux-2-without-x2apic 170 tests/boot/linux.sh 2 2 --x2apic 0"
	echo "boot/linux-1 170 tests/boot/linux.sh 1 1"
	echo "boot/linux-2-distribution-qemu 170 DISTRIBUTION_QEMU=1 tests/boot/linux.sh 2 2"
	echo "boot/iso-hello 90 tests/boot/iso.sh"
	echo "boot/beside-triple-fault 110 tests/boot/beside.sh triple_fault 1 triple-fault 72"
	echo "boot/beside-wild 110 tests/boot/beside.sh wild 1 debug-exit 1"
	echo "boot/beside-apic-fuzz 110 tests/boot/beside.sh apic_fuzz 1 debug-exit 1"
	echo "boot/interrupt 90 tests/boot/interrupt.sh"
	echo "boot/trace 110 tests/boot/trace.sh"
	echo "boot/order 110 LIMIT=100 tests/hardware/compare.sh xapic"
	echo "boot/order-x2apic 110 LIMIT=100 tests/hardware/compare.sh x2apic"
	echo "boot/kernel-selftest 60 tests/boot/kernel-selftest.sh"
	for end in panic fault overflow; do
		echo "boot/kernel-$end 60 tests/boot/kernel-selftest.sh $end"
	done
	echo "boot/panic 70 tests/boot/panic.sh"
}

# Every mode at least once, Linux in the fastest. Bochs boots slowly: many guests to one boot.
bochs() {
	local some="firmware:1 self_ipi:1 tpr:1 lapic_timer:1 tsc_deadline:1 extint_pic:1 invalid_state:1 pae:1 debug:1"
	local more="cli_spin:4 fault_storm:2 hlt_pending:2 nmi:2 level_ioapic:2 ipi_storm:2 apic_fuzz:1:seed=1"
	local moving="ipi_storm:4:rounds=30 soak:4:total=6000"
	local mode
	echo "bochs/trace 120 tests/boot/bochs.sh posted trace.sh"
	echo "bochs/input 100 LIMIT=90 tests/boot/bochs.sh posted guest.sh console_echo 1 2 1 debug-exit input -"
	echo "bochs/fetch-from-apic 100 LIMIT=90 tests/boot/bochs.sh vid guest.sh mmio_odd 1 1 1 'debug-exit|error|triple-fault' - fetch=1"
	echo "bochs/shadow 160 LIMIT=150 tests/boot/bochs.sh vid guests.sh 2 wild:1 bench:1:iterations=256"
	echo "bochs/quiet-ipi 120 tests/boot/bochs.sh posted quiet-ipi.sh"
	echo "bochs/linux-2-posted 600 LIMIT=580 tests/boot/bochs.sh posted linux.sh 2 2"
	echo "bochs/order-vid 200 LIMIT=190 tests/boot/bochs.sh vid ../hardware/compare.sh xapic"
	echo "bochs/order-posted 200 LIMIT=190 tests/boot/bochs.sh posted ../hardware/compare.sh x2apic"
	for mode in off vid posted; do
		echo "bochs/soak-$mode 400 LIMIT=380 tests/boot/bochs.sh $mode guests.sh 2 soak:4:total=20000"
		echo "bochs/migrating-$mode 250 MIGRATE=5 LIMIT=240 tests/boot/bochs.sh $mode guests.sh 2 $moving"
		echo "bochs/one-cpu-$mode 250 LIMIT=240 tests/boot/bochs.sh $mode guests.sh 2 $some"
		echo "bochs/more-$mode 250 LIMIT=240 tests/boot/bochs.sh $mode guests.sh 2 $more"
	done
}

# The full matrix of modes: `make test-long`.
bochs_long() {
	local mode cpus
	echo "boot/memtest 1000 LIMIT=950 tests/boot/memtest.sh 2"
	echo "bochs/memtest 1800 MEMORY=16M LIMIT=1750 tests/boot/bochs.sh posted memtest.sh 2"
	echo "bochs/svm 300 LIMIT=280 tests/boot/bochs-svm.sh self_ipi:1 tpr:1 ipi_storm:2 lapic_timer:1 hlt_pending:2 extint_pic:1 level_ioapic:2 soak:4:total=5000 wild:2 tsc_deadline:2"
	echo "bochs/linux-debian-13 1200 FETCH_KERNEL=fetch-kernel-trixie.sh LIMIT=1180 tests/boot/bochs.sh posted linux.sh 2 2"
	for mode in off vid posted; do
		echo "bochs/fuzz-$mode 300 LIMIT=280 tests/boot/bochs.sh $mode guests.sh 2 apic_fuzz:1:seed=1 apic_fuzz:2:seed=1 apic_fuzz:4:seed=1"
		for cpus in 1 2 8; do
			[ "$cpus $mode" != "2 posted" ] || continue # in bochs()
			echo "bochs/linux-$cpus-$mode 1200 LIMIT=1180 tests/boot/bochs.sh $mode linux.sh $cpus 2"
		done
		echo "bochs/linux-2-migrating-$mode 1200 LIMIT=1180 tests/boot/bochs.sh $mode linux.sh 2 2 --migrate 20"
		echo "bochs/soak-migrating-$mode 3600 MIGRATE=5 LIMIT=3500 tests/boot/bochs.sh $mode guests.sh 2 soak:4:total=1000000"
		echo "bochs/storm-migrating-$mode 900 MIGRATE=5 LIMIT=880 tests/boot/bochs.sh $mode guests.sh 2 ipi_storm:8 soak:8:total=100000"
		echo "bochs/order-xapic-$mode 200 LIMIT=190 tests/boot/bochs.sh $mode ../hardware/compare.sh xapic"
		echo "bochs/order-x2apic-$mode 200 LIMIT=190 tests/boot/bochs.sh $mode ../hardware/compare.sh x2apic"
		echo "bochs/two-linux-$mode 1200 LIMIT=1180 tests/boot/bochs.sh $mode two-linux.sh"
		echo "bochs/storm-$mode 600 LIMIT=580 tests/boot/bochs.sh $mode guests.sh 2 ipi_storm:4 hlt_pending:4 nmi:4"
	done
}

case ${1:-} in
long)
	bochs_long
	;;
quick)
	unit
	fuzz
	embedding
	checks
	cli
	;;
full)
	bochs
	boots
	guests
	hidden
	unit
	fuzz
	embedding
	checks
	cli
	;;
*)
	echo "usage: list-tests.sh quick|full|long" >&2
	exit 64
	;;
esac
