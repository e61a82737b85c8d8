#!/bin/bash
# SPDX-License-Identifier: MIT
# Each fence of core/ says what it pairs with and which scenario of the lab proves it, and what it says
# exists: check-fences.sh [ROOT].  A fence is a site of core/sites.h that is PUBLISH or FENCE, or an RMW
# that says "fence"; its comment, at most 30 lines above its use, says "Pairs with SITE...; lab: SCENARIO...".
set -eu
cd "${1:-$(dirname "$0")/..}"

# Scenarios are named where they are defined; mutants by the text of their macro.
scenarios=$(sed -nE 's/.*\.name = "([a-z0-9-]+)".*/\1/p' lab/scenarios/*.c lab/selfcheck/*.c lab/mutants/*.c |
	tr '\n' ' ')

awk -v scenarios="$scenarios" '
BEGIN { count = split(scenarios, list, " "); for (i = 1; i <= count; i++) is_scenario[list[i]] = 1 }
function complain(what) { printf "not ok - %s:%d: %s\n", FILENAME, FNR, what; failed = 1 }
function check_names(text, pattern, known, what,    name) {
	while (match(text, pattern)) {
		name = substr(text, RSTART, RLENGTH)
		text = substr(text, RSTART + RLENGTH)
		if (!(name in known))
			complain("no such " what ": " name)
		named++
	}
}
# A whole comment: the sites between "Pairs with" and ";", the scenarios between "lab:" and ".".
function check_comment(text,    sites, proof) {
	gsub(/[ \t]+/, " ", text)
	if (text !~ /airs with [A-Z]/)
		return
	sites = text; sub(/.*airs with /, "", sites); proof = sites; sub(/;.*/, "", sites)
	if (proof !~ /; *lab: /) { complain("a pair without the scenario that proves it"); return }
	sub(/.*; *lab: */, "", proof); sub(/\..*/, "", proof)
	named = 0; check_names(sites, "[A-Z][A-Z_]+", is_site, "site")
	if (!named) complain("pairs with no site")
	named = 0; check_names(proof, "[a-z0-9]+(-[a-z0-9]+)+", is_scenario, "scenario")
	if (!named) complain("proved by no scenario")
	pair_file = FILENAME; pair_line = FNR
}
FILENAME == "core/sites.h" {
	if (match($0, /X\([A-Z_]+, [A-Z]+, /)) {
		split(substr($0, RSTART + 2, RLENGTH - 2), field, ", ")
		is_site[field[1]] = 1
		if (field[2] == "PUBLISH" || field[2] == "FENCE" || (field[2] == "RMW" && $0 ~ /fence/))
			is_fence[field[1]] = 1
	}
	next
}
FNR == 1 { comment = ""; in_comment = 0 }
/\/\*/ { in_comment = 1; comment = "" }
in_comment {
	line = $0; sub(/^[ \t]*\*/, "", line); comment = comment " " line
	if ($0 ~ /\*\//) { in_comment = 0; check_comment(comment) }
	next
}
/shared[0-9]*_(load|store)/ { next }
{
	for (site in is_fence) {
		if ($0 !~ "[ (]" site "\\)")
			continue
		fences++
		if (pair_file != FILENAME || FNR - pair_line > 30)
			complain(site " is a fence and says neither pair nor proof")
	}
}
END {
	if (!fences) { print "not ok - no fence found"; exit 1 }
	if (failed) exit 1
	printf "ok 1 - each of %d fences names its pair and the scenario that proves it\n", fences
}' core/sites.h core/*.c
