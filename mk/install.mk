# SPDX-License-Identifier: MIT
# The library as it is installed, `make install` and `make deb`.
#
# Both libraries have only ph_*: the shared one by a version script, the static one as a single
# object in which everything else is local.

PREFIX     ?= /usr/local
DESTDIR    ?=
bindir     := $(PREFIX)/bin
libdir     ?= $(PREFIX)/lib
includedir := $(PREFIX)/include
mandir     := $(PREFIX)/share/man
pkglibdir  := $(PREFIX)/lib/posthorn
docdir     ?= $(PREFIX)/share/doc/posthorn

VERSION   := $(shell sed -n 's/.*POSTHORN_VERSION "\(.*\)"/\1/p' cli/cli.h)
SO_NUMBER := 0
SO_NAME   := libposthorn.so.$(SO_NUMBER)
SO_FILE   := libposthorn.so.$(VERSION)

CFLAGS_pic := $(CFLAGS_host) -fPIC
$(eval $(call profile_rule,pic))
CORE_PIC := $(call objects,pic,$(CORE_SOURCES))

$(BUILD)/lib/$(SO_FILE): $(CORE_PIC) core/posthorn.map
	@mkdir -p $(@D)
	$(Q)$(CC) -shared $(LDFLAGS) -nostdlib -Wl,-soname,$(SO_NAME) -Wl,--version-script=core/posthorn.map \
	    -Wl,--no-undefined $(CORE_PIC) -lc -o $@

$(BUILD)/lib/libposthorn.a: $(CORE_PIC)
	@mkdir -p $(@D)
	$(Q)$(LD) -r $^ -o $(@D)/posthorn.o
	$(Q)$(OBJCOPY) --wildcard --keep-global-symbol='ph_*' $(@D)/posthorn.o
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(@D)/posthorn.o

$(BUILD)/lib/posthorn.pc: core/posthorn.pc.in cli/cli.h FORCE
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(libdir)|' -e 's|@VERSION@|$(VERSION)|' $< >$@

.PHONY: FORCE
FORCE:

LIBRARY := $(BUILD)/lib/$(SO_FILE) $(BUILD)/lib/libposthorn.a
PROGRAMS := $(BUILD)/posthorn $(BUILD)/posthorn-lab $(BUILD)/posthorn.elf
ALL_TARGETS += $(LIBRARY)

INSTALL := install
install_data := $(INSTALL) -D -m 644
install_program := $(INSTALL) -D -m 755

.PHONY: install install-library install-programs
install: install-library install-programs ## install everything (DESTDIR, PREFIX)

install-library: $(LIBRARY) $(BUILD)/lib/posthorn.pc ## install the library, its headers, manual page and examples
	for h in include/posthorn/*.h; do $(install_data) $$h $(DESTDIR)$(includedir)/posthorn/$${h##*/} || exit 1; done
	$(install_data) $(BUILD)/lib/libposthorn.a $(DESTDIR)$(libdir)/libposthorn.a
	$(install_data) $(BUILD)/lib/$(SO_FILE) $(DESTDIR)$(libdir)/$(SO_FILE)
	ln -sf $(SO_FILE) $(DESTDIR)$(libdir)/$(SO_NAME)
	ln -sf $(SO_NAME) $(DESTDIR)$(libdir)/libposthorn.so
	$(install_data) $(BUILD)/lib/posthorn.pc $(DESTDIR)$(libdir)/pkgconfig/posthorn.pc
	$(install_data) docs/man/libposthorn.3 $(DESTDIR)$(mandir)/man3/libposthorn.3
	for e in $(EXAMPLE_SOURCES); do $(install_data) $$e $(DESTDIR)$(docdir)/$$e || exit 1; done

# The command looks for posthorn.elf beside itself, through the link.
install-programs: $(PROGRAMS) ## install the commands and their manual pages
	$(install_program) $(BUILD)/posthorn $(DESTDIR)$(pkglibdir)/posthorn
	$(install_program) $(BUILD)/posthorn-lab $(DESTDIR)$(pkglibdir)/posthorn-lab
	$(install_data) $(BUILD)/posthorn.elf $(DESTDIR)$(pkglibdir)/posthorn.elf
	$(INSTALL) -d $(DESTDIR)$(bindir)
	ln -sf ../lib/posthorn/posthorn $(DESTDIR)$(bindir)/posthorn
	ln -sf ../lib/posthorn/posthorn-lab $(DESTDIR)$(bindir)/posthorn-lab
	for p in posthorn posthorn-lab; do $(install_data) docs/man/$$p.1 $(DESTDIR)$(mandir)/man1/$$p.1 || exit 1; done

.PHONY: deb
deb: ## build Debian packages in build/deb and check them with lintian
	@tools/deps.sh deb
	$(Q)BUILD=$(BUILD) tools/make-deb.sh

# What debian/rules builds.
.PHONY: deb-build
deb-build: $(LIBRARY) $(PROGRAMS)
