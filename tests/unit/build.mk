# SPDX-License-Identifier: GPL-2.0-only
#
# Unit tests of libhypr and hypr: out/tests/unit/*_test, under ASan and UBSan.
# The library's and the command's own files are compiled once more for them.
# Tests of other areas that live in this folder are built by their areas.

UNIT_NAMES := guest func line boot multiboot device cpu state_check mptable console rtc pause moment \
	protocol cli vm
UNIT_OBJ := out/obj/tests/unit
UNIT_PROGRAMS := $(UNIT_NAMES:%=out/tests/unit/%_test)
UNIT_TESTS += $(UNIT_PROGRAMS)
UNIT_CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Werror -I. -Ilib -Iinclude \
	-Ikernel/overlay/include/uapi $(CORE_INCLUDE) -D_GNU_SOURCE -pthread -MMD -MP \
	-fsanitize=address,undefined -fno-sanitize-recover=all
UNIT_SUBJECT_OBJ := $(LIB_SRC:%.c=$(UNIT_OBJ)/%.o) \
	$(LIB_CORE_SRC:%.c=$(CORE_TEST_OBJ)/%.o) $(LIB_MONITOR) \
	$(patsubst %.c,$(UNIT_OBJ)/%.o,$(filter-out cli/main.c,$(CLI_SRC)))
UNIT_SUBJECT := $(UNIT_OBJ)/subject.a

$(UNIT_OBJ)/lib/%.o: lib/%.c tests/unit/build.mk
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -c -o $@ $<

$(UNIT_OBJ)/cli/%.o: cli/%.c tests/unit/build.mk
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -c -o $@ $<

$(UNIT_OBJ)/%.o: tests/unit/%.c tests/unit/build.mk
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -c -o $@ $<

$(UNIT_SUBJECT): $(UNIT_SUBJECT_OBJ)
	rm -f $@
	$(AR) rcs $@ $^

$(UNIT_PROGRAMS): out/tests/unit/%_test: $(UNIT_OBJ)/%_test.o $(UNIT_OBJ)/fake_vm.o \
		$(UNIT_SUBJECT)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -o $@ $^ $(LIB_LIBS) -lcmocka

# VMO files, with a kit of their own.
UNIT_VMO := $(patsubst %,out/tests/unit/vmo_%_test,write open layers tools golden ws compress cli \
	translate)
UNIT_TESTS += $(UNIT_VMO)

$(UNIT_VMO): out/tests/unit/%_test: $(UNIT_OBJ)/%_test.o $(UNIT_OBJ)/vmo_kit.o $(UNIT_SUBJECT)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -o $@ $^ $(LIB_LIBS) -lcmocka

# Its storage lacks what the test says.
UNIT_PLACE := out/tests/unit/vmo_place_test
UNIT_TESTS += $(UNIT_PLACE)

$(UNIT_PLACE): $(UNIT_OBJ)/vmo_place_test.o $(UNIT_OBJ)/vmo_kit.o $(UNIT_SUBJECT)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -Wl,--wrap=openat,--wrap=linkat,--wrap=renameat2 \
		-Wl,--wrap=flock,--wrap=fsync,--wrap=pwrite -o $@ $^ $(LIB_LIBS) -lcmocka

# It looks for the secret key when the library has it.
UNIT_SECRET := out/tests/unit/vmo_secret_test
UNIT_TESTS += $(UNIT_SECRET)

$(UNIT_SECRET): $(UNIT_OBJ)/vmo_secret_test.o $(UNIT_OBJ)/vmo_kit.o $(UNIT_SUBJECT)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -Wl,--wrap=crypto_sign_seed_keypair -o $@ $^ $(LIB_LIBS) -lcmocka

# It counts the memory that is taken.
UNIT_MEMORY := out/tests/unit/vmo_memory_test
UNIT_TESTS += $(UNIT_MEMORY)

$(UNIT_MEMORY): $(UNIT_OBJ)/vmo_memory_test.o $(UNIT_OBJ)/vmo_kit.o $(UNIT_SUBJECT)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=free -o $@ $^ \
		$(LIB_LIBS) -lcmocka

UNIT_VMO_ABI := out/tests/unit/vmo_abi_test
UNIT_TESTS += $(UNIT_VMO_ABI)

$(UNIT_OBJ)/%.o: tests/unit/%.cc tests/unit/build.mk
	@mkdir -p $(@D)
	$(CXX) -std=c++11 -O1 -Wall -Wextra -Werror -Iinclude -MMD -MP -c -o $@ $<

$(UNIT_VMO_ABI): $(UNIT_OBJ)/vmo_abi_test.o $(UNIT_OBJ)/vmo_abi_cxx.o
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -o $@ $^ -lcmocka

-include $(wildcard $(UNIT_OBJ)/*.d $(UNIT_OBJ)/lib/*/*.d $(UNIT_OBJ)/cli/*.d)

# Whole VMs, on a KVM that is played: open(), close() and ioctl() are its own.
UNIT_ENGINE := $(patsubst %,out/tests/unit/%_test,engine resurrect working_set interrupt cpuid)
UNIT_TESTS += $(UNIT_ENGINE)

$(UNIT_ENGINE): out/tests/unit/%_test: $(UNIT_OBJ)/%_test.o $(UNIT_OBJ)/fake_kvm.o $(UNIT_SUBJECT)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -Wl,--wrap=open,--wrap=close,--wrap=ioctl -o $@ $^ \
		$(LIB_LIBS) -lcmocka

UNIT_PLAYED := $(patsubst %,out/tests/unit/%_test,snapshot gone perm translate pages run spare)
UNIT_TESTS += $(UNIT_PLAYED)

$(UNIT_PLAYED): out/tests/unit/%_test: $(UNIT_OBJ)/%_test.o $(UNIT_OBJ)/played_vm.o \
		$(UNIT_OBJ)/fake_kvm.o $(UNIT_SUBJECT)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -Wl,--wrap=open,--wrap=close,--wrap=ioctl,--wrap=pread$(UNIT_WRAP) \
		-o $@ $^ $(LIB_LIBS) -lcmocka

# It says when memory runs out.
out/tests/unit/spare_test: UNIT_WRAP := ,--wrap=calloc

# Its time of day is the test's.
UNIT_TIME := out/tests/unit/time_test
UNIT_TESTS += $(UNIT_TIME)

$(UNIT_TIME): $(UNIT_OBJ)/time_test.o $(UNIT_OBJ)/fake_kvm.o $(UNIT_SUBJECT)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -Wl,--wrap=open,--wrap=close,--wrap=ioctl,--wrap=hypr_unix_ns \
		-o $@ $^ $(LIB_LIBS) -lcmocka

# It runs the command itself.
out/tests/unit/interrupt_test: | $(CLI_HYPR)

# The command itself, on the same.
UNIT_HYPR := out/tests/unit/hypr
UNIT_COMMAND := out/tests/unit/command_test
UNIT_TESTS += $(UNIT_COMMAND)

$(UNIT_HYPR): $(UNIT_OBJ)/cli/main.o $(UNIT_OBJ)/played_hypr.o $(UNIT_OBJ)/fake_kvm.o \
		$(UNIT_SUBJECT)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -Wl,--wrap=open,--wrap=close,--wrap=ioctl -o $@ $^ $(LIB_LIBS)

$(UNIT_COMMAND): $(UNIT_OBJ)/command_test.o | $(UNIT_HYPR)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -o $@ $^ $(LIB_LIBS) -lcmocka

# The same under TSan: its threads are the library's own.
UNIT_ENGINE_TSAN := out/tests/unit/engine_tsan_test
UNIT_TESTS += $(UNIT_ENGINE_TSAN)
UNIT_TSAN_SRC := tests/unit/engine_test.c tests/unit/fake_kvm.c $(LIB_SRC) $(LIB_CORE_SRC) \
	$(filter-out cli/main.c,$(CLI_SRC))

$(UNIT_ENGINE_TSAN): $(UNIT_TSAN_SRC) $(LIB_MONITOR) $(wildcard lib/*/*.h cli/*.h include/hypr/*.h tests/unit/*.h)
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP -fsanitize=% -fno-sanitize-%,$(UNIT_CFLAGS)) \
		-fsanitize=thread -Wl,--wrap=open,--wrap=close,--wrap=ioctl \
		-o $@ $(UNIT_TSAN_SRC) $(LIB_MONITOR) $(LIB_LIBS) -lcmocka

UNIT_SPARE_TSAN := out/tests/unit/spare_tsan_test
UNIT_TESTS += $(UNIT_SPARE_TSAN)
UNIT_SPARE_TSAN_SRC := tests/unit/spare_test.c tests/unit/played_vm.c \
	$(filter-out tests/unit/engine_test.c,$(UNIT_TSAN_SRC))

$(UNIT_SPARE_TSAN): $(UNIT_SPARE_TSAN_SRC) $(LIB_MONITOR) $(wildcard lib/*/*.h cli/*.h include/hypr/*.h tests/unit/*.h)
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP -fsanitize=% -fno-sanitize-%,$(UNIT_CFLAGS)) \
		-fsanitize=thread -Wl,--wrap=open,--wrap=close,--wrap=ioctl,--wrap=pread,--wrap=calloc \
		-o $@ $(UNIT_SPARE_TSAN_SRC) $(LIB_MONITOR) $(LIB_LIBS) -lcmocka

# It reads a function file.
out/tests/unit/func_test: | out/guests/call/upper.elf

# And that one such files with each kind of line table, and with none.
UNIT_LINES := $(patsubst %,out/tests/unit/lines-%.elf,0 3 4 5 64 gz clang4 clang5)
out/tests/unit/line_test: | $(UNIT_LINES)
$(UNIT_LINES): out/tests/unit/lines-%.elf: examples/call/upper.c $(GUEST_LIB) $(GUEST_LD) \
		tests/unit/build.mk
	@mkdir -p $(@D)
	$(UNIT_LINES_CC) $(GUEST_CFLAGS) $(UNIT_LINES_DEBUG) -c -o $(@:.elf=.o) $<
	$(CC) $(filter -gz,$(UNIT_LINES_DEBUG)) -o $@ $(@:.elf=.o) $(GUEST_LIBS)
$(UNIT_LINES): UNIT_LINES_CC = $(if $(findstring clang,$*),clang,$(CC))
$(UNIT_LINES): UNIT_LINES_DEBUG = $(or $(UNIT_LINES_$*),-gdwarf-$(subst clang,,$*))
UNIT_LINES_0 := -g0
UNIT_LINES_64 := -gdwarf64
UNIT_LINES_gz := -gz
