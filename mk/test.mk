# SPDX-License-Identifier: MIT
# `make test`: unit tests, checks, the guests and the boots. Other areas add their cmocka
# programs to UNIT_TESTS and, under the sanitizers, to ASAN_TESTS.

TEST_PROGRAMS = $(UNIT_TESTS) $(ASAN_TESTS) $(FUZZ_REPLAYS) $(ORACLE_REPLAY) $(ORACLE_KVM_REPLAY) \
                $(ORACLE_KVM) $(KVM_INIT) $(EXAMPLE_KVM) $(EXAMPLE_PROGRAMS) \
                $(LIBRARY) $(PROGRAMS) $(BUILD)/posthorn $(BUILD)/asan/posthorn
TEST_BOOT_FILES = $(HARDWARE_MODEL) $(BUILD)/posthorn.elf $(BUILD)/posthorn-selftest.elf $(INITRD) guests
TEST_LIST = BUILD=$(BUILD) UNIT_TESTS="$(UNIT_TESTS)" ASAN_TESTS="$(ASAN_TESTS)" \
            FUZZ_REPLAYS="$(FUZZ_REPLAYS)" EXAMPLE_PROGRAMS="$(EXAMPLE_PROGRAMS)" tools/list-tests.sh

.PHONY: test test-quick test-long
test: ## run all tests: units, checks, guests, boots (TESTS=PATTERN for some)
	@tools/deps.sh test
	@$(MAKE) --no-print-directory -j2 $(TEST_PROGRAMS) $(TEST_BOOT_FILES)
	@tools/fetch-kernel.sh >/dev/null
	@tools/fetch-qemu.sh >/dev/null || echo 'make test: without QEMU 10, tests on two CPUs are skipped'
	@$(TEST_LIST) full | grep -E -- '$(or $(TESTS),.)' | BUILD=$(BUILD) tools/run-tests -l $(BUILD)/test-logs -

test-long: ## run what takes long: the full matrix of delivery modes on Bochs's VMX, its 1,000,000-IPI soaks, memtest86+
	@tools/deps.sh test
	@$(MAKE) --no-print-directory -j2 $(TEST_PROGRAMS) $(TEST_BOOT_FILES)
	@tools/fetch-kernel.sh >/dev/null
	@$(TEST_LIST) long | grep -E -- '$(or $(TESTS),.)' | BUILD=$(BUILD) tools/run-tests -l $(BUILD)/test-logs -

test-quick: ## run the tests that boot nothing
	@tools/deps.sh test
	@$(MAKE) --no-print-directory -j2 $(TEST_PROGRAMS)
	@$(TEST_LIST) quick | grep -E -- '$(or $(TESTS),.)' | BUILD=$(BUILD) tools/run-tests -l $(BUILD)/test-logs -
