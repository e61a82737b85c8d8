# SPDX-License-Identifier: MIT
# Make of the headers' plain comments what Doxygen reads: a comment above a declaration documents it,
# one behind a member documents that. The second line of a file says what the file is for. A function
# right behind another, with no comment of its own, is told about in the other's.
function plain(text) {
	gsub(/#/, "\\#", text)
	gsub(/</, "\\<", text)
	gsub(/>/, "\\>", text)
	return text
}
# A comment that was begun and not ended.
inside {
	$0 = plain($0)
	if (/\*\//) inside = 0
	print
	next
}
/SPDX-License-Identifier/ { print; next }
FNR == 2 && /^\/\*/ {
	sub(/^\/\*/, "")
	inside = !/\*\//
	print "/** @file"
	print " *" plain($0)
	next
}
# Headings between groups of functions.
/^\/\* ----/ { print; next }
/^[ \t]*\/\*/ {
	inside = !/\*\//
	if (/^\/\*/) is_described = 1
	match($0, /\/\*/)
	print substr($0, 1, RSTART - 1) "/**" plain(substr($0, RSTART + 2))
	next
}
# In the body of a macro a comment is no documentation.
/\\$/ { print; next }
/\/\*/ {
	match($0, /\/\*/)
	rest = substr($0, RSTART + 2)
	inside = rest !~ /\*\//
	print substr($0, 1, RSTART - 1) "/**<" plain(rest)
	next
}
# A function's declaration begins.
/^[a-z].*\(/ {
	name = $0
	sub(/\(.*/, "", name)
	sub(/.*[ *]/, "", name)
	if (documented != "" && !is_described) print "/** See " documented "(). */"
	if (is_described) documented = name
	is_described = 0
}
/^[ \t]*$/ { documented = "" }
{ print }
