#!/usr/bin/env bats
# imsg-pull: stored before it is acknowledged, handed out once, and kept where handing out failed.
load common
load relay
setup_file() { relay_setup_file; }
setup() { relay_setup; }
teardown() {
  [ -z "${BG:-}" ] || kill "$BG" 2>/dev/null || true # a test that failed did not come to it
  teardown_common
}

pull() { as bob imsg-pull "$@"; }
push() { as alice imsg-push -q "$@"; }

# status_of STATUS COMMAND...: like expect, for a command whose stdout goes where the test says; stderr into $T/err.
status_of() {
  local want=$1 got=0
  shift
  "$@" 2>"$T/err" || got=$?
  [ "$got" -eq "$want" ] || { echo "status $got, expected $want" >&2; cat "$T/err" >&2; return 1; }
}

@test "a message is stored, printed as it was sent, moved to cur, and gone from the relay" {
  push one
  expect 0 pull
  cmp one out
  [ ! -s err ]
  holds 0 "$BOX"
  holds 0 "$NEW"
  holds 0 bob/inbox/tmp
  cmp one "$CUR/$(name_of "$(cat one)")"
}

@test "nothing waiting is 0 and nothing printed" {
  expect 0 pull
  no_out
  expect 0 pull --new
  no_out
  expect 0 pull -x 'echo ran'
  no_out
  status_of 0 pull >&-
  status_of 0 pull >/dev/full
}

@test "an envelope that was stored once never arrives again, also after it was deleted from the inbox" {
  push one
  pull >first
  push one
  expect 0 pull
  no_out
  holds 0 "$BOX"
  rm "$CUR"/*
  push one
  expect 0 pull -v
  no_out
  err_has 'came before'
  holds 0 "$BOX"
  holds 0 "$CUR"
  jq -c '.unknown = "member"' one >dressed
  push dressed
  expect 0 pull
  no_out
  holds 0 "$BOX"
}

@test "messages come oldest first" {
  local i
  envelopes 6 >six
  push six
  for i in 4 2 6 1 5 3; do touch -d "$((10 - i)) minutes ago" "$BOX/$(name_of "$(sed -n ${i}p six)")"; done
  expect 0 pull
  cmp six out
}

@test "--new goes through what stayed, in the order in which it came" {
  envelopes 5 >five
  push five
  local i
  for i in 1 2 3 4 5; do touch -d "$((10 - i)) minutes ago" "$BOX/$(name_of "$(sed -n ${i}p five)")"; done
  expect 75 pull -x 'exit 75'
  holds 5 "$NEW"
  holds 0 "$BOX"
  expect 0 pull --new
  cmp five out
  holds 0 "$NEW"
  holds 5 "$CUR"
}

@test "inbox and memory are private" {
  push one
  pull >/dev/null
  [ -z "$(find bob/inbox bob/seen -type d ! -perm 700)" ]
  [ -z "$(find bob/inbox bob/seen -type f ! -perm 600)" ]
}

@test "the mailbox is made if it is not there" {
  expect 0 pull --relay other
  no_out
  [ -d "other/$TOKEN/new" ]
  [ -d "other/$TOKEN/tmp" ]
  push --relay other one
  expect 0 pull --relay other
  cmp one out
  rm -r "${RELAY:?}/$TOKEN"
  expect 0 pull
  push one
}

@test "messages over 30 days old are not delivered any more" {
  envelopes 2 >two
  push two
  touch -d '31 days ago' "$BOX/$(name_of "$(sed -n 1p two)")"
  touch -d '29 days ago' "$BOX/$(name_of "$(sed -n 2p two)")"
  expect 0 pull
  sed -n 2p two | cmp - out
  holds 0 "$BOX"
}

@test "closed and full standard output: 74, the message stays in new, and --new prints it then" {
  not_under_valgrind 'it puts /dev/null in the place of what is closed'
  envelopes 2 >two
  push two
  touch -d '1 hour ago' "$BOX/$(name_of "$(sed -n 1p two)")"
  status_of 74 pull >&-
  err_has 'imsg-pull: error: standard output: '
  err_has '1 message in inbox/new: imsg-pull --new goes through them'
  holds 1 "$NEW"
  holds 1 "$BOX"
  status_of 74 pull --new >/dev/full
  holds 1 "$NEW"
  expect 0 pull --new
  sed -n 1p two | cmp - out
  holds 0 "$NEW"
  expect 0 pull
  sed -n 2p two | cmp - out
}

@test "a reader that went away: 74, and nothing is lost" {
  envelopes 3 >three
  push three
  pipe_without_reader 9
  status_of 74 pull >&9
  exec 9>&-
  holds 1 "$NEW"
  expect 0 pull --new
  cp out got
  expect 0 pull
  cat out >>got
  sort got | cmp - <(sort three)
}

@test "a reader that takes one line costs no other" {
  envelopes 40 >forty
  push forty
  mkfifo pipe
  head -n1 <pipe >first 3>&- &
  local reader=$! got=0
  pull >pipe 2>err || got=$?
  wait $reader
  [ "$got" -eq 0 ] || [ "$got" -eq 74 ] # how much fitted into the pipe before the reader was gone is not ours to say
  pull --new >rest
  pull >>rest
  cat "$CUR"/* | sort | cmp - <(sort forty)
  holds 0 "$NEW"
  holds 0 "$BOX"
}

@test "-w prints what is delivered later, each at once, and ends when it is told to" {
  envelopes 3 >three
  mkfifo lines
  IMSG_HOME=$T/bob imsg-pull -w >lines 2>said 3>&- &
  local pid=$! i got=0
  BG=$pid
  exec 7<lines
  for i in 1 2 3; do
    sed -n ${i}p three >line
    push line
    read -r -t 300 got <&7
    [ "$got" = "$(cat line)" ]
  done
  kill $pid
  got=0
  wait $pid || got=$?
  BG=
  exec 7<&-
  [ "$got" -eq 143 ]
  [ ! -s said ]
  holds 0 "$BOX"
  [ "$(files_in "$CUR" "$NEW")" -eq 3 ]
}

@test "-w does not end with what it cannot take, and says so once" {
  head -c 100 /dev/urandom >"$BOX/$(printf %064d 1)"
  mkfifo lines
  IMSG_HOME=$T/bob imsg-pull -w >lines 2>said 3>&- &
  local pid=$! got
  BG=$pid
  exec 7<lines
  envelopes 2 >two
  for i in 1 2; do
    sed -n ${i}p two >line
    push line
    read -r -t 300 got <&7
    [ "$got" = "$(cat line)" ]
  done
  kill $pid
  wait $pid || true
  BG=
  exec 7<&-
  [ "$(grep -c error: said)" -eq 1 ]
}

@test "-w whose mailbox goes away ends with 75" {
  mkfifo lines
  IMSG_HOME=$T/bob imsg-pull -w >lines 2>said 3>&- &
  local pid=$! got=0
  BG=$pid
  exec 7<lines
  push one
  read -r -t 300 _ <&7
  mv "$RELAY" gone
  rmdir gone/"$TOKEN"/new # what wakes it up at once
  wait $pid || got=$?
  BG=
  exec 7<&-
  [ "$got" -eq 75 ]
}

@test "-x: 0 is done; the command gets exactly the line on its standard input" {
  push one
  expect 0 pull -x 'cat >>got; echo from the command'
  [ "$(cat out)" = 'from the command' ]
  cmp one got
  holds 0 "$NEW"
  holds 1 "$CUR"
}

@test "-x: each envelope gets a run of its own, and the command need not read" {
  jq -c --arg x "$(head -c 16384 /dev/zero | base64 -w0)" '.payload = $x' one >big
  envelopes 3 | push - big
  expect 0 pull -x 'echo ran >>runs'
  [ "$(wc -l <runs)" -eq 4 ]
  holds 4 "$CUR"
}

@test "-x: 75 stays in new, the status is 75, and the others are done" {
  envelopes 3 >three
  push three
  # shellcheck disable=SC2016 # the command's shell expands it
  expect 75 pull -x 'grep -q "$(sed -n 2p three | jq -r .payload)" && exit 75; exit 0'
  err_has 'stays in inbox/new'
  holds 2 "$CUR"
  holds 1 "$NEW"
  sed -n 2p three | cmp - "$NEW"/*
  expect 0 pull -x 'exit 1' # what stayed is not asked again without --new
  err_has '1 message in inbox/new'
  expect 75 pull --new -x 'exit 75'
  holds 1 "$NEW"
  expect 0 pull --new -x 'cat >got'
  sed -n 2p three | cmp - got
  holds 3 "$CUR"
}

@test "-x: any other status is reported and done, and the status is 1" {
  local command
  # shellcheck disable=SC2016
  for command in 'exit 1' 'exit 65' 'kill -9 $$' /no/such/command; do
    rm -rf bob/seen bob/inbox
    push one
    expect 1 pull -x "$command"
    err_has 'the command ended with status'
    holds 0 "$NEW"
    holds 1 "$CUR"
  done
}

@test "-x imsg-open opens each message" {
  push one
  expect 0 pull -x 'imsg-open -q'
  [ "$(cat out)" = hello ]
}

@test "two pulls at once hand out each of 200 messages exactly once" {
  envelopes 200 >lines
  push lines
  IMSG_HOME=$T/bob imsg-pull >a 2>a.err 3>&- &
  local a=$! b
  IMSG_HOME=$T/bob imsg-pull >b 2>b.err 3>&- &
  b=$!
  wait $a
  wait $b
  sort a b | cmp - <(sort lines)
  holds 200 "$CUR"
  holds 0 "$NEW"
  holds 0 "$BOX"
}

@test "two --new at once, and a pull, hand out each message exactly once" {
  envelopes 60 >lines
  head -n 40 lines | push
  pull -q -x 'exit 75' || true
  holds 40 "$NEW"
  tail -n 20 lines | push
  local i pids=() pid
  for i in --new --new -q; do
    IMSG_HOME=$T/bob imsg-pull $i >"got${#pids[@]}" 2>/dev/null 3>&- &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
  sort got? | cmp - <(sort lines)
  holds 60 "$CUR"
}

@test "a message that one run is handing out is left alone by the others" {
  envelopes 2 >two
  push two
  pull -q -x 'exit 75' || true
  mkfifo begun go
  IMSG_HOME=$T/bob imsg-pull --new -x 'cat >>got; echo >begun; timeout 300 cat go' >/dev/null 3>&- &
  local pid=$!
  BG=$pid
  read -r -t 300 <begun
  expect 0 pull --new # the other one only
  [ "$(wc -l <out)" -eq 1 ]
  cat got out | sort | cmp - <(sort two)
  : >go
  wait $pid
  BG=
  holds 2 "$CUR"
  [ "$(wc -l <got)" -eq 1 ]
}

@test "what is no envelope for this device is reported, left in the mailbox, and does not stop the rest" {
  local i
  head -c 300 /dev/urandom | tr -d '\n' >"$BOX/$(printf %064d 1)"
  : >"$BOX/$(printf %064d 2)"
  { cat one one; } >"$BOX/$(printf %064d 3)"
  jq -c '.to_token = "0000000000000000000000000000000000000000000000000000000000000000"' one >"$BOX/$(printf %064d 4)"
  head -c 200 one >"$BOX/$(printf %064d 5)"
  head -c 1100000 /dev/zero | tr '\0' x >"$BOX/$(printf %064d 6)"
  for i in 1 2 3 4 5 6; do touch -d '1 hour ago' "$BOX/$(printf %064d "$i")"; done
  envelopes 3 >three
  push three
  expect 76 pull
  errors_are 6
  err_has "imsg-pull: error: relay \"$RELAY\": 00000000…"
  sort out | cmp - <(sort three)
  holds 6 "$BOX"
  holds 3 "$CUR"
  holds 0 "$NEW"
  expect 76 pull
  no_out
}

@test "what is no message by its name or kind is neither taken nor waited for" {
  mkfifo "$BOX/$(printf %064d 1)"
  ln -s /etc/passwd "$BOX/$(printf %064d 2)"
  mkdir "$BOX/$(printf %064d 3)"
  echo x >"$BOX/README"
  cp one "$BOX/.$(name_of "$(cat one)")"
  expect 0 timeout 300 env IMSG_HOME="$T/bob" imsg-pull
  no_out
  push one
  expect 0 pull
  cmp one out
}

@test "a file's name is not believed: an envelope under another one stays where it is" {
  local name
  name=$(name_of "$(cat one)")
  cp one "$BOX/$(printf %064d 7)"
  expect 76 pull
  no_out
  err_has "00000000…: an envelope whose name is ${name:0:8}…"
  push one
  expect 76 pull
  cmp one out
  holds 1 "$BOX"
  [ -e "$CUR/$name" ]
}

@test "who saw a payload delivers it first under another id: the genuine message still arrives" {
  jq -c '.id = "00000000-0000-4000-8000-000000000000"' one >fake
  push fake
  expect 0 pull
  cmp fake out
  cp out pulled
  push one
  expect 0 pull
  cmp one out
  expect 1 as bob imsg-open -q pulled
  no_out
  expect 0 as bob imsg-open -q one
  [ "$(cat out)" = hello ]
  # Both at once, too: neither is taken for the other.
  rm -r bob/inbox bob/seen
  push fake one
  expect 0 pull
  cat fake one | cmp - out
}

@test "an encrypted identity needs no passphrase to pull" {
  echo secret >pass
  as carol imsg-keygen -p --passphrase-file pass carol@example.com | as carol imsg-register -q --passphrase-file pass
  expect 0 timeout 300 env IMSG_HOME="$T/carol" imsg-pull </dev/null
  as alice imsg-seal -q -r carol@example.com --no-self <<<hi | push
  expect 0 timeout 300 env IMSG_HOME="$T/carol" imsg-pull </dev/null
  [ "$(wc -l <out)" -eq 1 ]
}

@test "-i takes another identity's mailbox" {
  push one
  cp bob/identity.json other.json
  expect 0 as carol imsg-pull -i other.json
  cmp one out
}

@test "a pull that ended right after it stored a message hands it out once" {
  local name
  name=$(name_of "$(cat one)")
  # Stored, not remembered, not acknowledged: a plain pull …
  expect 0 pull
  push one
  cp "$BOX/$name" "$NEW/$name"
  expect 0 pull
  cmp one out
  expect 0 pull --new
  no_out
  # … or --new first.
  rm -r bob/inbox bob/seen
  expect 0 pull
  push one
  cp "$BOX/$name" "$NEW/$name"
  expect 0 pull --new
  cmp one out
  expect 0 pull
  no_out
  holds 0 "$BOX"
  holds 0 "$NEW"
}

@test "a pull that ended before it acknowledged hands the message out once; after that --new has it" {
  local name
  name=$(name_of "$(cat one)")
  push one
  pull >/dev/null
  push one
  mv "$CUR/$name" "$NEW/$name" # stored and remembered, not printed
  expect 0 pull
  cmp one out
  holds 0 "$NEW"
  holds 0 "$BOX"
  mv "$CUR/$name" "$NEW/$name" # acknowledged too
  expect 0 pull
  no_out
  err_has '1 message in inbox/new: imsg-pull --new goes through them'
  expect 0 pull --new
  cmp one out
}

@test "conflicts are 64 before anything is touched" {
  push one
  expect 64 pull --new -w
  expect 64 pull --new --relay "$RELAY"
  expect 64 pull operand
  expect 64 pull -x true -x false
  holds 1 "$BOX"
  [ ! -e bob/inbox ]
}

@test "no identity is 66" {
  expect 66 as nobody imsg-pull
  no_out
}
