# SPDX-License-Identifier: MIT
# The examples that embed the library: built against it and, with it, under TSan.

EXAMPLES := threads
# Those that embed the library, as they are installed; the line to build each stands in its comment.
EXAMPLE_SOURCES := examples/threads.c examples/kvm.c examples/kvm_guest.S

CFLAGS_tsan := $(BASE) -O1 -D_GNU_SOURCE -fsanitize=thread
$(eval $(call profile_rule,tsan))

$(BUILD)/examples/%: $(BUILD)/host/examples/%.o $(BUILD)/lib/libposthorn.a
	@mkdir -p $(@D)
	$(Q)$(CC) $^ -pthread -o $@
$(BUILD)/tsan/examples/%: $(BUILD)/tsan/examples/%.o $(call objects,tsan,$(CORE_SOURCES))
	$(Q)$(CC) -fsanitize=thread $^ -pthread -o $@

# Static, for the machine of tools/on-kvm.sh.
EXAMPLE_KVM := $(BUILD)/examples/kvm
$(EXAMPLE_KVM): $(call objects,host,examples/kvm.c examples/kvm_guest.S) $(BUILD)/lib/libposthorn.a
	@mkdir -p $(@D)
	$(Q)$(CC) -static $^ -pthread -o $@

EXAMPLE_PROGRAMS := $(EXAMPLES:%=$(BUILD)/examples/%) $(EXAMPLES:%=$(BUILD)/tsan/examples/%)
.PHONY: examples
examples: $(EXAMPLES:%=$(BUILD)/examples/%) $(EXAMPLE_KVM) ## build the examples
