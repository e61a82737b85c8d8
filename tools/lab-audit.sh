#!/bin/bash
# SPDX-License-Identifier: MIT
# The fence audit in docs/ordering.md: "lab-audit.sh write" puts it there, "check" fails when it is stale
# or a site lost its proof. LAB is the program, DOCUMENT the file.
set -eu
cd "$(dirname "$0")/.."
lab=${LAB:-build/posthorn-lab}
document=${DOCUMENT:-docs/ordering.md}
begin='<!-- lab-audit: written by `make lab-audit` -->'
end='<!-- end of lab-audit -->'
new=$(mktemp)
trap 'rm -f "$new"' EXIT

grep -qF "$begin" "$document" && grep -qF "$end" "$document" || {
	echo "lab-audit: $document has no part marked for the audit" >&2
	exit 1
}
{
	sed -n "1,/^${begin//\//\\/}\$/p" "$document"
	"$lab" audit --no-lasso --budget 120s --jobs 2
	sed -n "/^${end//\//\\/}\$/,\$p" "$document"
} >"$new"
case ${1:-} in
write)
	cat "$new" >"$document"
	;;
check)
	if ! diff -u "$document" "$new"; then
		echo "lab-audit: $document is stale; look at what lost its proof, then: make lab-audit" >&2
		exit 1
	fi
	echo "ok 1 - the fence audit in $document is what the lab finds"
	;;
*)
	echo "usage: lab-audit.sh write|check" >&2
	exit 64
	;;
esac
