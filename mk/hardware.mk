# SPDX-License-Identifier: MIT
# What a guest sees of its interrupts, on the model and on the hosts: tests/hardware/.

HARDWARE_MODEL := $(BUILD)/host/tests/hardware/model
$(HARDWARE_MODEL): $(call objects,host,tests/hardware/model.c $(wildcard model/*.c))
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_host) $^ -o $@

ALL_TARGETS += $(HARDWARE_MODEL)
