#!/bin/bash
# SPDX-License-Identifier: MIT
# `posthorn run` against a fake emulator: statuses, tables, bundle, console, signals.
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"

cd "$work" || exit 1
make_bzimage linux
make_multiboot guest
echo initrd >initrd
echo hypervisor >hypervisor
mkdir vms
cp guest vms/inner
printf '# a comment\n\nguest = inner\ncpus = 3\nmemory = 32M\nname = filed\npin = 1\nx2apic = 0\nmigrate = 7\nappend = a b = c\n' \
	>vms/one.vm

base=("$posthorn" run --hypervisor hypervisor --emulator "$fake")
linux=("${base[@]}" --kernel linux)

says() { grep -qE -- "$1" "$work/$2" || { sed 's/^/#   | /' "$work/$2"; false; }; }

# status-of NAME PART STATUS [CODE]
status_of() {
	FAKE=$2 CODE=${4:-} run "${linux[@]}"
	check "$1" [ "$status" = "$3" ]
}

status_of "power-off is status 0" poweroff 0
check "the console reaches standard output" says 'posthorn-fake: FAKE=poweroff' out
check "the table has a title" says '^Interrupt delivery of vm0' out
check "the table adds up its CPUs" says '^    ipi +10 +20 +30$' out
check "exit reasons that never occurred are left out" eval '! grep -q npf out'
FAKE=poweroff run "${linux[@]}" --no-tables
check "--no-tables" eval '! grep -q "Interrupt delivery" out'
status_of "debug-exit code 1 passes through" debug-exit 1 1
status_of "debug-exit code 3 passes through" debug-exit 3 3
status_of "debug-exit code 255 passes through" debug-exit 255 255
status_of "a triple fault is abnormal" triple-fault 72
check "and named" says 'vm0 stopped: triple-fault' err
status_of "an error is abnormal" error 72
check "and its text shown" says 'vm0 stopped: error:bad I/O at 0x12' err
status_of "a panic" panic 70
check "and its last words" says 'everything is lost' err
status_of "a refused configuration" refused 76
check "and its reason" says "unknown key 'colour'" err
status_of "no verdict is no success" silent 74
status_of "the emulator fails" die 74
status_of "the emulator is killed" killed 74
FAKE=two-vms run "${linux[@]}" --guest guest
check "two VMs: the highest code" [ "$status" = 3 ]
FAKE=poweroff run "${linux[@]}" --guest guest
check "two VMs, one verdict: no success" [ "$status" = 74 ]

FAKE=poweroff run "${linux[@]}" --log log --verbose
check "--log has every line" says '^@vm vm0 stopped poweroff' log
check "--verbose shows the log" says '^posthorn: fake log line' err

printf 'hello\nend\n' | FAKE="echo" timeout 20 "${linux[@]}" >out 2>err
check "standard input reaches the console" says '^got: hello' out
# accelerator VERSION-LINE WANTED [OPTION...]: what --accel=tcg comes to with such an emulator.
accelerator() {
	local line=$1 wanted=$2
	shift 2
	printf '#!/bin/sh\n%s\n' "$line" >emulator
	chmod +x emulator
	run "${linux[@]}" --emulator ./emulator --pcpus 2 --dry-run "$@"
	says "-accel '?$wanted'? " out
}
check "QEMU 7.2 gets one thread" accelerator 'echo QEMU emulator version 7.2.22' tcg,thread=single --accel tcg
check "QEMU 10 gets a thread a CPU" accelerator 'echo QEMU emulator version 10.0.13' tcg,thread=multi --accel tcg
check "an unknown emulator gets one thread" accelerator 'echo hello' tcg,thread=single --accel tcg
check "an emulator that fails gets one thread" accelerator 'exit 3' tcg,thread=single --accel tcg
check "one thread by option" accelerator 'echo QEMU emulator version 10.0.13' tcg,thread=single \
	--accel tcg,thread=single
check "a thread a CPU by option" accelerator 'echo QEMU emulator version 7.2.22' tcg,thread=multi \
	--accel tcg,thread=multi
check "icount leaves the threads to QEMU" accelerator 'echo QEMU emulator version 10.0.13' tcg --icount

FAKE=hang run "${linux[@]}" --timeout 1
check "--timeout ends a deaf emulator" [ "$status" = 124 ]
FAKE=stoppable run "${linux[@]}" --timeout 1
check "--timeout asks for the tables" says '^    ipi +99' out

# The bundle.
run "${base[@]}" --dry-run --bundle bundle --cpus 2 --kernel linux --memory 64M --initrd initrd \
	--append "console=ttyS0 it's" --vm vms/one.vm --guest guest --module initrd --module hypervisor
check "--dry-run succeeds" [ "$status" = 0 ]
check "and prints the command line" says 'isa-debug-exit,iobase=0xf4,iosize=4' out
check "and starts nothing" eval '! grep -q posthorn-fake out'
cpio --quiet -i --to-stdout config <bundle >config 2>/dev/null
cat >wanted <<'END'
host apicv=posted trace=off quiet=1
vm name=vm0 cpus=2 memory=65536K kind=linux kernel=vm0/kernel initrd=vm0/initrd cmdline=vm0/cmdline
vm name=filed cpus=3 memory=32768K kind=multiboot kernel=filed/kernel cmdline=filed/cmdline pin=1 x2apic=0 migrate=7
vm name=vm2 cpus=1 memory=262144K kind=multiboot kernel=vm2/kernel module=vm2/module0 module=vm2/module1
END
check "the config says what was asked" diff config wanted
cpio --quiet -i --to-stdout vm0/kernel <bundle 2>/dev/null | cmp -s - linux
check "the kernel arrives whole" [ "${PIPESTATUS[1]}" = 0 ]
check "the command line arrives whole" \
	[ "$(cpio --quiet -i --to-stdout vm0/cmdline <bundle 2>/dev/null)" = "console=ttyS0 it's" ]
check "a --vm file's append keeps its '='" \
	[ "$(cpio --quiet -i --to-stdout filed/cmdline <bundle 2>/dev/null)" = "a b = c" ]
run "${linux[@]}" --dry-run --icount --pcpus 3 --accel tcg
check "--icount and --pcpus" says '-accel tcg -cpu max -icount shift=0,sleep=off -smp 3 ' out

is_gone() { ! kill -0 "$1" 2>/dev/null; }

# signal_test NAME SIGNAL: half-way, from a pipe.
signal_test() {
	local child emulator
	: >out
	FAKE=hang "${linux[@]}" >out 2>err </dev/null &
	child=$!
	tail -f -n +1 --pid="$child" out 2>/dev/null | grep -q -m 1 posthorn-fake
	emulator=$(sed -n 's/.*pid=//p' out)
	check "$1: the emulator runs before" kill -0 "$emulator"
	kill "-$2" "$child"
	wait "$child"
	status=$?
	check "$1: status 130" [ "$status" = 130 ]
	check "$1: the emulator is gone" is_gone "$emulator"
	check "$1: no temporary file is left" nothing_left
}
# A background job of a script ignores Ctrl-C's signal unless it takes it up itself, as we do.
signal_test "Ctrl-C" INT
signal_test "terminated" TERM
signal_test "hung up" HUP

run "$posthorn" --help
check "--help" [ "$status" = 0 ]
run "$posthorn" run --help
check "run --help names the statuses" says 'Exit status:' out
run "$posthorn" --version
check "--version" says '^posthorn [0-9]' out
check "no temporary file is left" nothing_left
finish
