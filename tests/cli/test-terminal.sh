#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs test-terminal.exp on files that look like kernels.
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"

type -P expect >/dev/null || { echo "no expect installed"; exit 77; }
make_bzimage "$work/linux"
make_multiboot "$work/guest"
echo hypervisor >"$work/hypervisor"
command expect -f "$root/tests/cli/test-terminal.exp" "$posthorn" "$fake" "$work" | sed 's/\r$//' | grep -E '^(ok|not ok|1\.\.)'
exit "${PIPESTATUS[0]}"
