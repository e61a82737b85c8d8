# SPDX-License-Identifier: MIT
# The race lab: build/posthorn-lab and its tests.  The lab compiles core/ itself, with PH_LAB.

LAB_SOURCES := $(sort $(wildcard lab/*.c lab/*.S lab/selfcheck/*.c lab/scenarios/*.c lab/mutants/*.c model/*.c))
LAB_CORE := $(sort $(wildcard core/*.c))
LAB_OBJECTS := $(call objects,lab,$(LAB_SOURCES) $(LAB_CORE))

# Lines of raw memory are read as words; replay ids and stacks want fixed addresses.
$(LAB_OBJECTS): CFLAGS_EXTRA := -fno-strict-aliasing -fno-pie -fcf-protection=none -fno-stack-protector

$(BUILD)/posthorn-lab: $(LAB_OBJECTS)
	$(Q)$(CC) -no-pie -pthread -o $@ $(LAB_OBJECTS) -lm

.PHONY: lab
lab: $(BUILD)/posthorn-lab ## build the race lab

ALL_TARGETS += $(BUILD)/posthorn-lab
