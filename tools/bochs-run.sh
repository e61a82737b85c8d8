#!/bin/bash
# SPDX-License-Identifier: MIT
# Boot an ISO image on Bochs 3.0 with VMX: serial ports to files, status by Posthorn's "@end" line.
set -euo pipefail

usage() {
	cat <<-END
	Usage: tools/bochs-run.sh [OPTION]... ISO
	  -p N     CPUs (default 2)
	  -m MIB   memory (default 512)
	  -c FILE  console, COM1 (default standard output); a terminal's device is used both ways
	  -k FILE  control channel, COM2 (default standard error); likewise
	  -t SEC   give up after so many seconds (default 300), status 124
	  -M NAME  Bochs's CPU model (default corei7_skylake_x)
	The status is Posthorn's: 33 all VMs stopped normally, 35 one did not, 37 panic, 39 refused.
	END
}

fail() {
	echo "bochs-run: $1" >&2
	exit 68
}

cpus=2 memory=512 console="" control="" seconds=300 model=corei7_skylake_x
while getopts p:m:c:k:t:M:h option; do
	case $option in
	p) cpus=$OPTARG ;;
	m) memory=$OPTARG ;;
	c) console=$OPTARG ;;
	k) control=$OPTARG ;;
	t) seconds=$OPTARG ;;
	M) model=$OPTARG ;;
	h) usage; exit 0 ;;
	*) usage >&2; exit 64 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || { usage >&2; exit 64; }
iso=$1
[ -r "$iso" ] || fail "cannot read '$iso'"
root=$("$(dirname "$0")/fetch-bochs.sh") || exit 68

# Bochs keeps a lock file beside each image: give it a name of ours to lock.
folder=$(mktemp -d "${TMPDIR:-/tmp}/bochs-run.XXXXXX") || fail "cannot make a temporary folder; set TMPDIR"
bochs=""
clean_up() {
	[ -z "$bochs" ] || kill -KILL "$bochs" 2>/dev/null || true
	rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
# Not by name: standard output may be a file that others write, too.
exec 3>&1 4>&2
[ -z "$console" ] || [ -c "$console" ] || exec 3>"$console"
[ -z "$control" ] || [ -c "$control" ] || exec 4>"$control"
ln -s "$(realpath "$iso")" "$folder/posthorn.iso"

serial() { # number, file
	if [ -c "$2" ] && [ "${2#/dev/pts/}" != "$2" ]; then
		echo "com$1: enabled=1, mode=term, dev=$2"
	else
		echo "com$1: enabled=1, mode=file, dev=$folder/com$1"
		: >"$folder/com$1"
	fi
}

{
	echo "plugin_ctrl: unmapped=1, biosdev=1, speaker=0, e1000=0, parallel=0, gameport=0"
	echo "romimage: file=$root/usr/share/bochs/BIOS-bochs-latest"
	echo "vgaromimage: file=$root/usr/share/vgabios/vgabios-stdvga.bin"
	echo "megs: $memory"
	echo "ata0-master: type=cdrom, path=$folder/posthorn.iso, status=inserted"
	echo "boot: cdrom"
	echo "cpu: model=$model, count=$cpus, ips=60000000, reset_on_triple_fault=0, ignore_bad_msrs=0"
	echo "clock: sync=none, time0=local"
	echo "display_library: rfb, options=\"timeout=0\""
	serial 1 "$console"
	serial 2 "$control"
	echo "log: $folder/log"
	echo "panic: action=fatal"
	echo "error: action=report"
	echo "info: action=${BOCHS_INFO:-ignore}"
	echo "debug: action=ignore"
} >"$folder/bochsrc"

cd "$folder"
LTDL_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu/bochs/plugins \
	"$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" \
	"$root/usr/bin/bochs-mended" -q -f bochsrc </dev/null >"$folder/out" 2>&1 &
bochs=$!

# shellcheck disable=SC2034
copied1=0 copied2=0 # by name, in copy()
copy() { # number, descriptor: what has come since the last time
	local -n from=copied$1
	local size

	[ -e "$folder/com$1" ] || return 0
	size=$(stat -c %s "$folder/com$1")
	[ "$size" -gt "$from" ] || return 0
	tail -c +$((from + 1)) "$folder/com$1" | head -c $((size - from)) >&"$2"
	from=$size
}

end=$((SECONDS + seconds)) status=""
while [ -z "$status" ]; do
	sleep 0.3
	alive=1
	kill -0 "$bochs" 2>/dev/null || alive=""
	copy 1 3
	copy 2 4
	if [ -e com2 ] && grep -aq '^@end status=' com2; then
		status=$(grep -a '^@end status=' com2 | tail -n 1 | tr -dc 0-9)
		status=$((2 * status + 1))
	elif [ -z "$alive" ]; then
		status=74
		# On terminals the reader at their other end knows the status.
		! grep -aq 'Shutdown port' log || status=0
	elif [ "$SECONDS" -ge "$end" ]; then
		status=124
	fi
done
kill -KILL "$bochs" 2>/dev/null || true
wait "$bochs" 2>/dev/null || true
bochs=""
copy 1 3
copy 2 4
if [ -n "${BOCHS_LOG:-}" ] || [ "$status" = 74 ]; then
	tail -n "${BOCHS_LOG_LINES:-15}" "$folder/log" "$folder/out" >&2 || true
fi
exit "$status"
