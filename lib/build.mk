# SPDX-License-Identifier: GPL-2.0-only
#
# libhypr, static and shared: out/lib/libhypr.a, libhypr.so.0, hypr.pc.  What
# lib/libhypr.map does not name is local to the shared one.

LIB_VERSION := $(shell sed -n 's/.*HYPR_VERSION[^"]*"\(.*\)"/\1/p' include/hypr/hypr.h)
LIB_SRC := $(wildcard lib/*/*.c)
# What the library uses of core/; the shared one keeps it to itself.
LIB_CORE_SRC := $(patsubst %,core/%.c,secure walk walk_formats user/plat_user)
# What runs in a function VM at privilege level 0: data of the library.
LIB_MONITOR := out/obj/lib/func/monitor.o
LIB_OBJ := $(LIB_SRC:lib/%.c=out/obj/lib/%.o) $(LIB_CORE_SRC:core/%.c=out/obj/core/%.o) \
	$(LIB_MONITOR)
LIB_CFLAGS := $(CFLAGS) -Ilib -I. $(CORE_INCLUDE) -D_GNU_SOURCE -fPIC -pthread
# Libraries that Debian has as static ones too.
LIB_LIBS := -ljansson -lsodium -lxxhash -lzstd -pthread

LIB_STATIC := out/lib/libhypr.a
LIB_SHARED := out/lib/libhypr.so.$(LIB_VERSION)
LIB_PC := out/lib/hypr.pc

.PHONY: lib
lib: $(LIB_STATIC) $(LIB_SHARED) $(LIB_PC)
PROGRAMS += $(LIB_STATIC) $(LIB_SHARED) $(LIB_PC)

out/obj/lib/%.o: lib/%.c lib/build.mk
	@mkdir -p $(@D)
	$(CC) $(LIB_CFLAGS) -MMD -MP -c -o $@ $<

$(LIB_MONITOR): lib/func/monitor.S lib/func/map.h lib/build.mk
	@mkdir -p $(@D)
	$(CC) -Ilib -c -o $@ $<

$(LIB_STATIC): $(LIB_OBJ)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^

$(LIB_SHARED): $(LIB_OBJ) lib/libhypr.map
	@mkdir -p $(@D)
	$(CC) -shared -Wl,-soname,libhypr.so.0 -Wl,--version-script=lib/libhypr.map \
		-Wl,-z,defs -o $@ $(LIB_OBJ) $(LIB_LIBS)
	ln -sf $(@F) out/lib/libhypr.so.0
	ln -sf libhypr.so.0 out/lib/libhypr.so

PREFIX ?= /usr/local
$(LIB_PC): lib/hypr.pc.in include/hypr/hypr.h lib/build.mk
	@mkdir -p $(@D)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(LIB_VERSION)|' $< >$@

-include $(LIB_OBJ:.o=.d)

# A page is found under the name of each of its functions, which are the words
# before the hyphen of its NAME section.
MAN3 := $(wildcard docs/man/*.3)
.PHONY: install-man3
install-man3:
	install -d $(DESTDIR)$(PREFIX)/share/man/man3
	install -m 644 $(MAN3) $(DESTDIR)$(PREFIX)/share/man/man3/
	for page in $(notdir $(MAN3)); do \
		for name in $$(sed -n '/^\.SH NAME/,/\\-/{/^\.SH/d;s/\\-.*//;s/,/ /g;p}' \
			       docs/man/$$page); do \
			[ "$$name.3" = "$$page" ] || echo ".so man3/$$page" \
				>$(DESTDIR)$(PREFIX)/share/man/man3/$$name.3 || exit; \
		done; \
	done

.PHONY: install-lib
install-lib: lib install-man3
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include/hypr/abi
	install -m 644 include/hypr/func.h include/hypr/guest.h include/hypr/guest-requests.h \
		include/hypr/hypr.h include/hypr/run.h include/hypr/vmo.h $(DESTDIR)$(PREFIX)/include/hypr/
	install -m 644 include/hypr/abi/func.h include/hypr/abi/request.h include/hypr/abi/vmo.h include/hypr/abi/vmo_state.h $(DESTDIR)$(PREFIX)/include/hypr/abi/
	install -m 644 $(LIB_STATIC) $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(LIB_SHARED) $(DESTDIR)$(PREFIX)/lib/
	ln -sf $(notdir $(LIB_SHARED)) $(DESTDIR)$(PREFIX)/lib/libhypr.so.0
	ln -sf libhypr.so.0 $(DESTDIR)$(PREFIX)/lib/libhypr.so
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(LIB_VERSION)|' lib/hypr.pc.in \
		>$(DESTDIR)$(PREFIX)/lib/pkgconfig/hypr.pc
