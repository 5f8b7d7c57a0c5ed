# imsg: GNU make, no configure. `make help` lists what can be made.
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
# Not abspath, for which a path ends at its first space.
ABS_BUILD = $(if $(filter /%,$(BUILD)),$(BUILD),$(CURDIR)/$(BUILD))
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

# The dependencies are looked for once, and not at all by targets that build nothing themselves.
NO_BUILD := help deps deps-% clean uninstall dist demo check check-% coverage fuzz lint bench bench-serve bench-build profile
ifneq ($(filter-out $(NO_BUILD),$(or $(MAKECMDGOALS),all)),)
DEP_CFLAGS := $(shell $(PKG_CONFIG) --cflags libcrypto jansson)
DEP_LIBS := $(foreach l,$(shell $(PKG_CONFIG) $(if $(STATIC),--static) --libs libcrypto jansson),$(if $(filter \
	$(STATIC:%=-l%),$(l)),$(l:-l%=-l:lib%.a),$(l))) -ldl
# Only imsg-inspect shows the bodies of real clients. A library that is missing, or has not the calls used, costs its view.
compiles = $(shell $(PKG_CONFIG) --exists $(1) && echo 'int main(void) { $(3); return 0; }' | \
	$(CC) $$($(PKG_CONFIG) --cflags $(1)) -include $(2) -Werror -x c -fsyntax-only - 2>/dev/null && echo $(1))
PLIST_USE := plist_t list = 0; uint64_t size = 0; plist_from_bin("", 0, &list); plist_from_xml("", 0, &list); plist_get_string_ptr(list, &size)
PLIST_UNIX_USE := int64_t seconds = 0; plist_get_unix_date_val(0, &seconds)
ZLIB_USE := z_stream stream = {0}; inflateInit2(&stream, 31)
PLIST_PKG := $(call compiles,libplist-2.0,plist/plist.h,$(PLIST_USE))
ZLIB_PKG := $(call compiles,zlib,zlib.h,$(ZLIB_USE))
BODY_PKGS := $(PLIST_PKG) $(ZLIB_PKG)
BODY_CFLAGS := $(if $(strip $(BODY_PKGS)),$(shell $(PKG_CONFIG) --cflags $(BODY_PKGS)) $(ZLIB_PKG:%=-DHAVE_ZLIB) $(PLIST_PKG:%=-DHAVE_PLIST) \
	$(if $(call compiles,libplist-2.0,plist/plist.h,$(PLIST_UNIX_USE)),-DHAVE_PLIST_UNIX_DATE))
BODY_LIBS := $(if $(strip $(BODY_PKGS)),$(shell $(PKG_CONFIG) --libs $(BODY_PKGS)))
# Only imsg-serve serves.
SERVE_PKGS := libmicrohttpd sqlite3
SERVE_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(SERVE_PKGS))
SERVE_LIBS := $(shell $(PKG_CONFIG) --libs $(SERVE_PKGS))
# Only the build links it: it makes the system call filters (cmd/cli/filter). Without it there are none.
SECCOMP_LIBS := $(shell $(PKG_CONFIG) --libs libseccomp 2>/dev/null)
MAGIC_LIBS := $(or $(shell $(PKG_CONFIG) --libs libmagic 2>/dev/null),-lmagic)
endif

TOOLS := $(patsubst cmd/%.c,%,$(wildcard cmd/imsg-*.c))
BINS := $(TOOLS:%=$(BUILD)/bin/%)
# lib/base/os.h, cmd/cli/sandbox.h: what this system has beyond POSIX. `make OS_HAS=posix` builds as for one of which nothing is known.
OS_HAS ?= $(if $(filter Linux,$(shell uname -s)),linux,posix)
LIB_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out lib/base/os_%.c,$(wildcard lib/*/*.c)) lib/base/os_$(OS_HAS).c)
CLI_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out cmd/cli/sandbox_%.c,$(wildcard cmd/cli/*.c)) cmd/cli/sandbox_$(OS_HAS).c)
LIB := $(BUILD)/libimsg.a
HEADERS := $(wildcard lib/imsg*.h)
CLI := $(BUILD)/libcli.a
MAN := $(wildcard docs/man/*.[157])

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)';)
define compile
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
endef
define link
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(OWN_LIBS) $(DEP_LIBS) $(LIBS)
endef
define archive
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^
endef

all: $(LIB) $(BINS) ## the library and the tools, into build/ (the default)

$(LIB): $(LIB_OBJS)
	$(archive)
$(CLI): $(CLI_OBJS)
	$(archive)
$(BUILD)/%.o: %.c VERSION
	$(compile)
# Made by a program that runs here, for the machine that it runs on.
FILTER := $(BUILD)/filter/sandbox-filter.h
$(FILTER): cmd/cli/filter/make_filter.c
	$(Q)mkdir -p $(@D)
	$(call say,FILTER,$@)if [ -n '$(SECCOMP_LIBS)' ]; then $(CC) -std=c11 $(WARN) -o $(@D)/make_filter $< $(SECCOMP_LIBS) && \
	  $(@D)/make_filter >$@; else echo '/* no libseccomp */' >$@; fi
$(BUILD)/cmd/cli/sandbox_linux.o: $(FILTER)
$(BUILD)/cmd/cli/sandbox_linux.o: DEP_CFLAGS += -I$(BUILD)/filter
$(BUILD)/bin/imsg-attach: OWN_LIBS = $(MAGIC_LIBS)
$(BUILD)/bin/imsg-inspect: OWN_LIBS = $(BODY_LIBS)
$(BUILD)/bin/imsg-serve: OWN_LIBS = $(SERVE_LIBS)
$(BUILD)/cmd/inspect/%.o: DEP_CFLAGS += $(BODY_CFLAGS)
$(BUILD)/cmd/serve/%.o $(BUILD)/cmd/imsg-serve.o: DEP_CFLAGS += $(SERVE_CFLAGS)
# cmd/seal/*.c belongs to imsg-seal alone, and so on.
.SECONDEXPANSION:
$(BUILD)/bin/imsg-%: $(BUILD)/cmd/imsg-%.o $$(addprefix $(BUILD)/,$$(addsuffix .o,$$(basename $$(wildcard cmd/$$*/*.c cmd/$$*/*/*.c)))) $(CLI) $(LIB)
	$(link)

# ---- what a build needs ----

# Debian's names; elsewhere `deps` prints what is needed.
DEPS_BUILD := gcc make pkg-config libssl-dev libcurl4-openssl-dev libjansson-dev libmagic-dev libplist-dev zlib1g-dev libmicrohttpd-dev libsqlite3-dev libseccomp-dev
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

deps: ## install what a build and the tests need, where apt is there
	$(call deps,$(DEPS_BUILD) $(DEPS_TEST) $(DEPS_BENCH))

demo: ## install what is missing, build, send and receive between two people with two devices each
	$(call deps,$(DEPS_BUILD) jq)
	$(Q)+$(MAKE) --no-print-directory -j$(shell nproc) all
	$(Q)BIN='$(ABS_BUILD)/bin' sh examples/demo.sh

completions: all ## write the files in completions/ anew
	$(Q)for shell in bash:imsg.bash zsh:_imsg fish:imsg.fish; do \
	  sh tests/make-completions $${shell%%:*} $(BUILD)/bin >completions/$${shell#*:} || exit; done

install: all ## into $(DESTDIR)$(PREFIX), /usr/local unless PREFIX says otherwise
	$(INSTALL) -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(INCLUDEDIR)' '$(DESTDIR)$(BASHCOMPDIR)' \
	  '$(DESTDIR)$(ZSHCOMPDIR)' '$(DESTDIR)$(FISHCOMPDIR)' '$(DESTDIR)$(DOCDIR)/examples' '$(DESTDIR)$(SYSTEMDDIR)' \
	  $(foreach s,1 5 7,'$(DESTDIR)$(MANDIR)/man$(s)')
	$(INSTALL) -m 755 $(BINS) '$(DESTDIR)$(BINDIR)'
	$(INSTALL) -m 644 $(LIB) '$(DESTDIR)$(LIBDIR)'
	$(INSTALL) -m 644 $(HEADERS) '$(DESTDIR)$(INCLUDEDIR)'
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' 'Name: imsg' \
	  'Description: end-to-end encrypted messages to every device of a person' 'Version: $(VERSION)' \
	  'Requires: libcrypto jansson' 'Libs: -L$${libdir} -limsg -pthread -ldl' \
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
uninstall: ## remove what install put there
	rm -f $(TOOLS:%='$(DESTDIR)$(BINDIR)'/%) $(TOOLS:%='$(DESTDIR)$(BASHCOMPDIR)'/%) \
	  $(TOOLS:%='$(DESTDIR)$(FISHCOMPDIR)'/%.fish) '$(DESTDIR)$(LIBDIR)/libimsg.a' '$(DESTDIR)$(LIBDIR)/pkgconfig/imsg.pc' \
	  $(HEADERS:lib/%='$(DESTDIR)$(INCLUDEDIR)/%') '$(DESTDIR)$(BASHCOMPDIR)/imsg.bash' '$(DESTDIR)$(ZSHCOMPDIR)/_imsg' \
	  '$(DESTDIR)$(FISHCOMPDIR)/imsg.fish' '$(DESTDIR)$(SYSTEMDDIR)'/imsg-serve.service '$(DESTDIR)$(SYSTEMDDIR)'/imsg-serve.socket
	for m in $(notdir $(MAN)); do rm -f '$(DESTDIR)$(MANDIR)'/man$${m##*.}/$$m; done
	rm -rf '$(DESTDIR)$(DOCDIR)'
dist: ## a tar file of the last commit
	mkdir -p dist && git archive --prefix=imsg-$(VERSION)/ -o dist/imsg-$(VERSION).tar.gz HEAD

clean: ## remove what was built
	rm -rf $(BUILD) dist
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile tests/rules.mk

include tests/rules.mk
-include $(LIB_OBJS:.o=.d) $(patsubst %.c,$(BUILD)/%.d,$(wildcard cmd/*.c cmd/*/*.c cmd/*/*/*.c))
.PHONY: all clean deps demo completions install uninstall dist help
.SECONDARY:
.DELETE_ON_ERROR:
