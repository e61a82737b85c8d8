#!/bin/bash
# SPDX-License-Identifier: MIT
# Check the borders between the folders: who includes whom, who touches shared memory, who
# writes IN_GUEST; that public headers stand alone; that each source names its licence.
# Prints a TAP line for each rule and the offending lines. check-borders.sh [ROOT]
set -u
cd "${1:-$(dirname "$0")/..}" || exit 1

number=0
failed=0

# result NAME OFFENCES: passes when there are none.
result() {
	number=$((number + 1))
	if [ -z "$2" ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		while IFS= read -r line; do echo "#   $line"; done <<<"$2"
		failed=1
	fi
}

sources() { # FOLDER...: its C and assembly files
	find "$@" -name '*.[chS]' 2>/dev/null | LC_ALL=C sort
}

# includes_except PATTERN FOLDER...: quoted includes that do not match PATTERN.
includes_except() {
	local allowed=$1
	shift
	# shellcheck disable=SC2046 # the tree has no blanks in names
	set -- $(sources "$@")
	[ $# -gt 0 ] || return 0
	grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]+"' "$@" /dev/null |
		grep -vE "include[[:space:]]+\"($allowed)"
}

# system_includes_except PATTERN FOLDER...
system_includes_except() {
	local allowed=$1
	shift
	# shellcheck disable=SC2046
	set -- $(sources "$@")
	[ $# -gt 0 ] || return 0
	grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]+<' "$@" /dev/null |
		grep -vE "include[[:space:]]+<($allowed)"
}

# Statements of a file, one on each line with the number of the line they begin on; comments gone.
statements() {
	awk '
	{ text = $0
	  while (1) {
		if (inside) {
			end = index(text, "*/")
			if (!end) { text = ""; break }
			text = substr(text, end + 2); inside = 0
		}
		begin = index(text, "/*")
		if (!begin) break
		rest = substr(text, begin + 2); end = index(rest, "*/")
		if (end) text = substr(text, 1, begin - 1) " " substr(rest, end + 2)
		else { text = substr(text, 1, begin - 1); inside = 1; break }
	  }
	  if (statement == "") start = FNR
	  statement = statement " " text
	  if (text ~ /[;{}][ \t\\]*$/) { print FILENAME ":" start ":" statement; statement = "" }
	}' "$1"
}

freestanding='(stdint|stdbool|stddef|stdarg|limits|stdalign|stdnoreturn)\.h>|posthorn/'

borders() {
	result "core includes only include/, x86/ and itself" \
		"$(includes_except 'posthorn/|x86/|core/' core)"
	result "core, x86 and include need no libc" \
		"$(system_includes_except "$freestanding" core x86 include)"
	result "x86 includes only include/ and itself" "$(includes_except 'posthorn/|x86/' x86)"
	result "include/ includes only itself" "$(includes_except 'posthorn/' include)"
	result "model never includes core" "$(includes_except 'posthorn/|x86/|model/' model)"
	result "hypervisor sees core through its public API" \
		"$(includes_except 'posthorn/|x86/|hypervisor/' hypervisor)"
	# The lab stands behind the door: it implements shared.h and weakens its sites. examples/mailbox is
	# what docs/lab.md shows of code that is not Posthorn's.
	result "lab sees core through its public API and the door to shared memory" \
		"$(includes_except 'posthorn/|x86/|model/|lab/|core/(sites|shared)\.h|examples/mailbox\.' lab)"
	result "guests include only themselves and x86/" "$(includes_except 'x86/|guests/' guests)"
	result "cli includes only itself" "$(includes_except 'cli/' cli)"
}

shared_memory() {
	local file found=''
	# vmx_field.h: VMREAD and VMWRITE, which reach the VMCS and no memory.
	for file in $(sources core | grep -vE '^core/(shared|vmx_field)\.h$'); do
		# Atomics, compiler barriers and volatile belong behind the door.
		found+=$(statements "$file" | grep -E '__atomic_|__sync_|stdatomic|_Atomic|\bvolatile\b')
		# A shared field is named only to hand its address to the door.
		found+=$(statements "$file" | grep -E '(->|\.)shared\.[a-z]' |
			sed -E 's/&[A-Za-z_0-9>.-]*(\[[^]]*\])?[A-Za-z_0-9>.-]*(->|\.)shared\.//g' |
			grep -E '(->|\.)shared\.[a-z]')
	done
	result "only core/shared.h touches shared memory" "$found"
}

in_guest() {
	local file found=''
	for file in $(sources core hypervisor lab/scenarios | grep -vE '^core/(enter\.c|shared\.h)$'); do
		# Any write whose value may be IN_GUEST; the one IN_GUEST -> EXITING exchange is not.
		found+=$(statements "$file" |
			grep -E 'shared32_(store|store_release|publish|xchg|or|add|cmpxchg)\(' |
			sed -E 's/[[:space:]]+/ /g; s/MODE_IN_GUEST \^ MODE_EXITING//g' |
			grep -E 'MODE_IN_GUEST|shared32_(store|store_release|publish|xchg|or|add)\([^,]*\bmode\b')
	done
	result "only core/enter.c writes IN_GUEST" "$found"
}

headers_alone() {
	local header out found_c='' found_cpp=''
	for header in $(sources include x86 | grep '\.h$'); do
		out=$(echo "#include \"${header#include/}\"" | ${CC:-gcc} -std=c11 -Wall -Wextra -Werror \
			-ffreestanding -Iinclude -I. -fsyntax-only -x c - 2>&1) ||
			found_c+="$header: $(head -n 2 <<<"$out")"$'\n'
	done
	for header in $(sources include | grep '\.h$'); do
		out=$(echo "#include \"${header#include/}\"" | ${CXX:-g++} -std=c++17 -Wall -Wextra -Werror \
			-Iinclude -I. -fsyntax-only -x c++ - 2>&1) ||
			found_cpp+="$header: $(head -n 2 <<<"$out")"$'\n'
	done
	result "headers of include/ and x86/ compile alone in C11" "${found_c%$'\n'}"
	result "public headers compile alone in C++" "${found_cpp%$'\n'}"
}

licences() {
	local file found=''
	while IFS= read -r file; do
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: MIT' || found+="$file"$'\n'
	done < <(find . \( -path ./build -o -path ./.git -o -name '.*' -type d ! -name . ! -name .ci \) -prune \
		-o -type f \( -name '*.[chS]' -o -name '*.sh' -o -name '*.mk' -o -name '*.ld' -o -name Makefile \
		-o -path ./.ci/run \) -print | LC_ALL=C sort)
	result "every source names its licence" "${found%$'\n'}"
}

borders
shared_memory
in_guest
headers_alone
licences
echo "1..$number"
exit $failed
