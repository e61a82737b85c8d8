#!/bin/bash
# SPDX-License-Identifier: MIT
# Run a boot test on Bochs's VMX, or say skipped where Bochs 3.0 cannot be had:
# bochs.sh MODE TEST ARGUMENT... with MODE off, vid or posted
here=$(dirname "$0")
mode=$1
shift
if ! reason=$("$here/../../tools/fetch-bochs.sh" 2>&1); then
	echo "SKIP Bochs 3.0 cannot be had: ${reason##*$'\n'}"
	exit 77
fi
command -v grub-mkrescue >/dev/null || { echo "SKIP no grub-mkrescue"; exit 77; }
test=$1
shift
exec "$here/$test" "$@" --host bochs-vmx --apicv "$mode"
