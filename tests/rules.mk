# Rules of the tests and the benchmarks; the Makefile includes this file.
DEPS_TEST := g++ bats jq curl openssl strace valgrind bsdutils mandoc groff shellcheck clang cppcheck xxd procps nginx-light time zsh fish
# The peers; a test runs the benchmarks on tiny work.
DEPS_BENCH := age gnupg minisign openssl gnuplot-nox valgrind
DEPS_BENCH_SERVE := wrk nginx-light openssl
# Servers and libraries of others that the deep tests speak to.
DEPS_DEEP := gdb radosgw ceph-mon ceph-osd nghttp2-client

# ---- programs ----

# Unit tests link the same objects, but for the one with the seam that fixes ECDSA nonces (lib/crypto/p256_sign.c).
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/t-*.c))
UNIT_OBJS := $(BUILD)/tests/unit/tap.o $(BUILD)/tests/unit/vector.o
SEAM := $(BUILD)/seam/lib/crypto/p256_sign.o
$(BUILD)/seam/%: ALL_CPPFLAGS += -DIMSG_TEST_SEAM -DIMSG_EXTRA_FORMAT=toy_format
$(BUILD)/seam/%.o: %.c
	$(compile)
$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(UNIT_OBJS) $(SEAM) $(LIB)
	$(link)
$(BUILD)/unit/t-mauled: $(BUILD)/tests/unit/maul.o
$(BUILD)/unit/t-mauled: OWN_LIBS = $(LIB)
# A payload format more in the table, and what imsg-inspect shows of it.
$(BUILD)/unit/t-format: OWN_LIBS = $(BODY_LIBS)
$(BUILD)/unit/t-format: $(BUILD)/tests/unit/t-format.o $(BUILD)/tests/unit/toy_format.o $(BUILD)/seam/lib/format/format.o \
  $(patsubst %.c,$(BUILD)/%.o,$(wildcard cmd/inspect/*.c)) $(UNIT_OBJS) $(CLI) $(LIB)
	$(link)
# t-ct stands between the formats and the primitives, to mark what is secret.
CT_WRAP := imsg_rsa_oaep_open imsg_p256_ecdh imsg_equal_ct imsg_sha256_parts imsg_aes256_ctr64
$(BUILD)/unit/t-ct: ALL_LDFLAGS += $(CT_WRAP:%=-Wl,--wrap=%)

# A fuzz target per parser (tests/fuzz/fuzz.h), once with a main() that replays the seeds, once with libFuzzer.
FUZZ := $(filter-out fuzz replay,$(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c)))
FUZZ_OBJS := $(BUILD)/tests/fuzz/fuzz.o $(BUILD)/tests/unit/vector.o
FUZZ_CC ?= clang
FUZZ_CFLAGS ?= -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
$(BUILD)/unit/t-fuzz-%: $(BUILD)/tests/fuzz/%.o $(BUILD)/tests/fuzz/replay.o $(FUZZ_OBJS) $(BUILD)/tests/unit/tap.o $(LIB)
	$(link)
$(BUILD)/target/%: ALL_LDFLAGS += -fsanitize=fuzzer
$(BUILD)/target/%: $(BUILD)/tests/fuzz/%.o $(FUZZ_OBJS) $(LIB)
	$(link)
# What imsg-inspect alone has.
FUZZ_INSPECT := $(BUILD)/unit/t-fuzz-inspect $(BUILD)/target/inspect
$(FUZZ_INSPECT): $(patsubst %.c,$(BUILD)/%.o,$(wildcard cmd/inspect/*.c)) $(CLI)
$(FUZZ_INSPECT): OWN_LIBS = $(CLI) $(LIB) $(BODY_LIBS)
$(BUILD)/unit/t-json-walk $(BUILD)/unit/t-fuzz-json_walk $(BUILD)/target/json_walk: $(BUILD)/cmd/inspect/json_walk.o

# Servers for what no good server does, what systemd does for a service with a socket, and a clock for a program under test.
HELPERS := $(BUILD)/wire $(BUILD)/flaky $(BUILD)/pass-socket $(BUILD)/clock.so $(BUILD)/probe.so
$(BUILD)/clock.so $(BUILD)/probe.so: $(BUILD)/%.so: tests/cli/%.c
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) -O2 -Wall -Wextra -shared -fPIC -o $@ $<
$(BUILD)/wire $(BUILD)/flaky $(BUILD)/pass-socket: $(BUILD)/%: $(BUILD)/tests/cli/%.o
	$(link)

BENCH := pairs primitives supply crowd
$(BENCH:%=$(BUILD)/bench/%): $(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(LIB)
	$(link)
$(BUILD)/bench/crowd: OWN_LIBS = -lssl $(SERVE_LIBS)

unit: $(HELPERS) $(UNIT) $(FUZZ:%=$(BUILD)/unit/t-fuzz-%)
fuzz-targets: $(FUZZ:%=$(BUILD)/target/%)
bench-programs: $(patsubst %,$(BUILD)/bench/%,$(filter-out crowd,$(BENCH)))

# ---- what people call ----

check: deps ## install what the tests need, run them all; TESTS='t-base imsg-seal.bats': these
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) all unit
	$(Q)BUILD='$(ABS_BUILD)' BATS='$(BATS)' sh tests/run $(TESTS)
# Somebody else's JOSE, which Debian has not.
$(BUILD)/node/node_modules/jose:
	$(Q)command -v npm >/dev/null 2>&1 || $(MAKE) --no-print-directory deps-node
	$(Q)npm install --silent --no-fund --no-audit --prefix '$(BUILD)/node' jose@5
deps-node:
	$(call deps,nodejs npm)
check-deep: deps $(BUILD)/node/node_modules/jose ## the long tests too, and check-busy
	$(call deps,$(DEPS_DEEP))
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) all unit
	$(Q)BUILD='$(ABS_BUILD)' BATS='$(BATS)' DEEP=1 sh tests/run $(TESTS)
	$(if $(TESTS),,$(Q)+$(MAKE) --no-print-directory check-busy)
# `make fuzz TIME=600`, `make fuzz TARGETS='pair pair_ec'`. Debian has the sanitizers' runtime in a package of its own.
fuzz: ## each parser with random inputs: TIME=600 seconds each, TARGETS='pair pair_ec'
	$(call deps,$(DEPS_BUILD) clang libclang-rt-dev)
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) BUILD='$(BUILD)/fuzz' CC='$(FUZZ_CC)' CFLAGS='$(FUZZ_CFLAGS)' HARDEN= HARDEN_LD= fuzz-targets
	$(Q)BUILD='$(ABS_BUILD)/fuzz' TIME='$(or $(TIME),60)' sh tests/fuzz/run $(or $(TARGETS),$(FUZZ))
# The same tests on a build with sanitizers, and under valgrind (tests/run); each file says what it leaves out there.
check-san: deps ## the tests on a build with sanitizers
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) BUILD='$(BUILD)/san' CPPFLAGS=-DIMSG_FILES_UNCONFINED CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	  -fno-sanitize-recover=all -fsanitize-undefined-trap-on-error' HARDEN= HARDEN_LD= all unit
	$(Q)SAN=1 BUILD='$(ABS_BUILD)/san' BATS='$(BATS)' sh tests/run $(TESTS)
check-valgrind: deps ## the tests under valgrind
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) all unit
	$(Q)VALGRIND=1 BUILD='$(ABS_BUILD)' BATS='$(BATS)' sh tests/run $(TESTS)
# What of the library the tests run, by gcov (tests/coverage). Tests of confinement and of faults fail in such a build.
coverage: deps ## the lines of the library that the tests run: TESTS as for check
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) BUILD='$(BUILD)/cov' CPPFLAGS=-DIMSG_FILES_UNCONFINED CFLAGS='-O0 -g --coverage' \
	  HARDEN= HARDEN_LD= all unit
	$(Q)find '$(BUILD)/cov' -name '*.gcda' -delete
	-$(Q)BUILD='$(ABS_BUILD)/cov' BATS='$(BATS)' sh tests/run $(TESTS)
	$(Q)BUILD='$(ABS_BUILD)/cov' sh tests/coverage
# On a machine that has nothing yet (tests/fresh): `make check-fresh SUITE=trixie`, as root.
check-fresh: ## README's commands on a new Debian of its own: SUITE=trixie; as root
	$(call deps,debootstrap git)
	$(Q)SUITE='$(SUITE)' bash tests/fresh
# What does not depend on speed, load, place or user (tests/busy).
check-busy: deps ## the tests on a busy machine, as another user, in other places
	$(Q)TESTS='$(TESTS)' bash tests/busy
lint: deps ## what compilers and checkers say of the sources
	$(call deps,clang-format)
	$(Q)CC='$(CC)' BUILD='$(ABS_BUILD)' sh tests/lint
# `make bench ROWS='seal-1k keygen' PAIRS=11`; tests/bench/run says what else can be set. Two builds: start-up is measured
# with libcrypto inside and without.
bench-build:
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) all
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) BUILD='$(BUILD)/static' STATIC=crypto all bench-programs
bench: ## side by side with age, gpg and others: ROWS='seal-1k keygen' PAIRS=11
	$(call deps,$(DEPS_BUILD) $(DEPS_BENCH))
	$(Q)+$(MAKE) --no-print-directory bench-build
	$(Q)BIN='$(ABS_BUILD)/bin' STATIC_BIN='$(ABS_BUILD)/static/bin' PROGRAMS='$(ABS_BUILD)/static/bench' \
	  OUT='$(ABS_BUILD)/bench-results' DOC='$(CURDIR)/docs/performance.md' PLOT='$(CURDIR)/docs/performance.svg' \
	  sh tests/bench/run $(ROWS)
# imsg-serve under load; tests/bench/serve says what can be set.
bench-serve: ## imsg-serve under load
	$(call deps,$(DEPS_BUILD) $(DEPS_BENCH_SERVE))
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) all $(BUILD)/bench/crowd
	$(Q)BIN='$(ABS_BUILD)/bin' CROWD='$(ABS_BUILD)/bench/crowd' sh tests/bench/serve
profile: ## where the time goes, by callgrind
	$(call deps,$(DEPS_BUILD) valgrind)
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) BUILD='$(BUILD)/static' STATIC=crypto all
	$(Q)BIN='$(ABS_BUILD)/static/bin' OUT='$(ABS_BUILD)/profile' sh tests/bench/profile

-include $(patsubst %.c,$(BUILD)/%.d,$(wildcard tests/unit/*.c)) $(SEAM:.o=.d) $(BUILD)/seam/lib/format/format.d
-include $(patsubst %.c,$(BUILD)/%.d,$(wildcard tests/fuzz/*.c tests/bench/*.c tests/cli/*.c))
.PHONY: unit fuzz-targets bench-programs check check-deep check-fresh check-busy coverage check-san check-valgrind fuzz lint bench bench-serve bench-build profile deps-node
