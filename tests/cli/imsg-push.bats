#!/usr/bin/env bats
# imsg-push: delivered once, and what is not delivered is not lost.
# shellcheck disable=SC2153 # relay_setup sets RELAY and the others
load common
load relay
setup_file() { relay_setup_file; }
setup() { relay_setup; }
teardown() { teardown_common; }

push() { as alice imsg-push "$@"; }

@test "what is pushed lies in the mailbox as it was, under the hash of its payload, and nothing else does" {
  expect 0 push one
  no_out
  holds 1 "$BOX"
  cmp one "$BOX/$(name_of "$(cat one)")"
  holds 0 "$RELAY/$TOKEN/tmp"
}

@test "pushed twice it is delivered once, and -j tells delivered from duplicate" {
  envelopes 3 >three
  expect 0 push -j three
  [ "$(jq -r .status out)" = $'delivered\ndelivered\ndelivered' ]
  envelopes 4 >four
  expect 0 push -j <four
  [ "$(jq -r .status out)" = $'duplicate\nduplicate\nduplicate\ndelivered' ]
  holds 4 "$BOX"
}

@test "the same line twice in one input is delivered once" {
  cat one one >two
  expect 0 push -j two
  [ "$(jq -r .status out)" = $'delivered\nduplicate' ]
  holds 1 "$BOX"
}

@test "the same id with another payload is another message" {
  envelopes 2 >two
  [ "$(jq -r .id two | sort -u | wc -l)" -eq 1 ]
  expect 0 push two
  holds 2 "$BOX"
}

@test "a receipt has exactly the members that are promised" {
  expect 0 push -j one
  jq -e --slurpfile e one --arg hash "$(name_of "$(cat one)")" --arg relay "$RELAY" '. == {imsg: "receipt/1",
    id: $e[0].id, to: $e[0].to, to_token: $e[0].to_token, payload: $hash, status: "delivered", relay: $relay}' out
  rm -r "${RELAY:?}/$TOKEN"
  expect 69 push -j one
  jq -e '.status == "failed" and (.error | test("no mailbox")) and (keys | length) == 8' out
}

@test "a device without a mailbox is 69, named by its token, and no mailbox is made" {
  rm -r "${RELAY:?}/$TOKEN"
  expect 69 push one
  no_out
  err_has "imsg-push: error: \"one\": line 1: relay \"$RELAY\":"
  err_has "no mailbox for token ${TOKEN:0:4}"
  [ ! -e "$RELAY/$TOKEN" ]
}

@test "a relay folder that is away is 75 and is not made" {
  mv "$RELAY" gone
  expect 75 push --undelivered left one
  err_has 'is not there'
  [ ! -e "$RELAY" ]
  cmp one left
  mv gone "$RELAY"
  expect 0 push left
  holds 1 "$BOX"
}

@test "not one line is 66, so that a failed seal makes a failed pipeline" {
  expect 66 push </dev/null
  err_has 'imsg-push: error: no envelope to push'
  printf '\n\n' >blank
  expect 66 push blank
  as alice imsg-seal -q -r nobody@example.com <<<hello 2>/dev/null | expect 66 push
}

@test "a file that is not there is 66, and the others are delivered" {
  envelopes 1 1 >a
  envelopes 1 2 >b
  expect 66 push a nothing b
  err_has '"nothing"'
  errors_are 1
  holds 2 "$BOX"
  expect 66 push .
}

@test "bad lines among good ones are reported by number, and the good ones are delivered" {
  { envelopes 1 1; echo '{"imsg":"envelope/1"}'; envelopes 1 2; echo nonsense; envelopes 1 3; } >mixed
  expect 65 push mixed
  errors_are 2
  err_has 'imsg-push: error: "mixed": line 2: '
  err_has 'imsg-push: error: "mixed": line 4: '
  holds 3 "$BOX"
  expect 65 push <mixed
  err_has 'standard input: line 2: '
}

@test "a line cut off is 65, and a last line without its newline is delivered" {
  { envelopes 1 1; envelopes 1 2 | head -c 200; } >cut_off
  expect 65 push cut_off
  err_has '"cut_off": line 2: '
  envelopes 1 3 | tr -d '\n' >open-ended
  expect 0 push open-ended
  holds 2 "$BOX"
}

@test "an overlong line is 65 and does not stop what follows" {
  { envelopes 1 1; head -c 1048577 /dev/zero | tr '\0' x; echo; envelopes 1 2; } >mixed
  expect 65 push mixed
  err_has '"mixed": line 2: '
  holds 2 "$BOX"
}

@test "--undelivered has what failed as it came in: bad bytes, bad lines and all, in order" {
  rm -r "${RELAY:?}/$TOKEN"
  { printf 'bad \xff\xfe\t\r\n'; envelopes 2; printf '  {"imsg" : "envelope/1"}  \n'; envelopes 1 9; } >mixed
  expect 65 push --undelivered left mixed
  no_out
  cmp mixed left
  expect 65 push --undelivered - mixed
  cmp mixed out
}

@test "--undelivered has only what failed, from every file" {
  envelopes 2 1 >good
  { envelopes 1 3; echo bad one; } >a
  { echo bad two; envelopes 1 4; } >b
  expect 65 push --undelivered left a good - <b
  [ "$(cat left)" = $'bad one\nbad two' ]
  holds 4 "$BOX"
}

@test "--undelivered is made empty when all went well, in the place of an old one" {
  echo old >left
  expect 0 push --undelivered left one
  [ -e left ]
  [ ! -s left ]
  expect 0 push --undelivered - one
  no_out
}

@test "--undelivered appears whole, at the end" {
  echo old >left
  mkfifo in said
  IMSG_HOME=$T/alice imsg-push --undelivered left <in 2>said 3>&- &
  local pid=$!
  exec 7>in 8<said
  echo nonsense >&7
  read -r -t 30 line <&8
  [[ $line == *"line 1"* ]]
  [ "$(cat left)" = old ]
  exec 7>&-
  local got=0
  wait $pid || got=$?
  exec 8<&-
  [ "$got" -eq 65 ]
  [ "$(cat left)" = nonsense ]
}

@test "an --undelivered that cannot be made is 73, one that cannot be written 74, and the rest is delivered" {
  { echo bad; envelopes 2; } >mixed
  expect 73 push --undelivered no/such/left mixed
  holds 2 "$BOX"
  { head -c 200000 /dev/zero | tr '\0' x; echo; envelopes 2 3; } >mixed # more than is gathered before a write
  expect 74 push --undelivered /dev/full mixed
  holds 4 "$BOX"
  errors_are 2
  mv "$RELAY" gone # 75 would say that the lines were kept
  expect 74 push --undelivered /dev/full one
  local got=0
  push --undelivered - one >/dev/full 2>err || got=$?
  [ "$got" -eq 74 ]
  mv gone "$RELAY"
  expect 0 push --undelivered /dev/full one # nothing to write
}

@test "--undelivered to standard output that is closed is 74" {
  not_under_valgrind 'it puts /dev/null in the place of what is closed'
  local got=0
  push --undelivered - <<<bad >&- 2>err || got=$?
  [ "$got" -eq 74 ]
}

@test "closed and full standard output: 74 with -j, but everything is delivered; without -j nothing is written" {
  not_under_valgrind 'it puts /dev/null in the place of what is closed'
  envelopes 3 >three
  local got=0
  push -j three >&- 2>err || got=$?
  [ "$got" -eq 74 ]
  errors_are 1
  holds 3 "$BOX"
  got=0
  envelopes 3 4 | push -j >/dev/full 2>err || got=$?
  [ "$got" -eq 74 ]
  errors_are 1
  holds 6 "$BOX"
  push one >&-
  holds 7 "$BOX"
}

@test "a reader of the receipts that went away costs no message" {
  { envelopes 2; echo bad; envelopes 2 3; } >mixed
  pipe_without_reader 9
  local got=0
  push -j --undelivered left mixed >&9 2>err || got=$?
  exec 9>&-
  [ "$got" -eq 74 ]
  holds 4 "$BOX"
  [ "$(cat left)" = bad ]
}

@test "--relay goes before IMSG_RELAY, that before the config file, that before IMSG_SERVER there" {
  local box
  mkdir -p a/"$TOKEN"/{tmp,new} b/"$TOKEN"/{tmp,new} c/"$TOKEN"/{tmp,new} d/relay/"$TOKEN"/{tmp,new}
  printf '# where to\nIMSG_SERVER=%s\n' "$T/d" >alice/config
  expect 0 push one
  holds 1 d/relay/"$TOKEN"/new
  printf 'IMSG_RELAY=%s\n' "$T/c" >>alice/config
  expect 0 push one
  holds 1 c/"$TOKEN"/new
  IMSG_RELAY=b expect 0 push one
  holds 1 b/"$TOKEN"/new
  IMSG_RELAY=b expect 0 push --relay a one
  holds 1 a/"$TOKEN"/new
  for box in a b c d/relay; do holds 1 "$box/$TOKEN/new"; done
  holds 0 "$BOX"
}

@test "16,384 bytes of payload are taken, one more is 65" {
  jq -c --arg x "$(head -c 16384 /dev/zero | base64 -w0)" '.payload = $x' one >most
  jq -c --arg x "$(head -c 16385 /dev/zero | base64 -w0)" '.payload = $x' one >over
  expect 0 push most
  holds 1 "$BOX"
  expect 65 push --undelivered left over
  err_has '16384'
  holds 1 "$BOX"
  cmp over left
}

@test "an envelope cannot name a server on this machine or its network: 1, and kept; --relay delivers it" {
  jq -c '.relay = "https://127.0.0.1:1"' one >elsewhere
  { cat elsewhere; envelopes 1; } >mixed
  expect 1 push -j --undelivered left mixed
  err_has 'line 1: relay "https://127.0.0.1:1": its address is not a public one'
  cmp elsewhere left
  holds 1 "$BOX"
  [ "$(jq -r .status out)" = $'failed\ndelivered' ]
  expect 0 push --relay "$RELAY" left
  holds 2 "$BOX"
}

@test "an envelope cannot choose a folder, nor any relay but an https origin" {
  local relay
  mkdir -p bad/"$TOKEN"/{tmp,new}
  for relay in "$T/bad" bad file:///bad "file://$T/bad" http://relay.example https://relay.example/x \
    https://user@relay.example ''; do
    jq -c --arg relay "$relay" '.relay = $relay' one >line
    expect 65 push line
  done
  holds 0 bad/"$TOKEN"/new
  holds 0 "$BOX"
}

@test "delivering to a mailbox lets what is over 30 days old go, and an old copy hinders no new one" {
  envelopes 3 >three
  expect 0 push three
  local first second
  first=$BOX/$(name_of "$(sed -n 1p three)") second=$BOX/$(name_of "$(sed -n 2p three)")
  touch -d '31 days ago' "$first"
  touch -d '29 days ago' "$second"
  expect 0 push one
  [ ! -e "$first" ]
  [ -e "$second" ]
  holds 3 "$BOX"
  touch -d '31 days ago' "$second"
  expect 0 push -j three
  [ "$(jq -r .status out)" = $'delivered\ndelivered\nduplicate' ]
  [ -n "$(find "$second" -mmin -10)" ]
}

@test "what does not go together is 64 before anything is touched" {
  expect 64 push -j --undelivered - one
  cp one same
  expect 64 push --undelivered same same
  # shellcheck disable=SC2094 # this is what is refused
  expect 64 push --undelivered same <same
  ln -s same link
  expect 64 push --undelivered link same
  cp alice/identity.json before
  expect 64 push --undelivered alice/identity.json same
  cmp before alice/identity.json
  cmp one same
  expect 64 push --relay a --relay b one
  expect 64 push - - <one
  holds 1 "$BOX" # standard input could be read once
}

@test "four pushes of the same lines at once deliver each once" {
  local pids=() pid
  envelopes 30 >lines
  for i in 1 2 3 4; do
    IMSG_HOME=$T/alice imsg-push -j lines >"receipts$i" 3>&- &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
  holds 30 "$BOX"
  [ "$(cat receipts? | jq -r 'select(.status == "delivered") | .payload' | sort | uniq -c | awk '{ print $1 }' | sort -u)" = 1 ]
  [ "$(cat receipts? | jq -r 'select(.status == "delivered").payload' | wc -l)" -eq 30 ]
  holds 0 "$RELAY/$TOKEN/tmp"
}
