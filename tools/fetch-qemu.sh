#!/bin/bash
# SPDX-License-Identifier: MIT
# Find a QEMU that runs two CPUs on a thread each (docs/CAVEATS.md): this machine's when it is 10 or
# later, else Debian 13's, put into the cache. Prints the program to run.
# shellcheck source=tools/trixie.sh
. "$(dirname "$0")/trixie.sh"

program=qemu-system-x86_64
version=$($program --version 2>/dev/null | sed -n '1s/^QEMU emulator version \([0-9]*\).*/\1/p') || true
if [ "${version:-0}" -ge 10 ]; then
	command -v "$program"
	exit 0
fi

unpack_trixie qemu-10 "usr/bin/$program" qemu-system-x86 seabios
wrapper=$root/$program
if [ ! -x "$wrapper" ]; then
	# Its own loader and libraries: those of an older Debian are too old for it.
	part=$(mktemp "$root/wrapper.XXXXXX") || fail "cannot write to $root"
	cat >"$part" <<-END
		#!/bin/sh
		exec "$root/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" \\
			--library-path "$root/usr/lib/x86_64-linux-gnu" "$root/usr/bin/$program" \\
			-L "$root/usr/share/qemu" -L "$root/usr/share/seabios" "\$@"
	END
	chmod 755 "$part"
	mv "$part" "$wrapper"
fi
echo "$wrapper"
