#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetch Debian's cloud kernel package into a cache outside the checkout; print the kernel's path.
#
# A kernel that is already in the cache is used as it is, without a network. A half download
# never counts: the work happens in a temporary folder that is renamed into place when complete.
set -eu

cache=${XDG_CACHE_HOME:-$HOME/.cache}/posthorn/linux
meta=linux-image-cloud-amd64

die() {
	echo "fetch-kernel: $*" >&2
	exit 1
}

cached_kernel() {
	# The newest complete entry; "complete" is the name without a leading dot.
	find "$cache" -mindepth 2 -maxdepth 2 -name vmlinuz -path "$cache/[!.]*" -size +1000k \
		2>/dev/null | sort -V | tail -n 1
}

resolve_package() {
	apt-cache depends "$meta" 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1
}

refresh_lists() {
	if [ "$(id -u)" = 0 ]; then
		apt-get update >&2
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		sudo -n apt-get update >&2
	fi
}

kernel=$(cached_kernel)
if [ -n "$kernel" ]; then
	echo "$kernel"
	exit 0
fi

mkdir -p "$cache" || die "cannot make $cache; set XDG_CACHE_HOME to a folder you can write"
work=$(mktemp -d "$cache/.download.XXXXXX") || die "cannot write in $cache"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

package=$(resolve_package)
if [ -z "$package" ]; then
	refresh_lists
	package=$(resolve_package)
fi
[ -n "$package" ] || die "apt knows no $meta; run 'apt-get update' as root and try again"

echo "fetch-kernel: downloading $package (about 30 MB, once) into $cache" >&2
# apt-get checks the size and the signed hash; as root it would otherwise warn about _apt.
fetch() {
	(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$package" >&2)
}
if ! fetch; then
	refresh_lists
	package=$(resolve_package)
	fetch || die "cannot download $package; check the network and the apt sources"
fi

deb=$(find "$work" -name '*.deb' | head -n 1)
[ -n "$deb" ] || die "apt-get downloaded nothing for $package"
dpkg-deb -x "$deb" "$work/tree" || die "$deb does not unpack"
image=$(find "$work/tree/boot" -name 'vmlinuz-*' | head -n 1)
[ -n "$image" ] || die "$package holds no /boot/vmlinuz"
[ "$(dd if="$image" bs=1 skip=514 count=4 2>/dev/null)" = HdrS ] ||
	die "$image is not a bzImage"

mkdir "$work/entry"
mv "$image" "$work/entry/vmlinuz"
# The modules stay: kvm.ko and kvm-amd.ko serve the nested guests.
if [ -d "$work/tree/lib/modules" ]; then
	mv "$work/tree/lib/modules" "$work/entry/modules"
fi
entry=$cache/$(basename "$deb" .deb | tr '%' '_')
# Another fetch may have finished first; its result is as good as this one.
if ! mv -T "$work/entry" "$entry" 2>/dev/null; then
	[ -f "$entry/vmlinuz" ] || die "cannot move the kernel to $entry"
fi
echo "$entry/vmlinuz"
