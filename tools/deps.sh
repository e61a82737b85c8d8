#!/bin/sh
# SPDX-License-Identifier: MIT
# Check the Debian packages that `make run` or `make test` needs; install what is missing when
# that can be done without asking, else print the one command and stop: deps.sh run|test|...
set -eu

build='gcc make libc6-dev binutils libarchive-dev libcjson-dev acpica-tools'
run="$build qemu-system-x86 busybox-static cpio ca-certificates"
test="$run libcmocka-dev g++ pkg-config shellcheck doxygen grub-common grub-pc-bin xorriso mtools expect"

case ${1:-} in
run) packages=$run ;;
test) packages=$test ;;
fuzz) packages="$build clang-14 libclang-rt-14-dev" ;;
mutation) packages="$build libcmocka-dev python3" ;;
coverage) packages="$build libcmocka-dev gcovr" ;;
deb) packages="$build debhelper lintian" ;;
api-doc) packages="make doxygen" ;;
*)
	echo "usage: deps.sh run|test|fuzz|mutation|coverage|deb|api-doc" >&2
	exit 64
	;;
esac

if ! command -v dpkg-query >/dev/null; then
	echo "deps: this is no Debian system; see to it that you have: $packages" >&2
	exit 0
fi

missing=
for package in $packages; do
	if ! dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed; then
		missing="$missing $package"
	fi
done
[ -n "$missing" ] || exit 0

command="apt-get install --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
	sudo=
elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
	sudo=sudo
else
	echo "deps: missing packages; as root: $command" >&2
	exit 1
fi

echo "deps: installing from Debian:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
install() {
	# shellcheck disable=SC2086 # a list of words
	$sudo apt-get install -y -q --no-install-recommends $missing >&2
}
# The lists of a fresh machine may be empty or old.
install || { $sudo apt-get update -q >&2 && install; } || {
	echo "deps: cannot install; see above, then as root: $command" >&2
	exit 1
}
