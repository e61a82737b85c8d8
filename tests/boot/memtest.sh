#!/bin/bash
# SPDX-License-Identifier: MIT
# Debian's memtest86+ tests a small memory once, with all virtual CPUs: memtest.sh VCPUS [POSTHORN-OPTION...]
# MEMORY: how much the guest has (default 34M). LIMIT: seconds.
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

cpus=$1
shift
(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download memtest86+ && dpkg -x memtest86+_*.deb .) ||
	fail "the package memtest86+ cannot be had"
choose_qemu "$@"
# It never ends by itself: the console says when a pass is complete.
"$posthorn" run --kernel "$work/boot/memtest86+x64.bin" --append console=ttyS0,115200 --cpus "$cpus" \
	--memory "${MEMORY:-34M}" --timeout "${LIMIT:-600}" --log "$work/log" "$@" </dev/null >"$work/console" &
session=$!
trap 'kill "$session" 2>/dev/null; rm -rf "$work"' EXIT
while kill -0 "$session" 2>/dev/null && ! grep -qa 'Pass: *1 ' "$work/console"; do
	sleep 1
done
kill -TERM "$session" 2>/dev/null
wait "$session"
tr '\r\033' '\n\n' <"$work/console" | grep -aE 'Pass: |Errors: |CPU|Test #' | sort -u | tail -n 20
grep -qaE 'Pass: *1 .*Errors: 0 ' "$work/console" || fail "no pass without errors"
grep -qa "SMP: ${cpus}T" "$work/console" || fail "not all CPUs took part"
