#!/usr/bin/env bats
# The programs of docs/library.md, compiled as C and as C++ against the installed library, and run.
load common

setup() {
  setup_common
  [ -z "${SAN:-}" ] || skip "what is out of date it would build again, without the sanitizers"
  not_under_valgrind "it is about what is built, not what runs"
  BUILD=${BUILD:-$(dirname "$BIN")}
  unset MAKEFLAGS MFLAGS MAKELEVEL
}
teardown() { teardown_common; }

# Each block of C begins with a comment that names its file.
extract_programs() {
  awk '/^```c$/ { getline; name = $2; sub(/:$/, "", name); on = 1 } /^```$/ { on = 0 } on { print >name }' \
    "$ROOT/docs/library.md"
}

# compile LANGUAGE SOURCE OUTPUT
compile() {
  local cflags libs
  cflags=$(pkg-config --cflags imsg)
  libs=$(pkg-config --libs imsg)
  # shellcheck disable=SC2086 # words
  case $1 in
    c) ${CC:-cc} -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -pedantic -Werror $cflags -o "$3" "$2" $libs ;;
    c++) ${CXX:-c++} -x c++ -std=c++17 -Wall -Wextra -Wno-missing-field-initializers -Werror $cflags -o "$3" "$2" -x none $libs ;;
  esac
}

# Compile all three into ./LANGUAGE, against what make install put into ./root.
build_programs() {
  local file
  make -s -C "$ROOT" BUILD="$(from_root "$BUILD")" DESTDIR="$T/root" PREFIX=/usr install >/dev/null
  export PKG_CONFIG_PATH=$T/root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$T/root
  extract_programs
  mkdir "$1"
  for file in send receive sealfile; do
    compile "$1" $file.c "$1/$file"
  done
}

# Alice and Bob, in directory and relay folders.
register_both() {
  local name
  export IMSG_DIRECTORY=$T/directory IMSG_RELAY=$T/relay
  for name in alice bob; do
    as $name imsg-keygen -n laptop $name@example.com >$name.jsonl
    as $name imsg-register <$name.jsonl
  done
}

send_and_receive() {
  build_programs "$1"
  register_both
  expect 0 "$1/send" "$T/alice" directory relay Bob@Example.com 'hello, Bob'
  err_has 'mailto:bob@example.com: first seen, account key'
  expect 0 "$1/receive" "$T/bob" directory relay
  echo 'hello, Bob' | cmp - out
  err_has 'mailto:alice@example.com: first seen, account key'
  # Nothing comes twice.
  expect 0 "$1/receive" "$T/bob" directory relay
  cmp out /dev/null
  # What fails for the moment comes with the next call, a copy of what came before does not.
  expect 0 "$1/send" "$T/alice" directory relay bob@example.com 'once more'
  mv directory away
  expect 0 "$1/receive" "$T/bob" directory relay
  cmp out /dev/null
  mv away directory
  expect 0 "$1/receive" "$T/bob" directory relay
  echo 'once more' | cmp - out
  # (an unknown field at the end of a payload of "pair-ec")
  for envelope in bob/inbox/cur/*; do
    jq -r .payload "$envelope" | base64 -d >payload
    printf '\x28\x01' >>payload
    jq -c --arg payload "$(base64 -w 0 payload)" '.payload = $payload' "$envelope"
  done | as alice imsg-push --relay relay
  expect 0 "$1/receive" "$T/bob" directory relay
  cmp out /dev/null
  [ "$(grep -c 'was opened before' err)" = 2 ]
  # Nobody there, and somebody who is not who he was.
  expect 67 "$1/send" "$T/alice" directory relay carol@example.com x
  err_has 'mailto:carol@example.com has no account'
  err_has 'no recipient can be reached'
  [ "$(grep -c carol err)" = 1 ]
  rm -r directory bob
  as bob imsg-keygen -n other bob@example.com | as bob imsg-register
  expect 1 "$1/send" "$T/alice" directory relay bob@example.com x
  err_has 'account key changed'
  expect 64 "$1/send"
  expect 64 "$1/receive" "$T/bob" directory relay forever
}

seal_a_file() {
  build_programs "$1"
  register_both
  head -c 3000000 /dev/urandom >big
  "$1/sealfile" "$T/alice" bob.jsonl <big >big.imsg
  expect 0 as bob imsg-open -R alice.jsonl -o opened big.imsg
  cmp big opened
  (cat bob.jsonl && echo no record) >broken.jsonl
  expect 65 "$1/sealfile" "$T/alice" broken.jsonl <big
  no_out
  err_has 'broken.jsonl: line 2'
  expect 74 sh -c "$1/sealfile $T/alice bob.jsonl <big >/dev/full"
  expect 64 "$1/sealfile"
}

@test "each program has at most 60 lines" {
  extract_programs
  [ "$(echo ./*.c)" = './receive.c ./sealfile.c ./send.c' ]
  for file in ./*.c; do [ "$(wc -l <"$file")" -le 60 ]; done
}

@test "a message is sent and received, by programs in C" { send_and_receive c; }

@test "a message is sent and received, by programs in C++" { send_and_receive c++; }

@test "a file is sealed, by a program in C" { seal_a_file c; }

@test "a file is sealed, by a program in C++" { seal_a_file c++; }

@test "who waits at a relay gets what comes later" {
  build_programs c
  register_both
  mkfifo line
  c/receive "$T/bob" directory relay wait >line 2>errors 3>&- &
  pid=$!
  exec 4<line
  c/send "$T/alice" directory relay bob@example.com first
  read -r text <&4
  [ "$text" = first ]
  c/send "$T/alice" directory relay bob@example.com second
  read -r text <&4
  kill $pid
  wait $pid || true
  [ "$text" = second ]
}

