#!/bin/bash
# SPDX-License-Identifier: MIT
# Get Debian 13's Bochs (3.0: posted interrupts) into the cache, whatever Debian this is.
# Prints the folder that holds it.  Nothing outside the cache is touched; no root needed.
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/posthorn
root=$cache/bochs-3.0
suite=trixie

fail() {
	echo "fetch-bochs: $1" >&2
	exit 1
}

if [ -x "$root/usr/bin/bochs-bin" ]; then
	echo "$root"
	exit 0
fi

mkdir -p "$cache" || fail "cannot create $cache: set XDG_CACHE_HOME to a writable folder"
part=$(mktemp -d "$cache/bochs.XXXXXX") || fail "cannot write to $cache"
trap 'rm -rf "$part"' EXIT

# The machine's own mirror and keyring, with the suite's name changed; no updates or security suites.
uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
	grep -v -i security | head -n 1)
[ -n "$uri" ] || fail "this machine's apt has no package source configured"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || fail "$keyring is missing: install debian-archive-keyring"

apt_dir=$part/apt
mkdir -p "$apt_dir"/{lists/partial,archives/partial,etc}
: >"$apt_dir/status"
echo "deb [signed-by=$keyring] $uri $suite main" >"$apt_dir/etc/sources.list"
apt=(apt-get -qq -o "Dir::Etc::sourcelist=$apt_dir/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o "Dir::State::lists=$apt_dir/lists" -o "Dir::State::status=$apt_dir/status"
	-o "Dir::Cache::archives=$apt_dir/archives" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache="
	-o APT::Install-Recommends=false -o APT::Sandbox::User=root -o Debug::NoLocking=true)

echo "fetch-bochs: reading the package list of Debian's $suite" >&2
"${apt[@]}" update >&2 || fail "cannot read the package list of $suite from this machine's package source"
echo "fetch-bochs: downloading bochs and its libraries" >&2
"${apt[@]}" -y --download-only install bochs bochsbios vgabios >&2 ||
	fail "cannot download bochs from $suite"
for package in "$apt_dir"/archives/*.deb; do
	dpkg -x "$package" "$part/root" || fail "cannot unpack $(basename "$package"): is the disk full?"
done
[ -x "$part/root/usr/bin/bochs-bin" ] || fail "the bochs package of $suite holds no bochs-bin"
# Whole or not at all.
mv -T "$part/root" "$root" 2>/dev/null || [ -x "$root/usr/bin/bochs-bin" ] || fail "cannot write $root"
echo "$root"
