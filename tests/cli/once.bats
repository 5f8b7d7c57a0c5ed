#!/usr/bin/env bats
# imsg-open --once: nothing is opened twice, and nothing is lost on the way to a handler.
# shellcheck disable=SC2016,SC2030,SC2031,SC2094 # every test is a subshell; a file may be named like a format
bats_require_minimum_version 1.5.0
load common
load relay

setup_file() {
  setup_common
  new_user alice
  new_user bob
  echo hello | as alice imsg-seal -q -r bob@example.com >one
  as alice imsg-keygen -y >alice.jsonl
  as bob imsg-keygen -y >bob.jsonl
  echo hello | as alice imsg-seal -q -E pair -R bob.jsonl >pair
  head -c 3000000 /dev/urandom >content
  as alice imsg-seal -q -s -R bob.jsonl content >sealed
  keep_base
}
setup() { relay_setup; }
teardown() { teardown_common; }

open() { as bob imsg-open -q --once "$@"; }
push() { as alice imsg-push "$@"; }
pull() { as bob imsg-pull "$@"; }
recorded() { find bob/opened -type f 2>/dev/null | wc -l; }

# mauled FILE: the same message with something changed that no signature covers (an unknown field; "pair-ec" only).
mauled() { jq -c '.payload = $p' --arg p "$({ jq -r .payload "$1" | base64 -d; printf '\x28\x01'; } | base64 -w 0)" "$1"; }

@test "a message is opened once, and without --once any number of times" {
  for file in one pair; do
    expect 0 open $file
    [ "$(cat out)" = hello ]
    expect 1 open $file
    no_out
    err_has "from mailto:alice@example.com was opened before"
    errors_are 1
    expect 0 as bob imsg-open -q $file
    [ "$(cat out)" = hello ]
  done
  [ "$(recorded)" -eq 2 ]
  [ "$(find bob/opened -type f -perm 600 | wc -l)" -eq 2 ]
  # Under its replay key it has its name.
  key=$(as bob imsg-inspect -j one | jq -r .values.replay_key)
  [ "$(cat "bob/opened/${key:0:2}/${key:2}")" = "$(name_of "$(cat one)")" ]
  # Failures are counted by account.
  [ -e "bob/failures/$(as alice imsg-keygen -F | awk '/^account/ { print $2 }')" ]
  # The others of an input go on, and the same line twice is one message.
  echo two | as alice imsg-seal -q -R bob.jsonl >two
  expect 1 open one two two pair
  [ "$(cat out)" = two ]
  errors_are 3
}

@test "what changes no signature makes no other message of it" {
  mauled one >other
  [ "$(name_of "$(cat one)")" != "$(name_of "$(cat other)")" ]
  expect 0 as bob imsg-open -q other
  expect 0 open one
  expect 1 open other
  no_out
  jq -c '.relay = "https://relay.example"' one >again
  expect 1 open again
  # The other one first.
  rm -r bob/opened
  expect 0 open other
  expect 1 open one
  no_out
}

@test "what was refused is not recorded" {
  jq -c '.id = "00000000-0000-4000-8000-000000000000"' one >fake
  expect 1 open fake
  expect 1 open --from carol@example.com one
  expect 1 open -R bob.jsonl one
  [ "$(recorded)" -eq 0 ]
  expect 0 open one
}

@test "what did not come out is taken back" {
  [ -w /dev/full ] || skip 'no /dev/full'
  status=0
  open one >/dev/full || status=$?
  [ "$status" -eq 74 ]
  [ "$(recorded)" -eq 0 ]
  # A file that is not made: for another message was refused, or cannot be.
  jq -c '.id = "00000000-0000-4000-8000-000000000000"' one >fake
  expect 1 open -o result one fake
  [ ! -e result ]
  expect 73 open -o missing/result one
  [ "$(recorded)" -eq 0 ]
  expect 0 open -o result one
  [ "$(cat result)" = hello ]
  [ "$(recorded)" -eq 1 ]
}

@test "where it cannot be recorded nothing comes out" {
  touch bob/opened
  expect 73 open one
  no_out
  rm bob/opened
  expect 0 open one
}

@test "of many at the same time one opens a message" {
  pids=
  for i in 1 2 3 4 5 6; do
    open one >"out.$i" 2>/dev/null 3>&- &
    pids="$pids $!"
  done
  good=0
  for pid in $pids; do if wait "$pid"; then good=$((good + 1)); fi; done
  [ "$good" -eq 1 ]
  [ "$(cat out.?)" = hello ]
}

@test "a sealed file is opened once; a damaged copy does not use it up" {
  head -c 2000000 sealed >short
  expect 1 open -o result short
  expect 1 open short
  [ "$(recorded)" -eq 0 ]
  expect 0 open -o result sealed
  cmp content result
  expect 1 open -o other sealed
  [ ! -e other ]
  err_has 'was opened before'
}

@test "a handler that says 75 gets its message again" {
  echo two | as alice imsg-seal -q -r bob@example.com >two
  push one two
  cat >handler <<'EOF'
#!/bin/sh
message=$(imsg-open -q --once -j) || exit
echo "${IMSG_RETRY:-none} $(printf %s "$message" | jq -r .content)" >>handled
[ -e ready ] || exit 75
EOF
  chmod +x handler
  IMSG_RETRY=$(name_of "$(cat one)") expect 75 pull -x ./handler
  printf 'none hello\nnone two\n' | cmp - handled
  holds 2 "$NEW"
  expect 75 pull --new -x ./handler
  touch ready
  expect 0 pull --new -x ./handler
  holds 0 "$NEW"
  { printf 'none hello\nnone two\n'
    for _ in 1 2; do printf '%s hello\n%s two\n' "$(name_of "$(cat one)")" "$(name_of "$(cat two)")"; done; } | cmp - handled
  # Now it is done, and stays so.
  expect 1 open one
  push two
  expect 0 pull -x ./handler
  [ "$(wc -l <handled)" -eq 6 ]
}

@test "IMSG_RETRY lets through exactly the envelope that was recorded" {
  mauled one >other
  name=$(name_of "$(cat one)") other=$(name_of "$(cat other)")
  expect 0 open one
  IMSG_RETRY=$other expect 1 open one
  IMSG_RETRY=$other expect 1 open other
  IMSG_RETRY=$name expect 1 open other
  IMSG_RETRY=$name expect 1 open other pair
  [ "$(cat out)" = hello ]
  IMSG_RETRY=${name%?} expect 1 open one
  IMSG_RETRY=$name expect 0 open one
  [ "$(cat out)" = hello ]
  # It failed once more, and is still the one that may be tried.
  [ -w /dev/full ] || skip 'no /dev/full'
  IMSG_RETRY=$name expect 74 as bob sh -c 'imsg-open -q --once one >/dev/full'
  IMSG_RETRY=$name expect 0 open one
  expect 1 open one
}

@test "a run that was killed before it wrote is made good by a retry" {
  can_strace
  can_read_traces
  push one
  pull -q -x 'exit 75' || true
  expect 137 as bob sh -c 'strace -f -qq -o trace -P "$PWD/killed" -e trace=write -e inject=write:signal=KILL \
    imsg-open -q --once one >killed; exit $?'
  no_out
  [ "$(recorded)" -eq 1 ]
  expect 1 open one
  expect 0 pull --new -x 'imsg-open -q --once >got'
  [ "$(cat got)" = hello ]
}

@test "--once does not go with --raw" {
  expect 64 open --raw -E pair --from alice@example.com one
}

@test "a reader that went away does not use a message up" {
  pipe_without_reader 7
  expect 74 as bob sh -c 'imsg-open -q --once one >&7'
  [ "$(recorded)" -eq 0 ]
  expect 0 open one
}
