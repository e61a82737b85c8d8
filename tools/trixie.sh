# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced: packages of Debian 13 unpacked into a folder of the cache, whatever Debian this is.
# Nothing outside the cache is touched; no root needed.
set -euo pipefail

suite=trixie
cache=${XDG_CACHE_HOME:-$HOME/.cache}/posthorn

fail() {
	echo "$(basename "$0" .sh): $1" >&2
	exit 1
}

# apt with the machine's own mirror and keyring, the suite's name changed, and state of its own.
make_apt() { # folder
	local uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v -i security | head -n 1)
	[ -n "$uri" ] || fail "this machine's apt has no package source configured"
	[ -r "$keyring" ] || fail "$keyring is missing: install debian-archive-keyring"
	mkdir -p "$1"/{lists/partial,archives/partial,etc}
	: >"$1/status"
	echo "deb [signed-by=$keyring] $uri $suite main" >"$1/etc/sources.list"
	apt=(apt-get -qq -o "Dir::Etc::sourcelist=$1/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null
		-o "Dir::State::lists=$1/lists" -o "Dir::State::status=$1/status"
		-o "Dir::Cache::archives=$1/archives" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache="
		-o APT::Install-Recommends=false -o APT::Sandbox::User=root -o Debug::NoLocking=true)
}

# unpack_trixie NAME PROGRAM PACKAGE...: leaves $root, the cache's folder NAME, with PROGRAM in it.
unpack_trixie() {
	local name=$1 program=$2 package part
	shift 2
	root=$cache/$name
	[ ! -x "$root/$program" ] || return 0
	mkdir -p "$cache" || fail "cannot create $cache: set XDG_CACHE_HOME to a writable folder"
	part=$(mktemp -d "$cache/$name.XXXXXX") || fail "cannot write to $cache"
	# shellcheck disable=SC2064 # the folder as it is named now
	trap "rm -rf '$part'" EXIT
	make_apt "$part/apt"
	echo "$(basename "$0" .sh): downloading $1 and its libraries from Debian's $suite" >&2
	"${apt[@]}" update >&2 || fail "cannot read the package list of $suite from this machine's package source"
	"${apt[@]}" -y --download-only install "$@" >&2 || fail "cannot download $1 from $suite"
	for package in "$part"/apt/archives/*.deb; do
		dpkg -x "$package" "$part/root" || fail "cannot unpack $(basename "$package"): is the disk full?"
	done
	[ -x "$part/root/$program" ] || fail "the packages of $suite hold no $program"
	# Whole or not at all; another run may have been quicker.
	mv -T "$part/root" "$root" 2>/dev/null || [ -x "$root/$program" ] || fail "cannot write $root"
}
