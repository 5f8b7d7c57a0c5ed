#!/usr/bin/env bats
# make STATIC=crypto: the tools with libcrypto inside. The objects are those of the build under test; only the link is new.

load common

setup() { setup_common; }
teardown() { teardown_common; }

@test "make STATIC=crypto: no libcrypto is loaded, and a message goes through" {
  [ -z "${SAN:-}" ] || skip "the objects need the sanitizers' flags"
  [ -z "${VALGRIND:-}" ] || skip "the plain build shows it"
  build_folder
  build=$(from_root "$OWN_BUILD")
  env -u MAKEFLAGS -u MAKELEVEL make -s -C "$ROOT" BUILD="$build" STATIC=crypto "$build/bin/imsg-keygen" \
    "$build/bin/imsg-seal" "$build/bin/imsg-open" >log 2>&1 || { cat log; false; }
  PATH=$OWN_BUILD/bin:$PATH
  ldd "$OWN_BUILD/bin/imsg-seal" >linked
  without grep libcrypto linked
  grep libc.so linked
  as alice imsg-keygen -n laptop alice@example.com >alice.jsonl
  as bob imsg-keygen -n desktop bob@example.com >bob.jsonl
  for format in pair pair-ec; do
    echo hello | as alice imsg-seal -E $format -R bob.jsonl | as bob imsg-open -q -R alice.jsonl >out
    [ "$(cat out)" = hello ]
  done
}
