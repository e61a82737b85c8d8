#!/bin/bash
# SPDX-License-Identifier: MIT
# `make install` into a temporary DESTDIR, then a program against what was installed, by pkg-config:
# with the shared library and with the static one.
set -eu
cd "$(dirname "$0")/../.."
destination=$(mktemp -d)
trap 'rm -rf "$destination"' EXIT
prefix=/opt/posthorn
root=$destination$prefix
examples=$root/share/doc/posthorn/examples

number=0
check() { # NAME COMMAND...: a TAP line
	local name=$1
	shift
	number=$((number + 1))
	if "$@" >"$destination/log" 2>&1; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
		sed 's/^/# /' "$destination/log"
		exit 1
	fi
}

only_ph() { # FILE [NM-OPTION...]: its global symbols
	local file=$1
	shift
	if nm "$@" --defined-only -g "$file" | awk 'NF >= 3 && $3 !~ /^(ph_|POSTHORN_)/ { print; bad = 1 } END { exit !bad }'; then
		return 1
	fi
	nm "$@" --defined-only -g "$file" | grep -q ' ph_vcpu_run'
}

# All that the headers declare is there.
all_declared() {
	local name
	cat include/posthorn/*.h | grep -oE '\bph_[a-z0-9_]+\(' | tr -d '(' | sort -u |
		grep -vE '^ph_vcpu_state$' >"$destination/declared"
	nm -D --defined-only "$root/lib/libposthorn.so" | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u >"$destination/exported"
	while read -r name; do
		grep -qx "$name" "$destination/exported" || { echo "$name is not exported"; return 1; }
	done <"$destination/declared"
	while read -r name; do
		case $name in POSTHORN_* | '') continue ;; esac
		grep -qx "$name" "$destination/declared" || { echo "$name is in no header"; return 1; }
	done <"$destination/exported"
}

pkg() {
	PKG_CONFIG_PATH=$root/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$destination pkg-config "$@"
}

build() { # OUTPUT EXTRA...
	local output=$1
	shift
	# shellcheck disable=SC2046 # flags are words
	${CC:-gcc} -std=gnu11 -Wall -Wextra -Werror $(pkg --cflags posthorn) "$examples/threads.c" \
		-o "$destination/$output" "$@" -pthread
}

dynamic() {
	# shellcheck disable=SC2046
	build dynamic $(pkg --libs posthorn)
	readelf -d "$destination/dynamic" | grep -q 'NEEDED.*libposthorn.so.0' || return 1
	LD_LIBRARY_PATH=$root/lib timeout 60 "$destination/dynamic"
}

static() {
	build static "$root/lib/libposthorn.a"
	timeout 60 "$destination/static"
}

# By the line that stands in its comment; 77: it needs a /dev/kvm that is not here.
example() { # NAME
	local line status=0
	line=$(sed -n 's/^ \*  *\(cc .*\)$/\1/p' "$examples/$1.c")
	[ -n "$line" ] || return 1
	(cd "$examples" && export PKG_CONFIG_PATH=$root/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$destination &&
		eval "$line -o $destination/$1") || return 1
	LD_LIBRARY_PATH=$root/lib timeout 60 "$destination/$1" || status=$?
	[ $status = 0 ] || [ $status = 77 ]
}

commands() {
	[ -e "$root/lib/posthorn/posthorn.elf" ] || return 1
	"$root/bin/posthorn" --version | grep -q '^posthorn [0-9]'
	"$root/bin/posthorn-lab" list | grep -q post-exit
}

pages() {
	local page
	for page in man1/posthorn.1 man1/posthorn-lab.1 man3/libposthorn.3; do
		[ -s "$root/share/man/$page" ] || return 1
	done
}

check "make install" make -s install BUILD="${BUILD:-build}" DESTDIR="$destination" PREFIX=$prefix
check "the version of posthorn.pc" test "$(pkg --modversion posthorn)" = \
	"$(sed -n 's/.*POSTHORN_VERSION "\(.*\)"/\1/p' cli/cli.h)"
check "the shared library has only ph_*" only_ph "$root/lib/libposthorn.so" -D
check "the static library has only ph_*" only_ph "$root/lib/libposthorn.a"
check "what the headers declare is exported, and nothing else" all_declared
check "a program against the shared library runs" dynamic
check "a program against the static library runs" static
check "the installed example of threads, built by its own line" example threads
check "the installed example on KVM, built by its own line" example kvm
check "the commands find their parts" commands
check "manual pages" pages
echo "1..$number"
