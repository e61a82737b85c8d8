#!/bin/bash
# SPDX-License-Identifier: MIT
# Make a copy of Bochs 3.0's program without two of its faults (docs/CAVEATS.md): mend-bochs.sh FROM TO
#
# 1. A posted-interrupt notification that finds no bit in PIR nor in VIRR sets RVI to 255: the guest takes
#    an interrupt of vector 255 that nobody sent.
#    (-1 of highest_priority_int() as a byte; SDM vol. 3, "Posted-Interrupt Processing": RVI is kept.)
# 2. An interrupt of the host that comes while the guest has RFLAGS.IF = 0 and a virtual interrupt is
#    pending: the virtual one is delivered, in the midst of the guest's critical section.
#    (SDM vol. 3, "Virtual-Interrupt Delivery": not while RFLAGS.IF = 0.)
# Known is the amd64 build of Debian's 3.0+dfsg-1; another is refused.
set -euo pipefail

from=$1 to=$2
part=$(mktemp "$to.XXXXXX")
trap 'rm -f "$part"' EXIT

# Offset, the bytes there, the bytes instead.
mends() {
	# HandleExtInterrupt(): if virtual interrupts are masked, go on with the host's. The jump now
	# leads to the check below, which stands where padding was and a tail call is now a call.
	echo 1699dd 0f8595000000 0f8592000000
	echo 169a75 0f1f004883c4085b5de9bd2310000f1f440000 f683dd910000020f8561ffffffe8b923100090
	# VMX_Posted_Interrupt_Processing(): RVI := highest of VIRR, if there is one. (It held: RVI is in VIRR.)
	echo 26c3ec 3a83f98f00007206 85c0780a0f1f4000
}

bytes_at() { # offset, count
	od -An -v -tx1 -j $((16#$1)) -N "$2" "$part" | tr -d ' \n'
}

cp "$from" "$part"
while read -r offset old new; do
	if [ "$(bytes_at "$offset" $((${#old} / 2)))" != "$old" ]; then
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
