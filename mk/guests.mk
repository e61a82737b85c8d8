# SPDX-License-Identifier: MIT
# Guests: multiboot images, one for each guests/*.c, on the shared runtime in guests/rt/.

GUESTS_RT_SRC := $(sort $(wildcard guests/rt/*.c)) guests/rt/boot.S
GUESTS_NAMES  := $(sort $(basename $(notdir $(wildcard guests/*.c))))
GUESTS_ELF    := $(GUESTS_NAMES:%=$(BUILD)/guests/%.elf)

# Guests are linked at 1 MiB, so their addresses are small ones.
$(BUILD)/free/guests/%.o: CFLAGS_EXTRA := -mcmodel=small

$(BUILD)/guests/%.elf64: $(BUILD)/free/guests/%.o $(call objects,free,$(GUESTS_RT_SRC)) guests/guest.ld
	@mkdir -p $(@D)
	$(Q)$(LD) -m elf_x86_64 -static -z max-page-size=4096 --no-warn-rwx-segments \
		-T guests/guest.ld -o $@ $(filter %.o,$^)

# A multiboot1 loader takes 32-bit ELF.
$(BUILD)/guests/%.elf: $(BUILD)/guests/%.elf64
	$(Q)$(OBJCOPY) -O elf32-i386 $< $@

.PHONY: guests check-guests-qemu
guests: $(GUESTS_ELF) ## build the guests
check-guests-qemu: guests ## run the guests on QEMU itself, the reference
	$(Q)tests/guests/run_reference.sh guests/LIST $(BUILD)/guests

ALL_TARGETS += $(GUESTS_ELF)
