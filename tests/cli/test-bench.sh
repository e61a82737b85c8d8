#!/bin/bash
# SPDX-License-Identifier: MIT
# `posthorn bench` against a fake emulator: what it prints, saves and returns.
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"

cd "$work" || exit 1
make_multiboot guest
echo hypervisor >hypervisor
cat >anchors.json <<'END'
{ "hosts": { "qemu-svm": {
	"cpuid": { "kvm": 2812, "aim": 399 },
	"vmcall": { "kvm": 8415, "aim": 1000 },
	"tscdeadline_immed": { "kvm": 10904, "aim": 1800 },
	"self_ipi_eoi": { "kvm": 3382, "aim": 450 }
} } }
END
bench=("$posthorn" bench --hypervisor hypervisor --emulator "$fake" --guest guest --anchors anchors.json)
says() { grep -qE -- "$1" out || { sed 's/^/#   | /' out; false; }; }

FAKE=bench run "${bench[@]}" --json result.json
check "a bench that ran is status 0" [ "$status" = 0 ]
check "an aim that is just met" says '^cpuid +399 +2812 +399  met$'
check "an aim missed by one" says '^vmcall +1001 +8415 +1000  MISSED$'
check "what could not be measured is missed, with the reason" \
	says '^tscdeadline_immed +- +10904 +1800  MISSED  \(no TSC-deadline timer\)'
check "an operation without an anchor" says '^mov_to_cr8 +7$'
check "an anchor without an operation is missed" says '^self_ipi_eoi .*MISSED: not in the bench'
check "the missed aims are counted" says '^3 of 4 aims missed'
check "the result is saved" grep -q '"ticks":.*399' result.json
FAKE=bench CODE=3 run "${bench[@]}"
check "a guest that failed is no result" [ "$status" = 72 ]
FAKE=debug-exit run "${bench[@]}"
check "a guest that printed nothing is no result" [ "$status" = 72 ]
FAKE=panic run "${bench[@]}"
check "a panic is no result" [ "$status" = 70 ]
expect "missing anchors" 66 "cannot read 'nowhere'" "${bench[@]}" --anchors nowhere
echo '{' >broken.json
expect "broken anchors" 66 'has no anchors' "${bench[@]}" --anchors broken.json
expect "missing guest" 66 'cannot read kernel' "${bench[@]}" --guest nowhere
FAKE=bench expect "unwritable result" 74 'cannot write' "${bench[@]}" --json nowhere/x
check "no temporary file is left" nothing_left
finish
