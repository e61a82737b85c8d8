# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# TAP for the shell tests of the `posthorn` command: sourced, not run. Leaves $work, a temporary
# folder that goes away, and $posthorn, the command under test.
set -u
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
posthorn=${POSTHORN:-$root/build/posthorn}
fake=$root/tests/cli/fake-emulator.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
tap_number=0
tap_failed=0

# check NAME CONDITION-COMMAND...
check() {
	local name=$1
	shift
	tap_number=$((tap_number + 1))
	if "$@"; then
		echo "ok $tap_number - $name"
	else
		echo "not ok $tap_number - $name"
		echo "#   failed: $*"
		tap_failed=1
	fi
}

# run COMMAND...: leaves $status, $work/out and $work/err.
run() {
	timeout 20 "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
}

# expect NAME STATUS PATTERN COMMAND...: the status, and one line on standard error that matches.
expect() {
	local name=$1 wanted=$2 pattern=$3
	shift 3
	run "$@"
	check "$name" matches "$wanted" "$pattern"
}

matches() {
	[ "$status" = "$1" ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -qE -- "$2" "$work/err" && return 0
	echo "#   status $status, wanted $1; standard error:"
	sed 's/^/#   | /' "$work/err"
	return 1
}

nothing_left() { [ -z "$(ls -A "$TMPDIR")" ]; }

finish() {
	echo "1..$tap_number"
	exit $tap_failed
}

# Files that look like kernels: only their headers are real.
make_bzimage() { # FILE INIT_SIZE-IN-HEX-BYTES
	head -c 8192 /dev/zero >"$1"
	printf 'HdrS\x0f\x02' | dd of="$1" bs=1 seek=514 conv=notrunc status=none
	printf '\x01' | dd of="$1" bs=1 seek=566 conv=notrunc status=none
	printf '%b' "${2:-\\x00\\x00\\x00\\x02}" | dd of="$1" bs=1 seek=608 conv=notrunc status=none
}

make_multiboot() { # FILE
	{
		printf '\x7fELF'
		head -c 60 /dev/zero
		printf '\x02\xb0\xad\x1b\x00\x00\x00\x00\xfe\x4f\x52\xe4'
		head -c 4096 /dev/zero
	} >"$1"
}
