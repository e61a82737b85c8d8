#!/bin/sh
# SPDX-License-Identifier: MIT
# Boot Debian's kernel as a guest of Posthorn: a shell when standard input is a terminal, else the
# guest's self-test. POSTHORN_HOST, APICV, CPUS, MEMORY and SELFTEST=1 in the environment; more `posthorn run` options
# as arguments. Status 0 only if the self-test passed (or the shell's guest powered off).
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=${BUILD:-$here/build}
cpus=${CPUS:-2}
memory=${MEMORY:-512M}

host=${POSTHORN_HOST:-qemu-svm}
[ -z "${APICV:-}" ] || set -- --apicv "$APICV" "$@"
[ "$host" = qemu-svm ] || set -- --host "$host" "$@"
[ "$host" != bochs-vmx ] || "$here/tools/fetch-bochs.sh" >/dev/null

kernel=$("$here/tools/fetch-kernel.sh")
append="console=ttyS0 quiet"
if [ -t 0 ] && [ "${SELFTEST:-0}" = 0 ]; then
	selftest=no
else
	selftest=yes
	append="$append panic=-1 posthorn.selftest posthorn.cpus=$cpus"
	limit=180
	[ "$host" = qemu-svm ] || limit=400
	set -- --timeout "${TIMEOUT:-$limit}" "$@"
fi

status=0
"$build/posthorn" run --kernel "$kernel" --initrd "$build/run/initrd" --append "$append" \
	--cpus "$cpus" --memory "$memory" --log "$build/run/posthorn.log" "$@" || status=$?
[ "$selftest" = yes ] || exit "$status"

# The self-test leaves by the debug-exit port: 0 written gives 1, 1 written gives 3.
case $status in
1) exit 0 ;;
3) echo "run: the guest's self-test failed; see the SELFTEST FAIL lines above" >&2 ;;
0)
	echo "run: the guest powered off without a verdict" >&2
	status=1
	;;
*) echo "run: status $status; Posthorn's messages are in $build/run/posthorn.log" >&2 ;;
esac
exit "$status"
