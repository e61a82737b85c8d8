#!/bin/bash
# SPDX-License-Identifier: MIT
# Make a copy of Bochs 3.0's program without three of its faults (docs/CAVEATS.md), unless it is there:
# mend-bochs.sh FROM TO
#
# 1. A posted-interrupt notification that finds no bit in PIR nor in VIRR sets RVI to 255: the guest takes
#    an interrupt of vector 255 that nobody sent.
#    (-1 of highest_priority_int() as a byte; SDM vol. 3, "Posted-Interrupt Processing": RVI is kept.)
# 2. An interrupt of the host that comes while the guest has RFLAGS.IF = 0 and a virtual interrupt is
#    pending: the virtual one is delivered, in the midst of the guest's critical section.
#    (SDM vol. 3, "Virtual-Interrupt Delivery": not while RFLAGS.IF = 0.)
# 3. A guest that is entered with RFLAGS.IF = 0 leaves the host's interrupts masked for as long as it
#    keeps IF so, because the masks are set up before the processor counts as being in the guest.
#    (SDM vol. 3, "External-interrupt exiting": interrupts then exit whatever RFLAGS.IF is.)
# Known is the amd64 build of Debian's 3.0+dfsg-1; another is refused.
set -euo pipefail

from=$1 to=$2

# Offset, the bytes there, the bytes instead.
mends() {
	# HandleExtInterrupt(): if virtual interrupts are masked, go on with the host's. The jump now
	# leads to the check below, which stands where padding was and a tail call is now a call.
	echo 1699dd 0f8595000000 0f8592000000
	echo 169a75 0f1f004883c4085b5de9bd2310000f1f440000 f683dd910000020f8561ffffffe8b923100090
	# VMX_Posted_Interrupt_Processing(): RVI := highest of VIRR, if there is one. (It held: RVI is in VIRR.)
	echo 26c3ec 3a83f98f00007206 85c0780a0f1f4000
	# VMLAUNCH(), which VMRESUME is, too: handleInterruptMaskChange() once more, now in the guest.
	# Its place: async_event, which makes Bochs look for events, is set whether INIT is pending or not.
	echo 1f5540 f683d891000004740ac783e091000001000000 4889dfe818f10300808be0910000010f1f4000
}

has_bytes() { # file, offset, bytes
	[ "$(od -An -v -tx1 -j $((16#$2)) -N $((${#3} / 2)) "$1" | tr -d ' \n')" = "$3" ]
}

is_mended() {
	local offset new
	[ -x "$to" ] || return 1
	while read -r offset _ new; do
		has_bytes "$to" "$offset" "$new" || return 1
	done < <(mends)
}

! is_mended || exit 0
part=$(mktemp "$to.XXXXXX")
trap 'rm -f "$part"' EXIT
cp "$from" "$part"
while read -r offset old new; do
	if ! has_bytes "$part" "$offset" "$old"; then
		echo "mend-bochs: $from is another build than the one whose faults are known" >&2
		exit 1
	fi
	# shellcheck disable=SC2059
	printf "$(sed 's/../\\x&/g' <<<"$new")" |
		dd of="$part" bs=1 seek=$((16#$offset)) conv=notrunc status=none
done < <(mends)
chmod 755 "$part"
mv -T "$part" "$to"
trap - EXIT
