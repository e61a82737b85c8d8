#!/bin/bash
# SPDX-License-Identifier: MIT
# A second opinion on SVM: guests at once on Bochs's `ryzen`: bochs-svm.sh NAME:VCPUS[:ARGUMENTS]...
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

if ! reason=$("$root/tools/fetch-bochs.sh" 2>&1); then
	echo "SKIP Bochs 3.0 cannot be had: ${reason##*$'\n'}"
	exit 77
fi
vms=()
for guest; do
	IFS=: read -r name cpus arguments <<<"$guest"
	vms+=(--guest "$build/guests/$name.elf" --name "$(tr _ - <<<"$name")" --cpus "$cpus" --memory 32M)
	[ -z "$arguments" ] || vms+=(--append "${arguments//,/ }")
done
"$posthorn" run --iso "$work/iso" "${vms[@]}" --pcpus 2 || fail "no image"
"$root/tools/bochs-run.sh" -M ryzen -p 2 -m $((200 + 40 * $#)) -t "${LIMIT:-200}" -c "$work/console" -k "$work/log" "$work/iso"
status=$?
cat "$work/console" "$work/log"
[ "$status" = 33 ] || fail "status $status"
grep -q '^@table .* exit_vintr=' "$work/log" || fail "that was not SVM"
for guest; do
	stopped "$(tr _ - <<<"${guest%%:*}")" debug-exit 1
	on_console "RESULT ${guest%%:*} PASS"
done
