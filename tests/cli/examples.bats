#!/usr/bin/env bats
# Each of examples/*.sh checks its own outcome; here they run, and must leave nothing behind.
load common
setup() {
  setup_common
  not_under_valgrind "the other files call all of this"
  mkdir home tmp
  export HOME=$T/home TMPDIR=$T/tmp
}
teardown() { teardown_common; }

# example NAME: status 0, something told, nothing of it left, nothing in the user's own folders.
example() {
  [ -x "$ROOT/examples/$1" ]
  expect 0 "$ROOT/examples/$1" </dev/null
  [ -s "$T/out" ]
  find "$T/tmp" "$T/home" -mindepth 1 >left
  diff left /dev/null
}

@test "demo.sh shows the whole of it" { example demo.sh; }
@test "send-from-script.sh tells by mail who has no account" { example send-from-script.sh; }
@test "two-devices.sh reaches every device" { example two-devices.sh; }
@test "group.sh answers to the whole group" { example group.sh; }
@test "attachment.sh brings files and long texts" { example attachment.sh; }
@test "second-device.sh adds a device and removes a lost one" { example second-device.sh; }
@test "by-hand.sh opens both formats with openssl" { example by-hand.sh; }
@test "receive-handler.sh loses no message" { example receive-handler.sh; }
@test "offline-records.sh needs no service" { example offline-records.sh; }

@test "every example has its test here" {
  (cd "$ROOT/examples" && printf '%s\n' *.sh) | sort >there
  sed -n 's/^@test .*{ example \(.*\); }$/\1/p' "$BATS_TEST_FILENAME" | sort >tested
  diff there tested
}

@test "an example whose outcome is wrong says so and fails" {
  # An imsg-open that adds a line, before the real one in PATH.
  mkdir bin
  printf '#!/bin/sh\n"%s/imsg-open" "$@" && echo extra\n' "$BIN" >bin/imsg-open
  chmod +x bin/imsg-open
  PATH=$T/bin:$PATH expect 1 "$ROOT/examples/two-devices.sh"
  err_has "two-devices.sh: this is not the outcome it should have"
}
