# SPDX-License-Identifier: MIT
# core/ against interrupt controllers that others have written: tests/oracle.

ORACLE_REPLAY := $(BUILD)/asan/tests/oracle/replay

$(ORACLE_REPLAY): $(call objects,asan,tests/oracle/replay.c tests/oracle/differences.c tests/fuzz/world.c $(CORE_SOURCES))
	$(Q)$(CC) $(CFLAGS_asan) $^ -o $@

# Against Linux KVM: static, for the initrd of tools/on-kvm.sh.
ORACLE_KVM_SIDE := $(addprefix tests/oracle/kvm_,core.c steps.c compare.c differences.c) tests/fuzz/world.c
ORACLE_KVM      := $(BUILD)/host/tests/oracle/kvm
KVM_INIT        := $(BUILD)/initrd-kvm/init

$(ORACLE_KVM): $(call objects,host,tests/oracle/kvm.c tests/oracle/kvm_linux.c $(ORACLE_KVM_SIDE)) \
    $(BUILD)/host/libposthorn.a
	$(Q)$(CC) -static $^ -o $@
ORACLE_KVM_REPLAY := $(BUILD)/asan/tests/oracle/kvm_replay
$(ORACLE_KVM_REPLAY): $(call objects,asan,tests/oracle/kvm_replay.c $(ORACLE_KVM_SIDE) $(CORE_SOURCES))
	$(Q)$(CC) $(CFLAGS_asan) $^ -o $@

define oracle_unit_test
$(BUILD)/$(1)/tests/unit/oracle_steps: $$(call objects,$(1),tests/unit/oracle_steps.c tests/oracle/kvm_steps.c)
	$$(Q)$$(CC) $$(CFLAGS_$(1)) $$^ -lcmocka -o $$@
endef
$(foreach p,host asan,$(eval $(call oracle_unit_test,$(p))))
UNIT_TESTS += $(BUILD)/host/tests/unit/oracle_steps
ASAN_TESTS += $(BUILD)/asan/tests/unit/oracle_steps

# For mk/mutation.mk.
$(MUTATION)/kvm_records: $(call objects,mutation,tests/oracle/kvm_replay.c $(ORACLE_KVM_SIDE))

$(KVM_INIT): $(call objects,host,tools/initrd/kvm-init.c)
	@mkdir -p $(@D)
	$(Q)$(CC) -static $^ -o $@

.PHONY: oracle
oracle: $(ORACLE_REPLAY) $(ORACLE_KVM_REPLAY) ## replay what QEMU's, Bochs's and KVM's controllers answered against core/
	$(Q)$< $(filter-out %/kvm-%,$(wildcard tests/oracle/records/*))
	$(Q)$(ORACLE_KVM_REPLAY) tests/oracle/records/kvm-*

# STEPS, SEED, VCPUS (1 to 8, by default each in turn), ALL=1 (each listed difference has to show),
# SHOW=WORD (listed differences with this in their name count as unlisted: a short sequence is printed).
ORACLE_RARE := tests/oracle/rare
oracle_options = $(if $(VCPUS),--vcpus $(VCPUS)) $(if $(ALL),--all 1 --replay @in) $(if $(SHOW),--show $(SHOW))
STEPS ?= 100000
SEED  ?= 1
.PHONY: oracle-kvm
oracle-kvm: $(ORACLE_KVM) $(KVM_INIT) ## compare core/ with Linux KVM's interrupt controllers (STEPS=N SEED=S)
	$(Q)BUILD=$(BUILD) LIMIT=$${LIMIT:-7200} tools/on-kvm.sh -i $(ORACLE_RARE) $(ORACLE_KVM) --steps $(STEPS) --seed $(SEED) $(oracle_options)

.PHONY: oracle-kvm-record
oracle-kvm-record: $(ORACLE_KVM) $(KVM_INIT) ## record what KVM's controllers answer (STEPS=N SEED=S) into tests/oracle/records
	$(Q)BUILD=$(BUILD) tools/on-kvm.sh -o tests/oracle/records/kvm-$(SEED) $(ORACLE_KVM) --steps $(STEPS) --seed $(SEED) --length 500 --record @out
	$(Q)BUILD=$(BUILD) tools/on-kvm.sh -i $(ORACLE_RARE) -o tests/oracle/records/kvm-rare $(ORACLE_KVM) --replay @in --record @out

ALL_TARGETS += $(ORACLE_KVM) $(KVM_INIT)
