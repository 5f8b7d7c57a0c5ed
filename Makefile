# imsg: GNU make, no configure. `make`, `make demo`, `make check`, `make install PREFIX=…`.
VERSION := $(shell cat VERSION)
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/imsg
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR ?= $(PREFIX)/share/zsh/site-functions
FISHCOMPDIR ?= $(PREFIX)/share/fish/vendor_completions.d
SYSTEMDDIR ?= $(PREFIX)/lib/systemd/system
DESTDIR ?=
BUILD ?= build
PKG_CONFIG ?= pkg-config
INSTALL ?= install
BATS ?= bats

CFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wconversion -Wpointer-arith -Wundef
HARDEN ?= -fstack-protector-strong -fPIE -fno-plt $(if $(filter -O%,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
# `make STATIC=crypto` links libcrypto.a, at fixed addresses: the fastest start (docs/performance.md). PIE=-pie undoes the
# second half. Also STATIC='crypto jansson'.
STATIC ?=
PIE ?= $(if $(STATIC),-no-pie,-pie)
HARDEN_LD ?= $(PIE) -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed
ALL_CPPFLAGS = -D_POSIX_C_SOURCE=200809L -D_FILE_OFFSET_BITS=64 -DIMSG_VERSION='"$(VERSION)"' -Ilib -Icmd $(CPPFLAGS)
ALL_CFLAGS = -std=c11 $(WARN) $(HARDEN) -pthread $(DEP_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pthread $(HARDEN_LD) $(LDFLAGS)

# Only these; pkg-config is asked once, and not at all by targets that build nothing.
ifneq ($(filter-out deps deps-node clean uninstall dist demo check check-deep check-san check-valgrind fuzz lint bench bench-serve profile bench-build,$(or $(MAKECMDGOALS),all)),)
DEP_CFLAGS := $(shell $(PKG_CONFIG) --cflags libcrypto jansson)
DEP_LIBS := $(foreach l,$(shell $(PKG_CONFIG) $(if $(STATIC),--static) --libs libcrypto jansson),$(if $(filter \
	$(STATIC:%=-l%),$(l)),$(l:-l%=-l:lib%.a),$(l))) -ldl
# Only imsg-inspect shows the bodies of real clients, and only where these are there.
BODY_PKGS := $(foreach p,libplist-2.0 zlib,$(shell $(PKG_CONFIG) --exists $(p) && echo $(p)))
BODY_CFLAGS := $(if $(BODY_PKGS),$(shell $(PKG_CONFIG) --cflags $(BODY_PKGS)) $(if $(filter zlib,$(BODY_PKGS)),-DHAVE_ZLIB) \
	$(if $(filter libplist%,$(BODY_PKGS)),-DHAVE_PLIST))
BODY_LIBS := $(if $(BODY_PKGS),$(shell $(PKG_CONFIG) --libs $(BODY_PKGS)))
# Only imsg-serve serves.
SERVE_PKGS := libmicrohttpd sqlite3
SERVE_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(SERVE_PKGS))
SERVE_LIBS := $(shell $(PKG_CONFIG) --libs $(SERVE_PKGS))
MAGIC_LIBS := $(or $(shell $(PKG_CONFIG) --libs libmagic 2>/dev/null),-lmagic)
endif

TOOLS := $(patsubst cmd/%.c,%,$(wildcard cmd/imsg-*.c))
BINS := $(TOOLS:%=$(BUILD)/bin/%)
# lib/base/os.h: what this system has beyond POSIX. `make OS_HAS=posix` builds as for one of which nothing is known.
OS_HAS ?= $(if $(filter Linux,$(shell uname -s)),linux,posix)
LIB_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out lib/base/os_%.c,$(wildcard lib/*/*.c)) lib/base/os_$(OS_HAS).c)
CLI_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard cmd/cli/*.c))
LIB := $(BUILD)/libimsg.a
CLI := $(BUILD)/libcli.a
# Unit tests link the same objects, but for the one with the seam that fixes ECDSA nonces (lib/crypto/p256_sign.c).
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/t-*.c))
UNIT_OBJS := $(BUILD)/tests/unit/tap.o $(BUILD)/tests/unit/vector.o
SEAM := $(BUILD)/seam/lib/crypto/p256_sign.o
# A fuzz target per parser (tests/fuzz/fuzz.h), once with a main() that replays the seeds, once with libFuzzer.
FUZZ := $(filter-out fuzz replay,$(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c)))
FUZZ_OBJS := $(BUILD)/tests/fuzz/fuzz.o $(BUILD)/tests/unit/vector.o
FUZZ_CC ?= clang
FUZZ_CFLAGS ?= -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
MAN := $(wildcard docs/man/*.[157])

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)';)

all: $(LIB) $(BINS)

$(LIB): $(LIB_OBJS)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^
$(CLI): $(CLI_OBJS)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^
$(BUILD)/seam/%.o: %.c
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) -DIMSG_TEST_SEAM $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/%.o: %.c VERSION
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/bin/imsg-attach: TOOL_LIBS = $(MAGIC_LIBS)
$(BUILD)/bin/imsg-inspect: TOOL_LIBS = $(BODY_LIBS)
$(BUILD)/bin/imsg-serve: TOOL_LIBS = $(SERVE_LIBS)
$(BUILD)/cmd/inspect/%.o: DEP_CFLAGS += $(BODY_CFLAGS)
$(BUILD)/cmd/serve/%.o $(BUILD)/cmd/imsg-serve.o: DEP_CFLAGS += $(SERVE_CFLAGS)
# cmd/seal/*.c belongs to imsg-seal alone, and so on.
.SECONDEXPANSION:
$(BUILD)/bin/imsg-%: $(BUILD)/cmd/imsg-%.o $$(addprefix $(BUILD)/,$$(addsuffix .o,$$(basename $$(wildcard cmd/$$*/*.c)))) $(CLI) $(LIB)
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(TOOL_LIBS) $(DEP_LIBS) $(LIBS)
$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(UNIT_OBJS) $(SEAM) $(LIB)
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(DEP_LIBS) $(LIBS)
$(BUILD)/unit/t-fuzz-%: $(BUILD)/tests/fuzz/%.o $(BUILD)/tests/fuzz/replay.o $(FUZZ_OBJS) $(BUILD)/tests/unit/tap.o $(LIB)
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(DEP_LIBS) $(LIBS)
$(BUILD)/target/%: $(BUILD)/tests/fuzz/%.o $(FUZZ_OBJS) $(LIB)
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(DEP_LIBS) $(LIBS)
# What imsg-inspect alone has.
FUZZ_INSPECT := $(BUILD)/unit/t-fuzz-inspect $(BUILD)/target/inspect
$(FUZZ_INSPECT): $(patsubst %.c,$(BUILD)/%.o,$(wildcard cmd/inspect/*.c)) $(CLI)
$(FUZZ_INSPECT): DEP_LIBS := $(CLI) $(LIB) $(DEP_LIBS) $(BODY_LIBS)
# t-ct stands between the formats and the primitives, to mark what is secret.
CT_WRAP := imsg_rsa_oaep_open imsg_p256_ecdh imsg_equal_ct imsg_sha256_parts imsg_aes256_ctr64
$(BUILD)/unit/t-ct: ALL_LDFLAGS += $(CT_WRAP:%=-Wl,--wrap=%)

# Servers for what no good server does, and what systemd does for a service with a socket.
HELPERS := $(BUILD)/wire $(BUILD)/flaky $(BUILD)/pass-socket
$(HELPERS): $(BUILD)/%: tests/cli/%.c
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $<

unit: $(HELPERS) $(UNIT) $(FUZZ:%=$(BUILD)/unit/t-fuzz-%)
fuzz-targets: $(FUZZ:%=$(BUILD)/target/%)

# ---- what people call ----

# Debian's names; `deps` prints the line for other systems.
DEPS_BUILD := gcc make pkg-config libssl-dev libcurl4-openssl-dev libjansson-dev libmagic-dev libplist-dev zlib1g-dev libmicrohttpd-dev libsqlite3-dev
DEPS_TEST := bats jq curl openssl strace valgrind bsdutils mandoc groff shellcheck clang cppcheck xxd procps nginx-light time
# The peers; a test runs the benchmarks on tiny work.
DEPS_BENCH := age gnupg minisign openssl gnuplot-nox valgrind
DEPS_BENCH_SERVE := wrk nginx-light openssl
# Servers and libraries of others that the deep tests speak to.
DEPS_DEEP := radosgw ceph-mon ceph-osd nghttp2-client
missing = $(shell command -v dpkg-query >/dev/null 2>&1 && for p in $(1); do \
	dpkg-query -W -f '$${Status}\n' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done)

# Install what is missing where apt and the right to use it are there; elsewhere say what is needed.
define deps
	@set -e; missing="$(call missing,$(1))"; \
	if ! command -v apt-get >/dev/null 2>&1; then sh tests/deps; \
	elif [ -n "$$missing" ]; then \
	  echo "installing:" $$missing; \
	  sudo=; [ "$$(id -u)" -eq 0 ] || sudo=sudo; \
	  if [ -n "$$sudo" ] && ! command -v sudo >/dev/null 2>&1; then \
	    echo "as root: apt-get install -y" $$missing >&2; exit 1; fi; \
	  log=$$(mktemp); \
	  { $$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
	    --no-install-recommends $$missing; } >$$log 2>&1 || { cat $$log >&2; rm -f $$log; exit 1; }; rm -f $$log; \
	fi
endef

deps:
	$(call deps,$(DEPS_BUILD) $(DEPS_TEST) $(DEPS_BENCH))
demo:
	$(call deps,$(DEPS_BUILD) jq)
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) all
	$(Q)BIN='$(abspath $(BUILD))/bin' sh examples/demo.sh
check: deps
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) all unit
	$(Q)BUILD='$(abspath $(BUILD))' BATS='$(BATS)' sh tests/run $(TESTS)
# Somebody else's JOSE, which Debian has not.
$(BUILD)/node/node_modules/jose:
	$(Q)command -v npm >/dev/null 2>&1 || $(MAKE) --no-print-directory deps-node
	$(Q)npm install --silent --no-fund --no-audit --prefix '$(BUILD)/node' jose@5
deps-node:
	$(call deps,nodejs npm)
check-deep: deps $(BUILD)/node/node_modules/jose
	$(call deps,$(DEPS_DEEP))
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) all unit
	$(Q)BUILD='$(abspath $(BUILD))' BATS='$(BATS)' DEEP=1 sh tests/run $(TESTS)
# `make fuzz TIME=600`, `make fuzz TARGETS='pair pair_ec'`. Debian has the sanitizers' runtime in a package of its own.
fuzz:
	$(call deps,$(DEPS_BUILD) clang libclang-rt-dev)
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) BUILD='$(BUILD)/fuzz' CC='$(FUZZ_CC)' CFLAGS='$(FUZZ_CFLAGS)' HARDEN= HARDEN_LD= fuzz-targets
	$(Q)BUILD='$(abspath $(BUILD))/fuzz' TIME='$(or $(TIME),60)' sh tests/fuzz/run $(or $(TARGETS),$(FUZZ))
# The same tests on a build with sanitizers, and under valgrind (tests/run); each file says what it leaves out there.
check-san: deps
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) BUILD='$(BUILD)/san' CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	  -fno-sanitize-recover=all -fsanitize-undefined-trap-on-error' HARDEN= HARDEN_LD= all unit
	$(Q)SAN=1 BUILD='$(abspath $(BUILD))/san' BATS='$(BATS)' sh tests/run $(TESTS)
check-valgrind: deps
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) all unit
	$(Q)VALGRIND=1 BUILD='$(abspath $(BUILD))' BATS='$(BATS)' sh tests/run $(TESTS)
lint: deps
	$(Q)CC='$(CC)' BUILD='$(abspath $(BUILD))' sh tests/lint
# `make bench ROWS='seal-1k keygen' PAIRS=11`; tests/bench/run says what else can be set. Two builds: start-up is measured
# with libcrypto inside and without.
BENCH := pairs primitives supply
$(BENCH:%=$(BUILD)/bench/%): $(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(LIB)
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(DEP_LIBS) $(LIBS)
$(BUILD)/bench/crowd: $(BUILD)/tests/bench/crowd.o $(LIB)
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(DEP_LIBS) $(LIBS) -lssl -lcrypto $(SERVE_LIBS)
bench-programs: $(BENCH:%=$(BUILD)/bench/%)
bench-build:
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) all
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) BUILD='$(BUILD)/static' STATIC=crypto all bench-programs
bench:
	$(call deps,$(DEPS_BUILD) $(DEPS_BENCH))
	$(Q)+$(MAKE) --no-print-directory bench-build
	$(Q)BIN='$(abspath $(BUILD))/bin' STATIC_BIN='$(abspath $(BUILD))/static/bin' PROGRAMS='$(abspath $(BUILD))/static/bench' \
	  OUT='$(abspath $(BUILD))/bench-results' DOC='$(abspath docs/performance.md)' PLOT='$(abspath docs/performance.svg)' \
	  sh tests/bench/run $(ROWS)
# imsg-serve under load; tests/bench/serve says what can be set.
bench-serve:
	$(call deps,$(DEPS_BUILD) $(DEPS_BENCH_SERVE))
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) all $(BUILD)/bench/crowd
	$(Q)BIN='$(abspath $(BUILD))/bin' CROWD='$(abspath $(BUILD))/bench/crowd' sh tests/bench/serve
profile:
	$(call deps,$(DEPS_BUILD) valgrind)
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) BUILD='$(BUILD)/static' STATIC=crypto all
	$(Q)BIN='$(abspath $(BUILD))/static/bin' OUT='$(abspath $(BUILD))/profile' sh tests/bench/profile
completions: all
	$(Q)for shell in bash:imsg.bash zsh:_imsg fish:imsg.fish; do \
	  sh tests/make-completions $${shell%%:*} $(BUILD)/bin >completions/$${shell#*:} || exit; done

install: all
	$(INSTALL) -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(INCLUDEDIR)' '$(DESTDIR)$(BASHCOMPDIR)' \
	  '$(DESTDIR)$(ZSHCOMPDIR)' '$(DESTDIR)$(FISHCOMPDIR)' '$(DESTDIR)$(DOCDIR)/examples' '$(DESTDIR)$(SYSTEMDDIR)' \
	  $(foreach s,1 5 7,'$(DESTDIR)$(MANDIR)/man$(s)')
	$(INSTALL) -m 755 $(BINS) '$(DESTDIR)$(BINDIR)'
	$(INSTALL) -m 644 $(LIB) '$(DESTDIR)$(LIBDIR)'
	$(INSTALL) -m 644 lib/imsg.h '$(DESTDIR)$(INCLUDEDIR)'
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' 'Name: imsg' \
	  'Description: end-to-end encrypted messages to every device of a person' 'Version: $(VERSION)' \
	  'Requires: libcrypto jansson' 'Libs: -L$${libdir} -limsg -pthread' \
	  'Cflags: -I$${includedir}' >'$(BUILD)/imsg.pc'
	$(INSTALL) -m 644 $(BUILD)/imsg.pc '$(DESTDIR)$(LIBDIR)/pkgconfig'
	for m in $(MAN); do $(INSTALL) -m 644 $$m '$(DESTDIR)$(MANDIR)'/man$${m##*.} || exit; done
	$(INSTALL) -m 644 completions/imsg.bash '$(DESTDIR)$(BASHCOMPDIR)'
	for t in $(TOOLS); do ln -sf imsg.bash '$(DESTDIR)$(BASHCOMPDIR)'/$$t || exit; done
	$(INSTALL) -m 644 completions/_imsg '$(DESTDIR)$(ZSHCOMPDIR)'
	$(INSTALL) -m 644 completions/imsg.fish '$(DESTDIR)$(FISHCOMPDIR)'
	for t in $(TOOLS); do ln -sf imsg.fish '$(DESTDIR)$(FISHCOMPDIR)'/$$t.fish || exit; done
	$(INSTALL) -m 644 README.md NEWS.md SECURITY.md LICENSE docs/*.md '$(DESTDIR)$(DOCDIR)'
	$(INSTALL) -m 755 examples/*.sh '$(DESTDIR)$(DOCDIR)/examples'
	for u in service socket; do sed 's|@BINDIR@|$(BINDIR)|' docs/systemd/imsg-serve.$$u >$(BUILD)/imsg-serve.$$u && \
	  $(INSTALL) -m 644 $(BUILD)/imsg-serve.$$u '$(DESTDIR)$(SYSTEMDDIR)' || exit; done
uninstall:
	rm -f $(TOOLS:%='$(DESTDIR)$(BINDIR)'/%) $(TOOLS:%='$(DESTDIR)$(BASHCOMPDIR)'/%) \
	  $(TOOLS:%='$(DESTDIR)$(FISHCOMPDIR)'/%.fish) '$(DESTDIR)$(LIBDIR)/libimsg.a' '$(DESTDIR)$(LIBDIR)/pkgconfig/imsg.pc' \
	  '$(DESTDIR)$(INCLUDEDIR)/imsg.h' '$(DESTDIR)$(BASHCOMPDIR)/imsg.bash' '$(DESTDIR)$(ZSHCOMPDIR)/_imsg' \
	  '$(DESTDIR)$(FISHCOMPDIR)/imsg.fish' '$(DESTDIR)$(SYSTEMDDIR)'/imsg-serve.service '$(DESTDIR)$(SYSTEMDDIR)'/imsg-serve.socket
	for m in $(notdir $(MAN)); do rm -f '$(DESTDIR)$(MANDIR)'/man$${m##*.}/$$m; done
	rm -rf '$(DESTDIR)$(DOCDIR)'
dist:
	mkdir -p dist && git archive --prefix=imsg-$(VERSION)/ -o dist/imsg-$(VERSION).tar.gz HEAD

clean:
	rm -rf $(BUILD) dist

-include $(LIB_OBJS:.o=.d) $(patsubst %.c,$(BUILD)/%.d,$(wildcard cmd/*.c cmd/*/*.c))
-include $(patsubst $(BUILD)/unit/%,$(BUILD)/tests/unit/%.d,$(UNIT)) $(UNIT_OBJS:.o=.d) $(SEAM:.o=.d)
-include $(patsubst %.c,$(BUILD)/%.d,$(wildcard tests/fuzz/*.c tests/bench/*.c))
.PHONY: all unit clean deps deps-node demo check check-deep check-san check-valgrind fuzz fuzz-targets lint bench bench-serve bench-programs bench-build profile completions install uninstall dist
.SECONDARY:
.DELETE_ON_ERROR:
