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
