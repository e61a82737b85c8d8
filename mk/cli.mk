# SPDX-License-Identifier: MIT
# The `posthorn` command.

CLI_SOURCES := $(sort $(wildcard cli/*.c))
CLI_LIBS    := -larchive -lcjson

$(BUILD)/posthorn: $(call objects,host,$(CLI_SOURCES))
	@mkdir -p $(@D)
	$(Q)$(CC) $^ $(CLI_LIBS) -o $@

# The same under ASan and UBSan, for tests/cli.
$(BUILD)/asan/posthorn: $(call objects,asan,$(CLI_SOURCES))
	$(Q)$(CC) -fsanitize=address,undefined $^ $(CLI_LIBS) -o $@

ALL_TARGETS += $(BUILD)/posthorn
