# SPDX-License-Identifier: MIT
# Hosted unit tests of the hypervisor's pure parts: the instruction decoder; and of the host's serial ports.

define virt_test
$(BUILD)/$(1)/tests/unit/virt_decode: $$(call objects,$(1),tests/unit/virt_decode.c hypervisor/vm/decode.c)
	$$(Q)$$(CC) $$(CFLAGS_$(1)) $$^ -lcmocka -o $$@
$(BUILD)/$(1)/tests/unit/host_serial: $$(call objects,$(1),tests/unit/host_serial.c)
	$$(Q)$$(CC) $$(CFLAGS_$(1)) $$^ -lcmocka -o $$@
endef
# The test reads flags with PUSHF, which would write into the red zone.
$(foreach p,host asan cov,$(BUILD)/$(p)/tests/unit/virt_decode.o): CFLAGS_EXTRA := -mno-red-zone
$(foreach p,host asan cov,$(eval $(call virt_test,$(p))))

UNIT_TESTS += $(BUILD)/host/tests/unit/virt_decode $(BUILD)/host/tests/unit/host_serial
ASAN_TESTS += $(BUILD)/asan/tests/unit/virt_decode $(BUILD)/asan/tests/unit/host_serial
