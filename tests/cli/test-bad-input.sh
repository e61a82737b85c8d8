#!/bin/bash
# SPDX-License-Identifier: MIT
# Bad input to `posthorn run`: one clear line on standard error and a status of its own.
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"

cd "$work" || exit 1
make_bzimage linux
make_multiboot guest
echo "no kernel at all" >text
: >empty
echo initrd >initrd
echo hypervisor >hypervisor
make_bzimage linux32
printf '\x00' | dd of=linux32 bs=1 seek=566 conv=notrunc status=none
printf 'kernel = linux\ncolour = red\n' >bad.vm
printf 'kernel = linux\ncpus 2\n' >malformed.vm
printf 'guest = guest\ncpus = 0\n' >zero.vm

base=("$posthorn" run --hypervisor hypervisor --emulator "$fake")
linux=("${base[@]}" --kernel linux)

expect "no guest at all" 64 'no guest; give --kernel' "${base[@]}"
expect "missing kernel" 66 "cannot read kernel 'nowhere'" "${base[@]}" --kernel nowhere
expect "a folder as kernel" 66 'not a regular file' "${base[@]}" --kernel .
expect "empty kernel" 66 'is empty' "${base[@]}" --kernel empty
expect "not a kernel" 66 'is not a kernel' "${base[@]}" --kernel text
expect "a kernel without 64-bit entry" 66 '64-bit entry' "${base[@]}" --kernel linux32
expect "Linux as --guest" 66 'use --kernel' "${base[@]}" --guest linux
expect "too little memory for Linux" 64 'too little memory.*--memory=33M' "${linux[@]}" --memory 8M
expect "too little memory for a guest" 64 'too little memory' "${base[@]}" --guest guest --memory 4K
expect "memory without digits" 64 'memory must be' "${linux[@]}" --memory lots
expect "memory of zero" 64 'memory must be' "${linux[@]}" --memory 0
expect "negative memory" 64 'memory must be' "${linux[@]}" --memory -1
expect "memory beyond 64 bits" 64 'memory must be' "${linux[@]}" --memory 99999999999999999999G
expect "memory that overflows" 64 'memory must be' "${linux[@]}" --memory 18446744073709551615G
expect "memory with two suffixes" 64 'memory must be' "${linux[@]}" --memory 1GB
expect "zero CPUs" 64 'cpus must be a number from 1 to 64' "${linux[@]}" --cpus 0
expect "1000 CPUs" 64 'cpus must be a number from 1 to 64' "${linux[@]}" --cpus 1000
expect "half an x2APIC" 64 'x2apic must be' "${linux[@]}" --x2apic off
expect "half a CPU" 64 'cpus must be' "${linux[@]}" --cpus 0.5
expect "CPUs beyond 64 bits" 64 'cpus must be' "${linux[@]}" --cpus 18446744073709551617
expect "zero host CPUs" 64 'pcpus must be' "${linux[@]}" --pcpus 0
expect "too little host memory" 64 'host-memory is too little' "${linux[@]}" --host-memory 64M
expect "missing initrd" 66 "cannot read initrd 'nowhere'" "${linux[@]}" --initrd nowhere
expect "initrd that is a folder" 66 'not a regular file' "${linux[@]}" --initrd .
expect "initrd for a multiboot guest" 64 'use --module' "${base[@]}" --guest guest --initrd initrd
expect "module for Linux" 64 'use --initrd' "${linux[@]}" --module initrd
expect "missing module" 66 "cannot read module 'nowhere'" "${base[@]}" --guest guest --module nowhere
expect "two lines in --append" 64 'line break' "${linux[@]}" --append $'a\nb'
expect "bad name" 64 'name must be' "${linux[@]}" --name 'Big One'
expect "name too long" 64 'name must be' "${linux[@]}" --name abcdefghijklmnop
expect "the same name twice" 64 "two VMs are named 'a'" \
	"${linux[@]}" --name a --kernel linux --name a
expect "missing --vm file" 66 "cannot read --vm file 'nowhere'" "${base[@]}" --vm nowhere
expect "unknown key in a --vm file" 66 "bad.vm:2: no setting 'colour'" "${base[@]}" --vm bad.vm
expect "malformed --vm file" 66 "malformed.vm:2: expected 'key = value'" "${base[@]}" --vm malformed.vm
expect "zero CPUs in a --vm file" 66 'zero.vm:2: cpus must be' "${base[@]}" --vm zero.vm
expect "a folder as --vm file" 66 "cannot read --vm file '.'" "${base[@]}" --vm .
expect "unknown host" 78 'only qemu-svm' "${linux[@]}" --host qemu-vmx
expect "unknown accelerator" 64 'auto, kvm, tcg' "${linux[@]}" --accel warp
expect "a stray word" 64 'is no option' "${linux[@]}" stray
expect "missing hypervisor" 66 "cannot read hypervisor 'nowhere'" "${linux[@]}" --hypervisor nowhere
expect "missing emulator" 68 'apt-get install qemu-system-x86' "${linux[@]}" --emulator no-such-qemu
expect "missing emulator, by path" 68 'no emulator' "${linux[@]}" --emulator ./no-such-qemu
expect "unwritable log" 74 'cannot write the log' "${linux[@]}" --log nowhere/log
expect "no folder for temporary files" 74 'cannot make a temporary folder.*set TMPDIR' \
	env TMPDIR="$work/nowhere" "${linux[@]}"
expect "full disk" 74 'cannot write the bundle.*No space left' "${linux[@]}" --bundle /dev/full
expect "unknown command" 64 "no command 'fly'" "$posthorn" fly
if [ "$(id -u)" != 0 ]; then
	chmod 000 initrd
	expect "unreadable initrd" 66 'Permission denied' "${linux[@]}" --initrd initrd
else
	echo "ok $((++tap_number)) - unreadable initrd # SKIP root reads everything"
fi

run "${linux[@]}" --no-such-option
check "unknown option" [ "$status" = 64 ]
run "$posthorn"
check "no command: usage" [ "$status" = 64 ]
check "no temporary file is left" nothing_left
finish
