# SPDX-License-Identifier: MIT
# `make coverage`: branch coverage of core/ by its unit tests, and the least that is accepted.

COVERAGE_MIN  := 90
COVERAGE_TEST := $(CORE_TESTS:%=$(BUILD)/cov/tests/unit/%)

.PHONY: coverage
coverage: ## show the branch coverage of core/ by its unit tests; fails below 90%
	@tools/deps.sh coverage
	@$(MAKE) --no-print-directory -j2 $(COVERAGE_TEST)
	$(Q)find $(BUILD)/cov -name '*.gcda' -delete
	$(Q)for t in $(COVERAGE_TEST); do timeout 300 $$t >$$t.log 2>&1 || { cat $$t.log; exit 1; }; done
	$(Q)gcovr --root . --filter 'core/' --exclude-unreachable-branches --exclude-throw-branches \
	    --gcov-ignore-parse-errors --branches --fail-under-branch $(COVERAGE_MIN) \
	    --html-details $(BUILD)/coverage.html --txt - $(BUILD)/cov
