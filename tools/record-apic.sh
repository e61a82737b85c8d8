#!/bin/bash
# SPDX-License-Identifier: MIT
# Record what a foreign APIC answers (guests/apic_record.c) into tests/oracle/records:
# record-apic.sh qemu PROGRAM SEED... (QEMU 9 or later, for x2APIC), or record-apic.sh bochs SEED...
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
steps=${STEPS:-800}
modes=${MODES:-1} # Bochs cannot enable an APIC again: 0 or 2
records=tests/oracle/records

keep() { # FILE ORACLE: the record out of a console's output
	{
		echo "# oracle $2, steps=$steps seed=$3 modes=$modes"
		tr -d '\r' | sed -n '/^begin/,/^end/p'
	} >"$1"
	grep -q '^end' "$1" || { echo "record-apic: $1 is not whole" >&2; exit 1; }
}

record_qemu() {
	"$program" -machine pc -accel tcg -cpu max -m 128M -smp 1 -kernel "$build/guests/apic_record.elf" \
		-append "seed=$1 steps=$steps lines=1 modes=$modes" -device isa-debug-exit,iobase=0xf4,iosize=4 \
		-device pc-testdev -display none -serial stdio -no-reboot 2>/dev/null || [ $? = 1 ]
}

# Bochs has no line that a guest could raise, and no port to end at: its time limit ends it.
record_bochs() {
	local folder
	folder=$(mktemp -d)
	mkdir -p "$folder/iso/boot/grub"
	cp "$build/guests/apic_record.elf" "$folder/iso/boot/guest.elf"
	cat >"$folder/iso/boot/grub/grub.cfg" <<-END
		set timeout=0
		menuentry guest {
			multiboot /boot/guest.elf seed=$1 steps=$steps lines=0 modes=$modes
			boot
		}
	END
	grub-mkrescue -o "$folder/guest.iso" "$folder/iso" >"$folder/log" 2>&1
	tools/bochs-run.sh -p 1 -m 128 -c "$folder/console" -k "$folder/control" -t "${LIMIT:-60}" \
		"$folder/guest.iso" >/dev/null 2>&1 || true
	cat "$folder/console"
	rm -rf "$folder"
}

oracle=$1
shift
program=
if [ "$oracle" = qemu ]; then
	program=$1
	shift
fi
mkdir -p "$records"
for seed in "$@"; do
	"record_$oracle" "$seed" | keep "$records/$oracle-$seed-$modes" "$oracle" "$seed"
done
