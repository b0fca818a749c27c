# Makefile - builds droverd and droverctl, and proves them.
#
#   make            build/droverd and build/droverctl
#   make demo       installs what is missing, builds, shows a small fleet at work
#   make check      installs what the tests need, builds, runs every test
#   make check-valgrind   unit tests and the programs, as far as it goes, under valgrind
#   make check-node the tests of channels with Node 16 to 26, which it downloads (NODES="20 26" for some)
#   make fault      kills the supervisor 10,000 times under load of 1,000 jobs (KILLS=n JOBS=n SEED=n);
#                   1,000,000 requests and descriptors through the relay (MESSAGES=n)
#   make lint       static analysis, manual pages, shell scripts, layers
#   make bench      benchmarks beside the physical limit and, if installed, supervisord
#   make peers      kills Drover, supervisord, s6 and pm2, and counts what becomes of their programs
#   make install    DESTDIR, PREFIX and sysconfdir are honoured
#
# SAN=address,undefined builds (into its own folder) and tests under sanitizers;
# CC=clang works too.

CC ?= gcc
PREFIX ?= /usr/local
sysconfdir ?= /etc
bindir = $(PREFIX)/bin
sbindir = $(PREFIX)/sbin
mandir = $(PREFIX)/share/man
docdir = $(PREFIX)/share/doc/drover
unitdir = $(PREFIX)/lib/systemd/system

VERSION = 0.1.0
SAN ?=
comma := ,
B := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))

WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes -Wformat=2 \
	-Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wimplicit-fallthrough
HARDENING = -fPIE -fstack-protector-strong -fstack-clash-protection -fno-plt
# What nobody calls is left out; a debugger has the unwind tables in the debug part.
LEAN = -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
FORTIFY = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
SANITISE = -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
OPTIMISE = -O2 -g $(if $(SAN),$(SANITISE),$(FORTIFY))
ALL_CPPFLAGS = -D_GNU_SOURCE -Isrc -include src/base/banned.h -DDROVER_VERSION='"$(VERSION)"' \
	-DDROVER_SYSCONFDIR='"$(sysconfdir)"' $(CPPFLAGS)
ALL_CFLAGS = -std=gnu11 $(OPTIMISE) $(HARDENING) $(LEAN) $(WARNINGS) $(if $(CI),-Werror) $(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--gc-sections -Wl,--as-needed $(WHOLE) $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)

CORE_SRC = $(wildcard src/base/*.c src/core/*.c src/config/*.c src/wire/*.c src/os/*.c src/guardian/*.c)
LIFE_SRC = $(wildcard src/supervisor/*.c src/control/*.c)
DROVERD_SRC = $(wildcard src/daemon/*.c)
DROVERCTL_SRC = $(wildcard src/ctl/*.c)
UNIT_SRC = $(wildcard tests/unit/test_*.c)
FUZZ_SRC = $(wildcard tests/fuzz/fuzz_*.c)
TOOL_SRC = $(wildcard tests/tools/*.c)
BENCH_SRC = $(wildcard tests/bench/*.c)

# The libraries are linked into the programs: a part of them is all they need, and
# every mapping that droverd does not have is one that no start has to copy, and that
# droverctl does not have is one less to make at its own start.  LINK=shared for those
# who want to update them by themselves.
LINK ?= static
STATIC = $(if $(filter shared,$(LINK)),,-Wl,-Bstatic)
LIBS = $(STATIC) -levent_core -ljansson -linih -Wl,-Bdynamic
CTL_LIBS = $(STATIC) -ljansson -linih -Wl,-Bdynamic -ldl

# V=1 shows the commands themselves
Q = $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(patsubst $(B)/%,%,$@))

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
# Tests link the objects of the programs: L0-L3, and the rooms above them.
CORE_LIB = $(B)/libdrover-core.a
LIFE_LIB = $(B)/libdrover-life.a
UNIT_BIN = $(patsubst tests/unit/%.c,$(B)/tests/%,$(UNIT_SRC))
FUZZ_BIN = $(patsubst tests/fuzz/%.c,$(B)/tests/%,$(FUZZ_SRC))
TOOL_BIN = $(patsubst tests/tools/%.c,$(B)/tests/%,$(TOOL_SRC))
BENCH_BIN = $(patsubst tests/bench/%.c,$(B)/bench/%,$(BENCH_SRC))

.PHONY: all demo check check-node check-valgrind test-programs fault lint bench peers bench-programs fuzz install uninstall clean
.DELETE_ON_ERROR:
.SECONDARY:

all: $(B)/droverd $(B)/droverctl $(B)/corpus-reading

# Rooms that work only while something is loaded, asked for or begun are made small.
COLD = core config wire os guardian daemon ctl control supervisor
$(foreach room,$(COLD),$(B)/obj/src/$(room)/%.o): SMALL = $(if $(SAN),,-Os)
# What every relayed message passes is made fast.
HOT = wire/jsonscan wire/jsonscan_swift wire/jsonscan_ahead wire/frame wire/node wire/envelope core/route core/requests \
	$(patsubst src/%.c,%,$(wildcard src/supervisor/relay*.c src/supervisor/channel*.c))
$(foreach file,$(HOT),$(B)/obj/src/$(file).o): SMALL =
# And droverd puts that together as one piece, since it is many small functions of many files.  Those
# objects are ordinary ones besides, for tests and for whatever else they are linked into.  Not where the
# compiler cannot, nor where whoever builds has an opinion of his own; clang's would be of use to lld alone.
NO_LTO = $(SAN)$(findstring lto,$(CFLAGS) $(LDFLAGS))$(findstring clang,$(shell $(CC) --version))
can_lto = $(shell echo 'int main(void) { return 0; }' | $(CC) -flto=auto -x c -o /dev/null - 2>/dev/null && echo yes)
LTO := $(if $(NO_LTO),,$(if $(can_lto),-flto=auto))
$(foreach file,$(filter-out wire/jsonscan_swift,$(HOT)),$(B)/obj/src/$(file).o): WHOLE_PART = $(LTO:%=% -ffat-lto-objects)
WHOLE = $(LTO:%=-fno-lto)

# One file for processors that have AVX-512; which they are is asked when it runs.
ifneq ($(filter x86_64%,$(shell $(CC) -dumpmachine)),)
$(B)/obj/src/wire/jsonscan_swift.o: ISA = -mavx512bw -mavx512dq -mavx512vbmi -mavx512vbmi2 -mgfni -mvpclmulqdq \
	-mbmi -mbmi2 -mlzcnt -mpopcnt -mtune=icelake-server
endif

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(SMALL) $(WHOLE_PART) $(ISA) -MMD -MP -c -o $@ $<

$(CORE_LIB): $(call obj,$(CORE_SRC))
$(LIFE_LIB): $(call obj,$(LIFE_SRC))
$(CORE_LIB) $(LIFE_LIB):
	@rm -f $@
	$(call say,AR)
	$(Q)ar rcs $@ $^

$(B)/droverd $(B)/without/droverd-journal: WHOLE = $(LTO:%=% -O2 $(LEAN))
$(B)/droverd: $(call obj,$(DROVERD_SRC)) $(LIFE_LIB) $(CORE_LIB)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(B)/droverctl: $(call obj,$(DROVERCTL_SRC)) $(CORE_LIB)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CTL_LIBS)

$(B)/corpus-reading: $(call obj,tests/corpus/corpus-reading.c) $(CORE_LIB)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -ljansson -linih

$(B)/tests/test_%: $(B)/obj/tests/unit/test_%.o $(LIFE_LIB) $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIFE_LIB) $(CORE_LIB) -lcmocka -levent_core -ljansson -linih

# A room of droverd itself.
$(B)/tests/test_notifier: $(call obj,src/daemon/notify.c)

# The same target runs under libFuzzer (make fuzz) and, linked with a small main,
# replays its corpus in every check.
$(B)/tests/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/obj/tests/fuzz/replay.o $(LIFE_LIB) $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -levent_core -ljansson -linih

$(B)/tests/%: $(B)/obj/tests/tools/%.o
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^

# What is killed by tests/fault: rooms of the daemon without the rest of it.
$(B)/tests/log-copier: $(B)/obj/tests/fault/log-copier.o $(LIFE_LIB) $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -levent_core -ljansson -linih

FAULT_BIN = $(addprefix $(B)/tests/,fault-job fault-worker stepper)
$(FAULT_BIN): $(B)/tests/%: $(B)/obj/tests/fault/%.o
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^

# droverd less one of its rooms, to see what that costs.
$(B)/without/droverd-journal: $(call obj,$(DROVERD_SRC) tests/bench/without/journal.c) $(LIFE_LIB) $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,--wrap=journal_commit,--wrap=journal_set_sequence -o $@ $^ $(LIBS)

# What fails on demand, for LD_PRELOAD.
$(B)/tests/faulty.so: tests/fault/faulty.c
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) -D_GNU_SOURCE -std=gnu11 -O2 -g -fPIC -shared $(WARNINGS) $(if $(CI),-Werror) -fno-builtin -o $@ $<

# The limits are programs without a start-up of their own: static, and the job even without a libc.
$(B)/bench/%: ALL_LDFLAGS = -static $(LDFLAGS)
$(B)/bench/job: ALL_LDFLAGS = -static -nostdlib $(LDFLAGS)
$(B)/bench/weigh: ALL_LDFLAGS = -pie -Wl,-z,now $(LDFLAGS)
$(B)/bench/weigh: LDLIBS = -levent_core -ljansson -linih
$(B)/bench/%: $(B)/obj/tests/bench/%.o
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

# What goes where, as SOURCE:DESTINATION, for install and uninstall alike.
INSTALLED = $(B)/droverd:$(sbindir)/droverd $(B)/droverctl:$(bindir)/droverctl \
	$(foreach page,$(wildcard man/*.[1-8]),$(page):$(mandir)/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
	conf/drover.conf:$(sysconfdir)/drover/drover.conf.sample systemd/drover.service:$(unitdir)/drover.service \
	systemd/drover.socket:$(unitdir)/drover.socket \
	conf/completion/droverctl.bash:$(PREFIX)/share/bash-completion/completions/droverctl \
	conf/completion/_droverctl:$(PREFIX)/share/zsh/site-functions/_droverctl \
	conf/completion/droverd.bash:$(PREFIX)/share/bash-completion/completions/droverd \
	conf/completion/_droverd:$(PREFIX)/share/zsh/site-functions/_droverd \
	README.md:$(docdir)/README.md LICENSE:$(docdir)/LICENSE \
	$(foreach file,$(shell find conf/examples -type f),$(file):$(docdir)/$(patsubst conf/%,%,$(file)))

# Texts name the places that were asked for; examples keep their execute permission.
install: $(B)/droverd $(B)/droverctl
	$(Q)set -e; for pair in $(INSTALLED); do \
		from=$${pair%%:*}; to="$(DESTDIR)$${pair#*:}"; mode=644; \
		if [ -x "$$from" ]; then mode=755; fi; \
		install -D -m $$mode "$$from" "$$to"; \
		case $$from in man/*|systemd/*|conf/drover.conf) \
			sed -i 's,/usr/local/sbin/,$(sbindir)/,g; s,/etc/drover/,$(sysconfdir)/drover/,g' "$$to";; \
		esac; \
		echo "  INST  $$to"; \
	done

# Removes what install has put there, and its directories when they are empty.
uninstall:
	$(Q)for pair in $(INSTALLED); do rm -f "$(DESTDIR)$${pair#*:}"; done
	$(Q)for dir in "$(DESTDIR)$(docdir)" "$(DESTDIR)$(sysconfdir)/drover"; do \
		if [ -d "$$dir" ]; then find "$$dir" -depth -type d -empty -delete; fi; \
	done

# What the tests run besides the programs.
TEST_BIN = $(UNIT_BIN) $(FUZZ_BIN) $(TOOL_BIN) $(B)/tests/log-copier $(FAULT_BIN) $(B)/tests/faulty.so
SUITES = layers docs install systemd unit fuzz corpus cli transcript e2e fault
RUN_CHECK = BUILD=$(B) $(if $(CORPUS),CORPUS=$(CORPUS)) tests/check

demo:
	@tests/need build demo
	@$(MAKE) --no-print-directory all
	@BUILD=$(B) tests/demo/run

check:
	@tests/need build check
	@$(MAKE) --no-print-directory all test-programs
	@$(RUN_CHECK) $(SUITES)

$(addprefix check-,$(SUITES)): check-%: all test-programs
	@$(RUN_CHECK) $*

check-valgrind: all test-programs
	@tests/need build check valgrind
	@$(RUN_CHECK) valgrind

check-node: all
	@BUILD=$(B) tests/node-matrix $(NODES)

test-programs: $(TEST_BIN)

# The long form of what `make check-fault` does in a minute.
KILLS ?= 10000
MESSAGES ?= 1000000
UPGRADES ?= 1000
ROUNDS ?= 30
JOBS ?= 1000
fault:
	@tests/need build check
	@$(MAKE) --no-print-directory all test-programs
	@BUILD=$(B) tests/fault/logs -n $(KILLS) $(if $(SEED),-s $(SEED))
	@BUILD=$(B) tests/fault/kills -n $(KILLS) -j $(JOBS) $(if $(SEED),-s $(SEED))
	@BUILD=$(B) tests/fault/steps -e 1 $(if $(SEED),-s $(SEED))
	@BUILD=$(B) tests/fault/refusals --long $(if $(SEED),-s $(SEED))
	@BUILD=$(B) tests/fault/injuries -n $(ROUNDS) -e 1 $(if $(SEED),-s $(SEED))
	@BUILD=$(B) RELAY_REQUESTS=$(MESSAGES) RELAY_DESCRIPTORS=$(MESSAGES) RELAY_FLOOD_SECONDS=5 \
		tests/e2e/run -k test_relay_load
	@BUILD=$(B) tests/fault/upgrades -n $(UPGRADES) -r 100 -j $(JOBS) $(if $(SEED),-s $(SEED))

lint:
	@tests/need build check lint
	@tests/lint

bench:
	@tests/need build bench
	@$(MAKE) --no-print-directory all bench-programs
	@BUILD=$(B) tests/bench/run $(ROWS)

# pm2 comes from npm, into the build folder.
peers:
	@tests/need build peers
	@$(MAKE) --no-print-directory all
	@[ -x $(B)/peers/node_modules/.bin/pm2 ] || ! command -v npm >/dev/null || \
		npm install --silent --no-audit --no-fund --prefix $(B)/peers pm2@7
	@BUILD=$(B) tests/bench/peers

bench-programs: $(BENCH_BIN) $(B)/without/droverd-journal

# make fuzz TARGET=fuzz_config SECONDS=60: under libFuzzer with ASan and UBSan, in
# a folder of its own; new inputs are kept there.  A target may have a dictionary.
TARGET ?= fuzz_config
SECONDS ?= 60
fuzz:
	@tests/need build lint
	@$(MAKE) --no-print-directory CC=clang SAN=address,undefined,fuzzer-no-link build/fuzz/$(TARGET)
	@mkdir -p build/fuzz/corpus/$(TARGET)
	build/fuzz/$(TARGET) -max_total_time=$(SECONDS) -print_final_stats=1 $(addprefix -dict=,$(wildcard tests/fuzz/$(TARGET).dict)) \
		build/fuzz/corpus/$(TARGET) tests/fuzz/corpus/$(TARGET)

build/fuzz/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(LIFE_LIB) $(CORE_LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ -levent_core -ljansson -linih

clean:
	rm -rf build

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
