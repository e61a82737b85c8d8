#!/bin/sh
# SPDX-License-Identifier: MIT
# Run shellcheck over every shell script of the repository.
set -eu
cd "$(dirname "$0")/.."

command -v shellcheck >/dev/null || { echo "shellcheck is not installed"; exit 77; }
git ls-files -z -- '*.sh' .ci/run tools/run-tests | xargs -0 shellcheck -x -S warning
