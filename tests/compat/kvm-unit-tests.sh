#!/bin/bash
# SPDX-License-Identifier: MIT
# Run a folder of built kvm-unit-tests as guests of Posthorn; nothing of them is in this repository:
# kvm-unit-tests.sh FOLDER [NAME... [-- POSTHORN-OPTION...]]
# One line a test: its name, how it ended, checks that passed and failed. LIMIT: seconds for each.
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/../boot/common.sh"

[ $# -gt 0 ] && [ -r "$1/x86/apic.flat" ] || {
	echo "usage: kvm-unit-tests.sh FOLDER [NAME...] with FOLDER/x86/apic.flat built" >&2
	exit 64
}
folder=$1
shift
names=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
	names+=("$1")
	shift
done
[ $# -eq 0 ] || shift

# name, program, virtual CPUs, command line, options: as in the tests' own configuration.
tests() {
	cat <<-END
		x2apic apic 2 - -
		xapic apic 2 - --x2apic=0
		ioapic ioapic 4 - -
		eventinj eventinj 1 - -
		smptest smptest 2 - -
		smptest3 smptest 3 - -
		idt_test idt_test 1 - -
		msr msr 1 - -
		tsc tsc 1 - -
		tsc_adjust tsc_adjust 1 - -
		realmode realmode 1 - -
		sieve sieve 1 - -
		debug debug 1 - -
		emulator emulator 1 - -
		setjmp setjmp 1 - -
		hypercall hypercall 1 - -
		syscall syscall 1 - -
		memory memory 1 - -
		xsave xsave 1 - -
		vmexit_cpuid vmexit 1 cpuid -
		vmexit_vmcall vmexit 1 vmcall -
		vmexit_mov_from_cr8 vmexit 1 mov_from_cr8 -
		vmexit_mov_to_cr8 vmexit 1 mov_to_cr8 -
		vmexit_inl_pmtimer vmexit 1 inl_from_pmtimer -
		vmexit_ipi vmexit 2 ipi -
		vmexit_ipi_halt vmexit 2 ipi_halt -
		vmexit_ple_round_robin vmexit 1 ple_round_robin -
		vmexit_tscdeadline vmexit 1 tscdeadline -
		vmexit_tscdeadline_immed vmexit 1 tscdeadline_immed -
		vmexit_cr0_wp vmexit 2 toggle_cr0_wp -
		vmexit_cr4_pge vmexit 2 toggle_cr4_pge -
	END
}

is_wanted() {
	[ ${#names[@]} -eq 0 ] || [[ " ${names[*]} " == *" $1 "* ]]
}

failed=0
while read -r name program cpus append options; do
	is_wanted "$name" || continue
	arguments=(--guest "$folder/x86/$program.flat" --cpus "$cpus" --pcpus 2 --memory 256M
		--timeout "${LIMIT:-300}" --no-tables)
	[ "$append" = - ] || arguments+=(--append "$append")
	[ "$options" = - ] || arguments+=("$options")
	boot "${arguments[@]}" "$@" >"$work/all" 2>&1
	pass=$(grep -ac '^PASS' "$work/console")
	fail=$(grep -ac '^FAIL' "$work/console")
	how=$(sed -n 's/^@vm vm0 stopped //p' "$work/log" | cut -c1-60)
	printf '%-26s status %3s  %4s passed %3s failed  %s\n' "$name" "$status" "$pass" "$fail" "$how"
	grep -a '^FAIL' "$work/console" | sort | uniq -c | head -n 5
	# 1: all passed; 77: the test skipped itself; vmexit only measures.
	case $status in 0 | 1 | 77) ;; *) failed=$((failed + 1)) ;; esac
done < <(tests)
[ "$failed" = 0 ]
