# SPDX-License-Identifier: MIT
# The bare-metal hypervisor: build/posthorn.elf, a 64-bit image in a 32-bit multiboot ELF.
# build/posthorn-selftest.elf is the same kernel with hypervisor/selftest/ in place of the guests.

HV_KERNEL_DIRS := boot cpu mm sched lib
HV_KERNEL_SRC := $(foreach d,$(HV_KERNEL_DIRS),$(wildcard hypervisor/$(d)/*.c hypervisor/$(d)/*.S)) \
                 hypervisor/main/serial.c hypervisor/main/exit.c
HV_SELFTEST_SRC := $(HV_KERNEL_SRC) $(wildcard hypervisor/selftest/*.c)
HV_SRC := $(sort $(HV_KERNEL_SRC) $(foreach d,main svm vmx vm board loader,\
            $(wildcard hypervisor/$(d)/*.c hypervisor/$(d)/*.S)) $(wildcard core/*.c))
HV_LD := hypervisor/boot/image.ld
HV_LDFLAGS := -nostdlib -static -Wl,-T,$(HV_LD) -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
              -Wl,--gc-sections -Wl,--no-warn-rwx-segments

$(BUILD)/posthorn64.elf: $(call objects,free,$(HV_SRC)) $(HV_LD)
	$(Q)$(CC) $(HV_LDFLAGS) -o $@ $(filter %.o,$^)

$(BUILD)/posthorn-selftest64.elf: $(call objects,free,$(HV_SELFTEST_SRC)) $(HV_LD)
	$(Q)$(CC) $(HV_LDFLAGS) -o $@ $(filter %.o,$^)

# Multiboot loaders want ELF32; the low 32 bits of the high addresses do no harm, as they load by
# physical address.
$(BUILD)/posthorn.elf $(BUILD)/posthorn-selftest.elf: $(BUILD)/%.elf: $(BUILD)/%64.elf
	$(Q)$(OBJCOPY) -S -O elf32-i386 $< $@

.PHONY: hypervisor hypervisor-selftest
hypervisor: $(BUILD)/posthorn.elf ## build the hypervisor's image
hypervisor-selftest: $(BUILD)/posthorn-selftest.elf ## build the kernel's self-test image
ALL_TARGETS += $(BUILD)/posthorn.elf $(BUILD)/posthorn-selftest.elf

