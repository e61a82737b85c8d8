#!/bin/bash
# SPDX-License-Identifier: MIT
# Make a copy of Bochs 3.0's program without five of its faults (docs/CAVEATS.md), unless it is there:
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
# 4. With several CPUs, an exit that comes right after an exception was delivered saves the RIP of the
#    instruction that faulted, with the RSP of the handler: prev_rip, which an exit goes back to, is not
#    set to the handler where the loop over the CPUs goes on after exception()'s longjmp().
# 5. With several CPUs, each exception and each exit of any of them counts as an instruction of the first:
#    a local variable of the loop over the CPUs is taken to be 0 after longjmp(). Between STI and HLT of
#    the first CPU that ends the shadow of STI: an interrupt is taken before HLT, which then waits for ever.
# Known is the amd64 build of Debian's 3.0+dfsg-1; another is refused.
set -euo pipefail

from=$1 to=$2

# Offset, the bytes there, the bytes instead.
mends() {
	local old new
	# HandleExtInterrupt(): if virtual interrupts are masked, go on with the host's. The jump now
	# leads to the check below, which stands where padding was and a tail call is now a call.
	echo 1699dd 0f8595000000 0f8592000000
	echo 169a75 0f1f004883c4085b5de9bd2310000f1f440000 f683dd910000020f8561ffffffe8b923100090
	# VMX_Posted_Interrupt_Processing(): RVI := highest of VIRR, if there is one. (It held: RVI is in VIRR.)
	echo 26c3ec 3a83f98f00007206 85c0780a0f1f4000
	# VMLAUNCH(), which VMRESUME is, too: handleInterruptMaskChange() once more, now in the guest.
	# Its place: async_event, which makes Bochs look for events, is set whether INIT is pending or not.
	echo 1f5540 f683d891000004740ac783e091000001000000 4889dfe818f10300808be0910000010f1f4000
	# interrupt(): prev_rip := RIP at its end. Its place: async_event is set whether MTF is pending or not.
	old=83a3dc910000efc6833001000000f683d891000010740ac783e091000001000000
	old+=c683d091000000c683d2910000005b5d415c415d415ec30f1f00
	new=83a3dc910000ef31c0888330010000808be0910000018883d09100008883d2910000
	new+=488b83e0000000488983180100005b5d415c415d415ec36690
	echo 2245ad $old $new
	# bx_begin_simulation(), after setjmp(): the CPU that was running, not the first.
	old=488b3e85c0740d4883873801000001c644240b00488d1d66bd3600eb610f1f4000
	new=8b4c2404488b3cce85c0740c48ff8738010000c644240b00488d1d62bd3600eb5d
	echo 12c2df $old $new
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
