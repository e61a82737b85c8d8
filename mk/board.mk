# SPDX-License-Identifier: MIT
# The guest's board and the loaders: the DSDT, and hosted unit tests.

DSDT_AML := $(BUILD)/board/dsdt.aml

$(DSDT_AML): hypervisor/board/dsdt.asl
	@mkdir -p $(@D)
	$(Q)iasl -vs -vw 3144 -p $@ $< >$@.log 2>&1 || { cat $@.log; exit 1; }

# The assembler finds dsdt.aml through its include path.
BOARD_DSDT_OBJECTS := $(foreach p,$(PROFILES),$(BUILD)/$(p)/hypervisor/board/dsdt.o)
$(BOARD_DSDT_OBJECTS): $(DSDT_AML)
$(BOARD_DSDT_OBJECTS): CFLAGS_EXTRA += -Wa,-I$(BUILD)/board

# Hosted tests link the loaders and the board's devices against a fake of the rest.
BOARD_HOSTED := $(filter-out hypervisor/board/now.c hypervisor/board/create.c hypervisor/board/firmware.c,$(wildcard hypervisor/board/*.c)) \
                $(filter-out hypervisor/loader/load_vm.c,$(wildcard hypervisor/loader/*.c))
BOARD_FAKE   := tests/unit/hypervisor_fake.c
BOARD_TESTS  := $(filter-out hypervisor_fake,$(basename $(notdir $(wildcard tests/unit/hypervisor_*.c))))

define board_test
$(BUILD)/$(1)/tests/unit/$(2): $$(call objects,$(1),tests/unit/$(2).c $(BOARD_FAKE) $(BOARD_HOSTED)) \
    $(BUILD)/$(1)/hypervisor/board/dsdt.o
	$$(Q)$$(CC) $$(CFLAGS_$(1)) $$^ -lcmocka -o $$@
endef
$(foreach p,host asan cov,$(foreach t,$(BOARD_TESTS),$(eval $(call board_test,$(p),$(t)))))

UNIT_TESTS += $(BOARD_TESTS:%=$(BUILD)/host/tests/unit/%)
ASAN_TESTS += $(BOARD_TESTS:%=$(BUILD)/asan/tests/unit/%)

.PHONY: board-check
board-check: $(foreach p,host asan,$(BOARD_TESTS:%=$(BUILD)/$(p)/tests/unit/%)) ## build and run the board's and loaders' unit tests, plain and sanitized
	$(Q)status=0; for t in $^; do echo "== $$t"; timeout 120 $$t || status=1; done; exit $$status
