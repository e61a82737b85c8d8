# SPDX-License-Identifier: MIT
# Profiles: each is a set of flags and a folder build/<profile>/ of objects.
#   free   freestanding, bare metal (hypervisor and guests add their own -m flags)
#   host   hosted library and tools
#   asan   as host, under ASan and UBSan
#   cov    as host, for coverage
#   lab    as host, PH_LAB: core's shared memory goes through the race lab

CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
OBJCOPY ?= objcopy
AR ?= ar

WARN := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wundef -Wvla -Wstrict-prototypes -Werror
BASE := -std=c11 $(WARN) -Iinclude -I. -g -MMD -MP

CFLAGS_free := $(BASE) -O2 -ffreestanding -fno-stack-protector -fno-pic -fno-pie -mno-red-zone \
               -mgeneral-regs-only -DPH_VMCS_DIRECT=1 -fno-asynchronous-unwind-tables -mcmodel=kernel \
               -ffunction-sections -fdata-sections -fno-strict-aliasing -fcf-protection=none
CFLAGS_host := $(BASE) -O2 -D_GNU_SOURCE
CFLAGS_asan := $(BASE) -O1 -D_GNU_SOURCE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_cov  := $(BASE) -O0 -D_GNU_SOURCE --coverage
# A routing table that fits a store buffer when it is replaced.
CFLAGS_lab  := $(BASE) -O2 -D_GNU_SOURCE -DPH_LAB=1 -DPH_GSI_MAX=1u

PROFILES := free host asan cov lab

define profile_rule
$(BUILD)/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CFLAGS_$(1)) $$(CFLAGS_EXTRA) -c $$< -o $$@
$(BUILD)/$(1)/%.o: %.S
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CFLAGS_$(1)) $$(CFLAGS_EXTRA) -c $$< -o $$@
endef
$(foreach p,$(PROFILES),$(eval $(call profile_rule,$(p))))

# $(call objects,PROFILE,SOURCES): the object files of SOURCES in PROFILE.
objects = $(patsubst %.c,$(BUILD)/$(1)/%.o,$(patsubst %.S,$(BUILD)/$(1)/%.o,$(2)))

ALL_TARGETS :=
