#!/bin/bash
# SPDX-License-Identifier: MIT
# Ctrl-C in the middle of a real boot: the emulator and the temporary files go away.
# shellcheck source=tests/boot/common.sh
. "$(dirname "$0")/common.sh"

export TMPDIR=$work/tmp
mkdir "$TMPDIR"
# Held open at both ends, so that the command sees neither an end of input nor a closed output.
mkfifo "$work/console" "$work/input"
exec 5<>"$work/console" 6<>"$work/input"
"$posthorn" run --guest "$build/guests/console_echo.elf" --memory 64M <&6 >&5 &
command=$!
read -r -n 1 -t 60 -u 5 || fail "nothing on the console"
emulator=$(pgrep -P "$command" qemu)
[ -n "$emulator" ] || fail "no emulator runs"
kill -INT "$command"
wait "$command"
status=$?
[ "$status" = 130 ] || fail "status $status, not 130"
! kill -0 "$emulator" 2>/dev/null || fail "the emulator is still there"
[ -z "$(ls -A "$TMPDIR")" ] || fail "temporary files are left: $(ls -A "$TMPDIR")"
