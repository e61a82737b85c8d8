# SPDX-License-Identifier: MIT
# `make run`: a Debian kernel as a guest; the initrd with its self-test.

SELFTEST := $(BUILD)/run/selftest
INITRD   := $(BUILD)/run/initrd

$(SELFTEST): $(call objects,host,tools/initrd/selftest.c)
	@mkdir -p $(@D)
	$(Q)$(CC) -static -pthread $^ -o $@

$(INITRD): $(SELFTEST) tools/initrd/init tools/make-initrd.sh
	$(Q)tools/make-initrd.sh $@ $(SELFTEST)

ALL_TARGETS += $(INITRD)

# From the command line only: shells export HOST with another meaning.
RUN_HOST := $(if $(filter command,$(firstword $(origin HOST))),$(HOST))

.PHONY: run
run: ## boot a 2-CPU Linux guest: a shell on a terminal, else its self-test (CPUS= MEMORY= HOST=bochs-vmx APICV=off|vid|posted)
	@tools/deps.sh run
	@$(MAKE) -s --no-print-directory $(BUILD)/posthorn $(BUILD)/posthorn.elf $(INITRD)
	@BUILD=$(BUILD) POSTHORN_HOST=$(RUN_HOST) tools/run-linux.sh
