# SPDX-License-Identifier: MIT
# The race lab: build/posthorn-lab and its tests.  The lab compiles core/ itself, with PH_LAB.

LAB_SOURCES := $(sort $(wildcard lab/*.c lab/*.S lab/selfcheck/*.c lab/scenarios/*.c lab/mutants/*.c model/*.c))
LAB_CORE := $(sort $(wildcard core/*.c))
LAB_TESTS := verdicts stops
# Foreign code: any source, compiled as it is with the lab's <stdatomic.h>.
LAB_FOREIGN := examples/mailbox.c
LAB_OBJECTS := $(call objects,lab,$(LAB_SOURCES) $(LAB_CORE) $(LAB_FOREIGN))
LAB_TEST_OBJECTS := $(call objects,lab,$(LAB_TESTS:%=tests/lab/test_%.c) tests/lab/test_watch.c tests/lab/broken.c)
LAB_PROGRAM := $(BUILD)/posthorn-lab

# Bound at the start: at its first call a function would go much deeper into a program's stack than ever after.
LAB_LINK := -no-pie -pthread -Wl,-z,now
# Lines of raw memory are read as words; the stacks of a world have fixed addresses.
LAB_FLAGS := -O3 -fno-strict-aliasing -fno-pie -fcf-protection=none -fno-stack-protector
# The size of a table is among the flags: objects of two minds must not meet.
$(LAB_OBJECTS) $(LAB_TEST_OBJECTS): mk/flags.mk
$(LAB_OBJECTS): CFLAGS_EXTRA := $(LAB_FLAGS) -Ilab/shim
$(LAB_TEST_OBJECTS): CFLAGS_EXTRA := $(LAB_FLAGS) -DLAB_PROGRAM='"$(LAB_PROGRAM)"' \
    -DLAB_BROKEN='"$(BUILD)/lab/tests/lab/posthorn-lab-broken"'

$(LAB_PROGRAM): $(LAB_OBJECTS)
	$(Q)$(CC) $(LAB_LINK) -o $@ $(LAB_OBJECTS) -lm

LAB_LIBRARY := $(filter-out %/lab/main.o,$(LAB_OBJECTS))
$(BUILD)/lab/tests/lab/test_%: $(BUILD)/lab/tests/lab/test_%.o $(BUILD)/lab/tests/lab/broken.o \
    $(LAB_LIBRARY) $(LAB_PROGRAM)
	$(Q)$(CC) $(LAB_LINK) -o $@ $< $(BUILD)/lab/tests/lab/broken.o $(LAB_LIBRARY) -lcmocka -lm

# The program with the broken scenarios: what it says and exits with.
LAB_BROKEN := $(BUILD)/lab/tests/lab/posthorn-lab-broken
$(LAB_BROKEN): $(LAB_OBJECTS) $(BUILD)/lab/tests/lab/broken.o
	$(Q)$(CC) $(LAB_LINK) -o $@ $^ -lm
$(BUILD)/lab/tests/lab/test_stops: $(LAB_BROKEN)

UNIT_TESTS += $(LAB_TESTS:%=$(BUILD)/lab/tests/lab/test_%)

# The second build: every plain access of core/ is a call to lab/watch.c.
CFLAGS_labwatch := $(CFLAGS_lab) -fsanitize=thread
$(eval $(call profile_rule,labwatch))
LAB_WATCHED := $(call objects,labwatch,$(LAB_CORE))
LAB_WATCHED_TEST := $(call objects,labwatch,tests/lab/unannotated.c)
$(LAB_WATCHED) $(LAB_WATCHED_TEST): mk/flags.mk
$(LAB_WATCHED) $(LAB_WATCHED_TEST): CFLAGS_EXTRA := $(LAB_FLAGS)
$(BUILD)/posthorn-lab-watch: $(filter-out $(call objects,lab,$(LAB_CORE)),$(LAB_OBJECTS)) $(LAB_WATCHED)
	$(Q)$(CC) $(LAB_LINK) -o $@ $^ -lm

$(BUILD)/labwatch/tests/lab/test_watch: $(call objects,lab,tests/lab/test_watch.c) $(LAB_WATCHED_TEST) \
    $(filter-out $(call objects,lab,$(LAB_CORE)),$(LAB_LIBRARY)) $(LAB_WATCHED)
	$(Q)$(CC) $(LAB_LINK) -o $@ $^ -lcmocka -lm
UNIT_TESTS += $(BUILD)/labwatch/tests/lab/test_watch

.PHONY: lab-watch
lab-watch: $(BUILD)/posthorn-lab-watch ## search every scenario with one sender, watching for un-annotated accesses
	$(Q)$< run --senders 1

.PHONY: lab-bench
lab-bench: $(LAB_PROGRAM) ## measure the lab into bench/results: speed, two processes, the whole set, memory
	$(Q)LAB=$(LAB_PROGRAM) bench/lab.sh bench/results/$$(date +%F)-lab.json

.PHONY: lab
lab: $(LAB_PROGRAM) ## build the race lab

# The fence audit: every site and assumption weakened, over every scenario that holds.
.PHONY: lab-audit lab-audit-check
lab-audit: $(LAB_PROGRAM) ## write the fence audit into docs/ordering.md
	$(Q)LAB=$(LAB_PROGRAM) tools/lab-audit.sh write

lab-audit-check: $(LAB_PROGRAM) ## fail when the fence audit in docs/ordering.md is stale
	$(Q)LAB=$(LAB_PROGRAM) tools/lab-audit.sh check

ALL_TARGETS += $(LAB_PROGRAM)
