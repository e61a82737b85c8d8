#!/bin/bash
# SPDX-License-Identifier: MIT
# Take what `make fuzz` has found into the seed corpora: of the fewest small inputs that reach all that
# the found ones of that size reach, the 48 longest. merge-corpus.sh [TARGET...]
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
if [ $# = 0 ]; then
	cd tests/fuzz/corpus
	set -- *
	cd - >/dev/null
fi

for target in "$@"; do
	seeds=tests/fuzz/corpus/$target
	case $target in
	bundle) size=1000 ;;
	elf | bzimage | acpi) size=4096 ;;
	*) size=160 ;;
	esac
	merged=$(mktemp -d)
	"$build/fuzz/$target" -set_cover_merge=1 -max_len="$size" "$merged" "$seeds" \
		"$build/fuzz-corpus/$target" >"$build/fuzz-merge-$target.log" 2>&1
	# The named seeds stay.
	find "$seeds" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
	find "$merged" -type f -size +0 -printf '%s %p\n' | sort -rn | head -n 48 | cut -d ' ' -f 2 |
		xargs -r cp -t "$seeds"
	rm -rf "$merged"
	echo "$target: $(find "$seeds" -type f | wc -l) inputs, $(du -bs "$seeds" | cut -f1) bytes"
done
