# SPDX-License-Identifier: MIT
# Records of foreign APICs, replayed against core/: tests/oracle.

ORACLE_REPLAY := $(BUILD)/asan/tests/oracle/replay

$(ORACLE_REPLAY): $(call objects,asan,tests/oracle/replay.c tests/oracle/differences.c tests/fuzz/world.c $(CORE_SOURCES))
	$(Q)$(CC) $(CFLAGS_asan) $^ -o $@

.PHONY: oracle
oracle: $(ORACLE_REPLAY) ## replay what QEMU's and Bochs's APICs answered against core/
	$(Q)$< tests/oracle/records/*
