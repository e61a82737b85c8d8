# SPDX-License-Identifier: MIT
# libposthorn in every profile, and its unit tests: one cmocka binary per core file.

CORE_SOURCES := $(sort $(wildcard core/*.c))
CORE_TESTS   := $(basename $(notdir $(wildcard $(patsubst core/%.c,tests/unit/test_%.c,$(CORE_SOURCES)))))
CORE_HARNESS := tests/unit/harness.c

define core_library
$(BUILD)/$(1)/libposthorn.a: $$(call objects,$(1),$(CORE_SOURCES))
	@mkdir -p $$(@D)
	$$(Q)rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^
endef
$(foreach p,$(PROFILES),$(eval $(call core_library,$(p))))

define core_test
$(BUILD)/$(1)/tests/unit/$(2): $$(call objects,$(1),tests/unit/$(2).c $(CORE_HARNESS)) \
    $(BUILD)/$(1)/libposthorn.a
	$$(Q)$$(CC) $$(CFLAGS_$(1)) $$^ -lcmocka -o $$@
endef
$(foreach p,host asan cov,$(foreach t,$(CORE_TESTS),$(eval $(call core_test,$(p),$(t)))))

UNIT_TESTS += $(CORE_TESTS:%=$(BUILD)/host/tests/unit/%)
ASAN_TESTS += $(CORE_TESTS:%=$(BUILD)/asan/tests/unit/%)

# The lab's copy is an archive only: its runtime is linked in by the lab.
ALL_TARGETS += $(foreach p,free host asan lab,$(BUILD)/$(p)/libposthorn.a)

.PHONY: core-check
core-check: $(foreach p,host asan,$(CORE_TESTS:%=$(BUILD)/$(p)/tests/unit/%)) ## build and run core's unit tests, plain and under ASan and UBSan
	$(Q)status=0; for t in $^; do echo "== $$t"; timeout 120 $$t || status=1; done; exit $$status
