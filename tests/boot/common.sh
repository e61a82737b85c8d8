# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# What the boot tests share: sourced, not run. $posthorn is the command, $build the build folder;
# $work is a temporary folder that goes away.
set -u
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
build=${BUILD:-$root/build}
posthorn=$build/posthorn
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	echo "not as expected: $*"
	exit 1
}

# The QEMU of Debian 12 is not up to two CPUs (docs/CAVEATS.md); DISTRIBUTION_QEMU=1: with it all the same.
choose_qemu() { # posthorn's options
	local reason
	unset POSTHORN_QEMU
	[ -z "${DISTRIBUTION_QEMU:-}" ] || return 0
	[[ " $* " != *" --host bochs-vmx "* ]] || return 0
	if POSTHORN_QEMU=$("$root/tools/fetch-qemu.sh" 2>"$work/fetch"); then
		export POSTHORN_QEMU
	elif [[ " $* " != *" --pcpus 1 "* ]]; then
		reason=$(tail -n 1 "$work/fetch")
		echo "SKIP no QEMU 10 can be had for two CPUs: $reason"
		exit 77
	fi
}

# boot OPTION...: leaves $status, $work/console and $work/log; shows both in the test's log.
# Its standard input is $boot_input.
boot() {
	choose_qemu "$@"
	echo "+ posthorn run $*"
	"$posthorn" run --log "$work/log" "$@" >"$work/console" <"${boot_input:-/dev/null}"
	status=$?
	cat "$work/console"
	echo "--- Posthorn's log"
	cat "$work/log"
	echo "--- status $status"
}

# emulate SECONDS MEMORY QEMU-OPTION...: this machine's QEMU itself, console and log by hand; its status.
emulate() {
	local seconds=$1 memory=$2
	shift 2
	timeout "$seconds" qemu-system-x86_64 -accel tcg,thread=single -cpu max -smp 2 -m "$memory" "$@" \
		-device isa-debug-exit,iobase=0xf4,iosize=4 -display none -no-reboot -nodefaults
}

# stopped NAME REASON CODE: how the VM ended.
stopped() {
	grep -qxE "@vm $1 stopped $2 code=$3" "$work/log" ||
		fail "VM $1 should have stopped by $2 with code=$3"
}

on_console() { grep -qE -- "$1" "$work/console" || fail "no '$1' on the console"; }

# sum_of KEY VM: a counter of the delivery table, added up over the VM's CPUs.
sum_of() {
	grep "^@table $2 " "$work/log" | awk -v key="$1=" '
		{ for (i = 1; i <= NF; i++) if (index($i, key) == 1) rows[$3] = substr($i, length(key) + 1) }
		END { for (cpu in rows) sum += rows[cpu]; print sum + 0 }'
}
