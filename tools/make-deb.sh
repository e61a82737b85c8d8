#!/bin/bash
# SPDX-License-Identifier: MIT
# Build the Debian packages from a copy of the tree, in $BUILD/deb, and check them with lintian.
set -eu
cd "$(dirname "$0")/.."
work=$(realpath -m "${BUILD:-build}/deb")

rm -rf "$work"
mkdir -p "$work/posthorn"
git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -C "$work/posthorn" -xf -
cd "$work/posthorn"
unset BUILD DESTDIR PREFIX MAKEFLAGS MFLAGS MAKELEVEL
dpkg-buildpackage -us -uc -b >"$work/build.log" 2>&1 || { tail -n 30 "$work/build.log"; exit 1; }
cd ..
lintian --fail-on error --tag-display-limit 0 ./*.changes
ls ./*.deb
