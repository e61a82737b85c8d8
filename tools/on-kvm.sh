#!/bin/bash
# SPDX-License-Identifier: MIT
# Run a static program where /dev/kvm works: on-kvm.sh [-i FILE] [-o FILE] PROGRAM ARGUMENT...
#
# On this machine if the program does not say with status 77 that /dev/kvm is missing or does not
# serve; else in QEMU (TCG, which has SVM) under Debian's cloud kernel with its kvm-amd, where the
# program is all that runs. -i: the file is /in there; -o: /out comes back as that file. Arguments
# name them as @in and @out. Status: the program's; 77 with a reason where nothing can be had.
# (Without ERMS: TCG takes "rep movsb" byte by byte, and Linux would copy all that it copies so; the
# other options are for speed too, but no_timer_check: TCG may be too slow for Linux's test.)
# ON_KVM=qemu: not on this machine. LIMIT: seconds for the emulated machine.
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=${BUILD:-$here/build}
in=
out=
while getopts i:o: option; do
	case $option in
	i) in=$OPTARG ;;
	o) out=$OPTARG ;;
	*) exit 64 ;;
	esac
done
shift $((OPTIND - 1))
program=$1
shift

skip() {
	echo "skipped: $1"
	exit 77
}

if [ -c /dev/kvm ] && [ "${ON_KVM:-}" != qemu ]; then
	arguments=("${@//@in/$in}")
	status=0
	"$program" "${arguments[@]//@out/$out}" || status=$?
	[ "$status" = 77 ] || exit "$status"
fi

qemu=$("$here/tools/fetch-qemu.sh") || skip "no /dev/kvm here, and no QEMU 10 could be fetched"
kernel=$("$here/tools/fetch-kernel.sh") || skip "no /dev/kvm here, and no kernel could be fetched"
modules=$(find "$(dirname "$kernel")/modules" -mindepth 1 -maxdepth 1 -type d | head -n 1)

work=$(mktemp -d "${TMPDIR:-/tmp}/on-kvm.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/dev"
cp "$build/initrd-kvm/init" "$work/root/init"
cp "$program" "$work/root/program"
[ -z "$in" ] || cp "$in" "$work/root/in"
for module in virt/lib/irqbypass arch/x86/kvm/kvm arch/x86/kvm/kvm-amd; do
	cp "$modules/kernel/$module.ko" "$work/root/" 2>/dev/null ||
		skip "no /dev/kvm here, and the kernel's package has no $module.ko"
done
(cd "$work/root" && find . -print | LC_ALL=C sort |
	cpio --quiet --reproducible -o -H newc -R 0:0) >"$work/initrd"

arguments=("${@//@in//in}")
kernel_options="mitigations=off init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off no_timer_check"
status=0
timeout -k 5 "${LIMIT:-600}" "$qemu" -machine pc -accel tcg -cpu max,-erms,-fsrm,-la57,-pcid,-smap -m 512M -smp "${CPUS:-1}" \
	-kernel "$kernel" -initrd "$work/initrd" \
	-append "console=ttyS0 loglevel=1 $kernel_options panic=-1 -- /program ${arguments[*]//@out//out}" \
	-display none -serial stdio -monitor none -debugcon "file:$work/out" -no-reboot \
	-device isa-debug-exit,iobase=0xf4,iosize=4 </dev/null 2>"$work/errors" |
	stdbuf -oL tr -d '\r' || status=${PIPESTATUS[0]}
[ -z "$out" ] || mv "$work/out" "$out"
# The debug-exit port gives 2 * status + 1.
case $status in
*[13579]) exit $((status / 2)) ;;
124 | 137) echo "on-kvm: no end after ${LIMIT:-600} s" ;;
*) cat "$work/errors" ;;
esac
exit 1
