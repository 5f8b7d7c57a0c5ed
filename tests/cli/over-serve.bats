#!/usr/bin/env bats
# All tools over imsg-serve: people on different machines, who share nothing but its URL and its pin.
load common
load serve
setup() {
  setup_common
  serve_start --register open --self-signed
  export IMSG_SERVER=$URL IMSG_PIN=$PIN
}
teardown() { serve_teardown; }

# person NAME HANDLE [DEVICE]: a machine of its own, with nothing of anybody else's.
at() { # NAME COMMAND...
  local name=$1
  shift
  mkdir -p "$T/at/$name"
  HOME=$T/at/$name TMPDIR=$T/at/$name XDG_CACHE_HOME='' XDG_CONFIG_HOME='' XDG_DATA_HOME='' "$@"
}
person() {
  local known=()
  [ -z "${3:-}" ] || known=(--account "$(at "$3" imsg-keygen -F -j | jq -r .account)")
  at "$1" imsg-keygen -n "$1" "${known[@]}" "$2" | at "${3:-$1}" imsg-register -q
}
# Two people with two devices each.
four() {
  person alice alice@example.com
  person alice-phone alice@example.com alice
  person bob bob@example.com
  person bob-phone bob@example.com bob
}
texts() { jq -r .content; }
pull() { at "$1" imsg-pull | at "$1" imsg-open -j; }

# hello_and_back: between all four, in both directions.
hello_and_back() {
  four
  echo hello | at alice imsg-seal -r bob@example.com | at alice imsg-push
  for device in bob bob-phone alice-phone; do
    [ "$(pull "$device" | texts)" = hello ]
    [ -z "$(pull "$device")" ] # it is received once
  done
  [ -z "$(pull alice)" ]
  echo 'hello yourself' | at bob-phone imsg-seal -r alice@example.com | at bob-phone imsg-push
  for device in alice alice-phone bob; do
    [ "$(pull "$device" | texts)" = 'hello yourself' ]
  done
}

@test "a message reaches every device, the sender's others too, in both directions" { hello_and_back; }

@test "the same by IMSG_CACERT in the place of IMSG_PIN" {
  unset IMSG_PIN
  export IMSG_CACERT=$T/data/cert.pem
  hello_and_back
}

@test "a group, a reply and a receipt" {
  four
  person carol carol@example.com
  echo hi | at alice imsg-seal -g family -r bob@example.com -r carol@example.com | at alice imsg-push
  pull bob >got
  [ "$(jq -r .header.group.name got)" = family ]
  pull carol >got.carol
  [ "$(jq -r .header.group.id got.carol)" = "$(jq -r .header.group.id got)" ]
  at bob imsg-seal --reply got --receipt read </dev/null | at bob imsg-push
  [ "$(pull alice | jq -r .header.receipt.what)" = read ]
}

@test "an attachment of some MB goes through the store, and is fetched by both devices" {
  four
  head -c 5000000 /dev/urandom >photo.jpg
  at alice imsg-attach put photo.jpg | at alice imsg-seal -r bob@example.com -a - | at alice imsg-push
  for device in bob bob-phone; do
    mkdir "$device.d"
    pull "$device" | at "$device" imsg-attach get -o "$device.d" >line
    cmp photo.jpg "$device.d/photo.jpg"
  done
  seq 100000 >long
  at bob imsg-seal -S -r alice@example.com long | at bob imsg-push
  mkdir in
  pull alice | at alice imsg-attach get -o in >line
  cmp long in/long
}

@test "the certificate is believed by its CA file as well, and by nothing else" {
  person alice alice@example.com
  unset IMSG_PIN
  expect 1 at alice imsg-lookup alice@example.com
  errors_are 1
  IMSG_CACERT=$T/data/cert.pem expect 0 at alice imsg-lookup alice@example.com
  IMSG_PIN=sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= expect 1 at alice imsg-lookup alice@example.com
}

@test "a mailbox that is longer than one answer of the server is received whole, and once" {
  person alice alice@example.com
  person bob bob@example.com
  seq 1000 | jq -c '{to: ["bob@example.com"], content: (tostring + " " + ("x" * 11000))}' |
    at alice imsg-seal --each --no-self | at alice imsg-push
  at bob imsg-pull >pulled
  [ "$(wc -l <pulled)" -eq 1000 ]
  at bob imsg-open -qj pulled | jq -r .content | cut -d' ' -f1 | sort -n >numbers # many were under way at once
  seq 1000 | cmp - numbers
  expect 0 at bob imsg-pull
  no_out
}

@test "-w waits for what comes, through a restart of the server" {
  person alice alice@example.com
  person bob bob@example.com
  at bob imsg-pull -w 3>&- >stream &
  PULL=$!
  echo one | at alice imsg-seal --no-self -r bob@example.com | at alice imsg-push
  while [ "$(wc -l <stream)" -lt 1 ]; do :; done
  serve_kill
  port=${URL##*:}
  imsg-serve -l "127.0.0.1:$port" -D data --self-signed --register open >serve.again 2>serve.err 3>&- &
  SERVER_PID=$!
  until grep -q listening serve.again; do kill -0 "$SERVER_PID"; done
  echo two | at alice imsg-seal --no-self -r bob@example.com | at alice imsg-push
  while [ "$(wc -l <stream)" -lt 2 ]; do kill -0 $PULL; done
  kill $PULL
  wait $PULL || true
  [ "$(at bob imsg-open -j stream | texts | xargs)" = 'one two' ]
}

@test "an envelope for a device that is not there any more comes back by --undelivered" {
  four
  at alice imsg-lookup bob@example.com >bob.jsonl # from before
  at bob imsg-register -q --remove "$(jq -r 'select(.name == "bob-phone").token' bob.jsonl)"
  echo hello | at alice imsg-seal --no-self -R bob.jsonl >sealed
  expect 69 at alice imsg-push --undelivered back sealed
  [ "$(wc -l <back)" -eq 1 ]
  [ "$(jq -r .to_token back)" = "$(jq -r 'select(.name == "bob-phone").token' bob.jsonl)" ]
  [ "$(pull bob | texts)" = hello ]
}

@test "pushed twice is received once" {
  person alice alice@example.com
  person bob bob@example.com
  echo hello | at alice imsg-seal --no-self -r bob@example.com >sealed
  at alice imsg-push sealed
  at alice imsg-push sealed
  [ "$(pull bob | texts)" = hello ]
}

@test "new prekeys and a new name are put into the directory, and what was sealed before still opens" {
  person alice alice@example.com
  person bob bob@example.com
  echo before | at alice imsg-seal --no-self -r bob@example.com | at alice imsg-push
  at bob imsg-keygen --rotate | at bob imsg-register -q
  echo after | at alice imsg-seal --no-self -r bob@example.com | at alice imsg-push
  [ "$(pull bob | texts | xargs)" = 'before after' ]
}

@test "somebody else's handle cannot be had, nor a mailbox read" {
  four
  at mallory imsg-keygen -n mallory bob@example.com >mallory.jsonl
  expect 1 at mallory imsg-register mallory.jsonl
  expect 69 at mallory imsg-pull
  no_out
  [ "$(at alice imsg-lookup bob@example.com | wc -l)" -eq 2 ]
}

@test "a server that goes away is 75, and says so once" {
  person alice alice@example.com
  person bob bob@example.com
  echo hello | at alice imsg-seal --no-self -r bob@example.com >sealed
  serve_stop
  expect 75 at alice imsg-push --retry-for 0 sealed
  errors_are 1
  expect 75 at bob imsg-pull --retry-for 0
  errors_are 1
  expect 75 at alice imsg-lookup --retry-for 0 bob@example.com
  errors_are 1
}

@test "the owner heals a server that lost its entries, or went back to older ones, and contacts follow" {
  four
  at carol imsg-lookup -q alice@example.com >was
  serve_stop
  cp -r data/directory older
  serve_start --register open --self-signed
  export IMSG_SERVER=$URL
  at alice imsg-register -q --remove alice-phone
  at carol imsg-lookup -q alice@example.com >was
  serve_stop
  rm -r data/directory
  cp -r older data/directory
  serve_start --register open --self-signed
  export IMSG_SERVER=$URL
  expect 1 at carol imsg-lookup alice@example.com
  err_has "older entry"
  at alice imsg-keygen -y | expect 0 at alice imsg-register
  err_has "had gone back behind seq 3"
  err_has 'device "alice-phone"'
  err_has "(seq 4)"
  expect 0 at carol imsg-lookup alice@example.com
  [ "$(jq -r .name out)" = alice ]
  serve_stop
  rm -r data
  serve_start --register open --self-signed
  export IMSG_SERVER=$URL IMSG_PIN=$PIN
  expect 1 at carol imsg-lookup alice@example.com
  err_has "no entry for it any more"
  at alice imsg-keygen -y | expect 0 at alice imsg-register
  err_has "(seq 5)"
  expect 0 at carol imsg-lookup alice@example.com
  [ "$(jq -r .name out)" = alice ]
}
