#!/usr/bin/env bats
# make install, what it puts there, and make uninstall; what the tools and the library are linked with.
load common
setup() {
  setup_common
  # What make finds out of date it would build again, without what these builds are made with.
  [ -z "${SAN:-}" ] || skip "it is about the plain build"
  not_under_valgrind "it is about what is built, not what runs"
  BUILD=${BUILD:-$(dirname "$BIN")}
  # What an outer make hands down is not for this one.
  unset MAKEFLAGS MFLAGS MAKELEVEL
}
teardown() { teardown_common; }

stage() { make -s -C "$ROOT" BUILD="$(from_root "$BUILD")" DESTDIR="$T/root" PREFIX=/usr "$@" >/dev/null; }
tools() { (cd "$ROOT/cmd" && printf '%s\n' imsg-*.c) | sed 's/\.c$//'; }

@test "everything is installed where it belongs, and the tools run from there" {
  stage install
  share=root/usr/share
  for tool in $(tools); do
    [ "$("root/usr/bin/$tool" --version)" = "$tool $(cat "$ROOT/VERSION")" ]
    cmp "$ROOT/docs/man/$tool.1" "$share/man/man1/$tool.1"
    # bash and fish look for a completion by the name of the command.
    cmp "$ROOT/completions/imsg.bash" "$share/bash-completion/completions/$tool"
    cmp "$ROOT/completions/imsg.fish" "$share/fish/vendor_completions.d/$tool.fish"
  done
  cmp "$ROOT/completions/_imsg" $share/zsh/site-functions/_imsg
  for page in "$ROOT"/docs/man/*; do
    [ -e "$share/man/man${page##*.}/${page##*/}" ]
  done
  [ "$(cd root/usr/include && echo *)" = 'imsg-client.h imsg-net.h imsg.h' ]
  for header in root/usr/include/*; do cmp "$ROOT/lib/${header##*/}" "$header"; done
  cmp "$BUILD/libimsg.a" root/usr/lib/libimsg.a
  for doc in README.md docs/threat-model.md examples/demo.sh; do
    cmp "$ROOT/$doc" "$share/doc/imsg/${doc#docs/}"
  done
  [ -x $share/doc/imsg/examples/demo.sh ]
  grep -q '^ExecStart=/usr/bin/imsg-serve ' root/usr/lib/systemd/system/imsg-serve.service
  cmp "$ROOT/docs/systemd/imsg-serve.socket" root/usr/lib/systemd/system/imsg-serve.socket
}

@test "what is installed can be read by all, is written by none, and does not name the folder it was staged in" {
  umask 022
  stage install
  find root ! -type l \( -perm /022 -o ! -perm -044 \) >wrong
  diff wrong /dev/null
  if grep -rlF "$T" root; then return 1; fi
  # Links point to what is there.
  find root -type l ! -exec test -e {} \; -print >broken
  diff broken /dev/null
}

@test "folders of their own are obeyed" {
  stage install BINDIR=/opt/b LIBDIR=/opt/l INCLUDEDIR=/opt/i MANDIR=/opt/m DOCDIR=/opt/d \
    BASHCOMPDIR=/opt/cb ZSHCOMPDIR=/opt/cz FISHCOMPDIR=/opt/cf SYSTEMDDIR=/opt/s
  [ ! -e root/usr ]
  root/opt/b/imsg-seal --version
  grep -qx 'libdir=/opt/l' root/opt/l/pkgconfig/imsg.pc
  grep -qx 'includedir=/opt/i' root/opt/l/pkgconfig/imsg.pc
  stage uninstall BINDIR=/opt/b LIBDIR=/opt/l INCLUDEDIR=/opt/i MANDIR=/opt/m DOCDIR=/opt/d \
    BASHCOMPDIR=/opt/cb ZSHCOMPDIR=/opt/cz FISHCOMPDIR=/opt/cf SYSTEMDDIR=/opt/s
  find root ! -type d >left
  diff left /dev/null
}

@test "uninstall removes every file, and no other" {
  stage install
  echo mine >root/usr/bin/imsg-mine
  stage uninstall
  find root ! -type d >left
  echo root/usr/bin/imsg-mine | diff left -
  [ ! -e root/usr/share/doc/imsg ]
}

@test "an optional library that is missing or has other calls costs its view, not the build" {
  build_folder
  rm -r "$OWN_BUILD/cmd/inspect"
  mkdir -p pc other/plist
  echo '#error "another libplist"' >other/plist/plist.h
  printf 'Name: libplist\nDescription: another one\nVersion: 9\nCflags: -I%s/other\n' "$T" >pc/libplist-2.0.pc
  build=$(from_root "$OWN_BUILD")
  PKG_CONFIG_PATH=$T/pc make -s -C "$ROOT" BUILD="$build" ZLIB_PKG= "$build/bin/imsg-inspect" >log 2>&1 || { cat log; false; }
  printf '<?xml version="1.0"?><plist><true/></plist>' >body
  expect 0 "$OWN_BUILD/bin/imsg-inspect" body
  grep 'built without libplist' out err
  printf '\037\213' | expect 0 "$OWN_BUILD/bin/imsg-inspect"
  grep 'built without zlib' out err
}

@test "a C program is compiled and linked as imsg.pc says, and runs" {
  stage install
  cat >program.c <<'C'
#include <imsg.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
    char *handle = NULL;
    struct imsg_error err;
    enum imsg_status status = imsg_handle_canonical(argv[argc - 1], &handle, &err);
    struct imsg_public_identity identity;
    printf("%s %s\n", status == IMSG_OK ? handle : err.text,
           imsg_status_name(imsg_public_identity_parse(imsg_view_str("no"), &identity, &err)));
    free(handle);
    return imsg_status_exit(status);
}
C
  # pkg-config's words have no spaces, the temporary folder's path may.
  export PKG_CONFIG_PATH=root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=root
  [ "$(pkg-config --modversion imsg)" = "$(cat "$ROOT/VERSION")" ]
  cflags=$(pkg-config --cflags imsg)
  libs=$(pkg-config --static --libs imsg)
  [[ "$cflags" == *"-Iroot/usr/include"* ]]
  # shellcheck disable=SC2086 # words
  ${CC:-cc} -std=c11 -Wall -Wextra -Werror $cflags -o program program.c $libs
  expect 0 ./program Bob@Example.com
  echo "mailto:bob@example.com malformed" | cmp - out
  expect 65 ./program 'bob@'
}

@test "no tool links libcurl, only imsg-attach libmagic, and only imsg-serve what serves" {
  for tool in $(tools); do
    ldd "$BUILD/bin/$tool" >libs
    grep -q libcrypto libs
    if grep -i curl libs; then return 1; fi
    [ "$tool" = imsg-attach ] || ! grep -i magic libs || return 1
    [ "$tool" = imsg-serve ] || ! grep -iE 'microhttpd|sqlite|gnutls' libs || return 1
  done
}

@test "no shipped binary has the seam that fixes nonces" {
  # The name is found where it belongs, so a search that finds nothing means something.
  make -s -C "$ROOT" BUILD="$(from_root "$BUILD")" "$(from_root "$BUILD")/seam/lib/crypto/p256_sign.o"
  grep -q imsg_test_next_k "$BUILD/seam/lib/crypto/p256_sign.o"
  for file in "$BUILD"/bin/imsg-* "$BUILD/libimsg.a"; do
    if grep -q -e imsg_test_ "$file"; then echo "$file"; return 1; fi
  done
}
