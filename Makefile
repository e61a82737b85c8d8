# SPDX-License-Identifier: MIT
# Posthorn: one non-recursive Makefile; every area adds its part in mk/.
# Targets with a "##" comment are listed by `make help`.

MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

BUILD ?= build
Q := $(if $(V),,@)

include mk/flags.mk
include $(sort $(filter-out mk/flags.mk,$(wildcard mk/*.mk)))

.PHONY: all help clean
all: $(ALL_TARGETS) ## build everything (default)

help: ## list the targets
	@awk -F':.*## ' '/^[a-zA-Z0-9_.-]+:.*## /{printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST) | sort

clean: ## remove build/
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
