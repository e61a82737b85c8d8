# SPDX-License-Identifier: MIT
# Mutation testing of core/ (tools/mutate.py): the unit tests, the oracle's records and the fuzz corpora
# against a shared library in which one token was changed.

MUTATION_FLAGS ?=
CFLAGS_mutation := -std=c11 -w -Iinclude -I. -MMD -MP -O1 -fPIC -fno-semantic-interposition -D_GNU_SOURCE $(MUTATION_FLAGS)
$(eval $(call profile_rule,mutation))

MUTATION := $(BUILD)/mutation
MUTATION_LIBRARY := $(MUTATION)/lib/libposthorn.so
# The fuzz targets of core/.
MUTATION_FUZZ := $(foreach t,$(FUZZ_TARGETS),$(if $(filter core/%,$(FUZZ_PARTS_$(t))),$(t)))
MUTATION_TESTS := $(CORE_TESTS:%=$(MUTATION)/%) $(MUTATION)/oracle $(MUTATION)/kvm_records \
                  $(MUTATION_FUZZ:%=$(MUTATION)/fuzz_%)

$(MUTATION_LIBRARY): $(call objects,mutation,$(CORE_SOURCES))
	@mkdir -p $(@D)
	$(Q)$(CC) $(MUTATION_FLAGS) -shared $^ -o $@

$(CORE_TESTS:%=$(MUTATION)/%): $(MUTATION)/%: $(MUTATION)/tests/unit/%.o $(call objects,mutation,$(CORE_HARNESS))
$(MUTATION)/oracle: $(call objects,mutation,tests/oracle/replay.c tests/oracle/differences.c tests/fuzz/world.c)
$(MUTATION)/fuzz_%: $(MUTATION)/tests/fuzz/target_%.o $(call objects,mutation,tests/fuzz/replay.c tests/fuzz/world.c)
	$(Q)$(CC) $(MUTATION_FLAGS) $(filter %.o,$^) $(MUTATION_LIBRARY) -lcmocka -Wl,-rpath,$(abspath $(MUTATION)/lib) -o $@
$(filter-out $(MUTATION)/fuzz_%,$(MUTATION_TESTS)):
	$(Q)$(CC) $(MUTATION_FLAGS) $(filter %.o,$^) $(MUTATION_LIBRARY) -lcmocka -Wl,-rpath,$(abspath $(MUTATION)/lib) -o $@
$(MUTATION_TESTS): $(MUTATION_LIBRARY)

# FILES, SAMPLE, SEED and ONLY (a file of survivors, as printed) choose the mutants.
FILES ?= $(CORE_SOURCES)
.PHONY: mutation
mutation: ## mutation testing of core/ (FILES="core/a.c", SAMPLE=number SEED=number, ONLY=file)
	@tools/deps.sh mutation
	@$(MAKE) --no-print-directory -j2 $(MUTATION_TESTS)
	@rm -f $(MUTATION_LIBRARY) && $(MAKE) --no-print-directory $(MUTATION_LIBRARY)
	@tools/mutate.py --build $(MUTATION) --compile '$(CC) $(filter-out -MMD -MP,$(CFLAGS_mutation))' \
	    $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) \
	    $(foreach t,$(CORE_TESTS),--test '$(t)=$(MUTATION)/$(t)') \
	    --test 'oracle=$(MUTATION)/oracle tests/oracle/records/[bq]*' \
	    --test 'kvm_records=$(MUTATION)/kvm_records tests/oracle/records/kvm-*' \
	    $(foreach t,$(MUTATION_FUZZ),--test 'fuzz_$(t)=$(MUTATION)/fuzz_$(t) tests/fuzz/corpus/$(t)') $(FILES)
