#!/bin/bash
# SPDX-License-Identifier: MIT
# tools/run-tests counts, limits and reports as it says.
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"

runner=$root/tools/run-tests
says() { grep -qE -- "$1" "$work/out" || { sed 's/^/#   | /' "$work/out"; false; }; }

# verdict NAME STATUS LAST-LINE LIST-LINE...
verdict() {
	local name=$1 wanted=$2 last=$3
	shift 3
	printf '%s\n' "$@" >"$work/list"
	run "$runner" -l "$work/logs" "$work/list"
	check "$name: status" [ "$status" = "$wanted" ]
	check "$name: last line" [ "$(tail -n 1 "$work/out")" = "$last" ]
}

verdict "a plain pass" 0 "1 passed, 0 failed, 0 skipped" 'a 5 true'
verdict "a plain failure" 1 "1 passed, 1 failed, 0 skipped" 'a 5 true' 'b 5 exit 3'
check "a failure shows how to replay" says 'replay: .*exit 3'
verdict "TAP counts one by one" 1 "2 passed, 1 failed, 1 skipped" \
	'a 5 echo "ok 1 - x"; echo "ok 2 - y"; echo "ok 3 - z # SKIP w"; echo "not ok 4"; exit 1'
verdict "a 'not ok' fails even with status 0" 1 "1 passed, 1 failed, 0 skipped" \
	'a 5 echo "ok 1 - x"; echo "not ok 2 - y"'
verdict "a crash after passes fails" 1 "1 passed, 1 failed, 0 skipped" \
	'a 5 echo "ok 1 - x"; kill -SEGV $$'
verdict "a skip is neither" 0 "1 passed, 0 failed, 1 skipped" 'a 5 true' 'b 5 echo why; exit 77'
check "a skip says why" says '^skip b: why'
verdict "only skips is no success" 1 "0 passed, 0 failed, 1 skipped" 'b 5 exit 77'
verdict "no tests is no success" 1 "0 passed, 0 failed, 0 skipped" '# nothing'
check "and is said" grep -qx 'run-tests: no tests to run' "$work/err"
verdict "a test without an end" 1 "1 passed, 1 failed, 0 skipped" 'a 5 true' 'b 1 exec sleep 100'
check "is named so" says 'FAIL b: no end after 1 s'
finish
