# SPDX-License-Identifier: MIT
# Fuzz targets: by libFuzzer under clang (`make fuzz`), and as plain programs that run their corpus
# in `make test` (gcc, ASan and UBSan).

FUZZ_TARGETS := $(patsubst tests/fuzz/target_%.c,%,$(sort $(wildcard tests/fuzz/target_*.c)))
FUZZ_LOADERS := $(filter-out hypervisor/loader/load_vm.c,$(wildcard hypervisor/loader/*.c))
FUZZ_WORLD   := tests/fuzz/world.c $(CORE_SOURCES)

FUZZ_PARTS_lapic   := $(FUZZ_WORLD)
FUZZ_PARTS_icr     := $(FUZZ_WORLD)
FUZZ_PARTS_ioapic  := $(FUZZ_WORLD)
FUZZ_PARTS_msi     := $(FUZZ_WORLD)
FUZZ_PARTS_state   := $(FUZZ_WORLD)
FUZZ_PARTS_exit    := $(FUZZ_WORLD)
FUZZ_PARTS_bundle  := $(FUZZ_LOADERS)
FUZZ_PARTS_elf     := tests/fuzz/image.c $(FUZZ_LOADERS)
FUZZ_PARTS_bzimage := tests/fuzz/image.c $(FUZZ_LOADERS)
FUZZ_PARTS_decode  := hypervisor/vm/decode.c
FUZZ_PARTS_acpi    := tests/fuzz/host_acpi.c

FUZZ_CC ?= clang-14
CFLAGS_fuzz := $(BASE) -O1 -D_GNU_SOURCE -fsanitize=fuzzer-no-link,address,undefined \
               -fno-sanitize-recover=all -fno-omit-frame-pointer
$(eval $(call profile_rule,fuzz))
$(BUILD)/fuzz/%: CC = $(FUZZ_CC)

define fuzz_target
$(BUILD)/fuzz/$(1): $$(call objects,fuzz,tests/fuzz/target_$(1).c $$(FUZZ_PARTS_$(1)))
	$$(Q)$$(CC) -fsanitize=fuzzer,address,undefined $$^ -o $$@
$(BUILD)/asan/tests/fuzz/replay_$(1): $$(call objects,asan,tests/fuzz/replay.c tests/fuzz/target_$(1).c $$(FUZZ_PARTS_$(1)))
	$$(Q)$$(CC) $$(CFLAGS_asan) $$^ -o $$@
endef
$(foreach t,$(FUZZ_TARGETS),$(eval $(call fuzz_target,$(t))))

FUZZ_REPLAYS := $(FUZZ_TARGETS:%=$(BUILD)/asan/tests/fuzz/replay_%)

# TIME is seconds for each target.
TIME ?= 60
FUZZ ?= $(FUZZ_TARGETS)
.PHONY: fuzz fuzz-replay
fuzz: ## run the fuzz targets, one after the other (TIME=seconds for each, FUZZ="names")
	@tools/deps.sh fuzz
	@$(MAKE) --no-print-directory -j2 $(FUZZ:%=$(BUILD)/fuzz/%)
	@BUILD=$(BUILD) tools/run-fuzz.sh $(TIME) $(FUZZ)

fuzz-replay: $(FUZZ_REPLAYS) ## run the corpus of every fuzz target under the sanitizers
	$(Q)for t in $(FUZZ_TARGETS); do $(BUILD)/asan/tests/fuzz/replay_$$t tests/fuzz/corpus/$$t 2>/dev/null || exit 1; done

# The host's ACPI reader, hosted as its fuzz target has it.
define host_acpi_test
$(BUILD)/$(1)/tests/unit/host_acpi: $$(call objects,$(1),tests/unit/host_acpi.c tests/fuzz/host_acpi.c)
	$$(Q)$$(CC) $$(CFLAGS_$(1)) $$^ -lcmocka -o $$@
endef
$(foreach p,host asan cov,$(eval $(call host_acpi_test,$(p))))
UNIT_TESTS += $(BUILD)/host/tests/unit/host_acpi
ASAN_TESTS += $(BUILD)/asan/tests/unit/host_acpi
