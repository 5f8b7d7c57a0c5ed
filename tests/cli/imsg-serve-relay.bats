#!/usr/bin/env bats
# imsg-serve as a relay: /3/device, what is kept, and how long one may wait.
load common
load serve
setup_file() { people alice bob carol; }
setup() { setup_base; }
teardown() { serve_teardown; }

@test "delivered, waiting, acknowledged" {
  ready
  post alice bob line
  is 200
  [ "$(header apns-id)" = "$(jq -r .id line)" ]
  [ ! -s body ]
  seal alice bob two >line.2
  seal alice bob three >line.3
  post alice bob line.2 -H "apns-id: $(jq -r .id line.2)" -H "apns-expiration: $(($(date +%s) + 86400))"
  is 200
  head -c -1 line.3 >line.3-bare # a newline may be there, or not
  post alice bob line.3-bare
  is 200
  cat line line.2 line.3 >all
  for _ in 1 2; do
    get bob
    is 200
    [ "$(header content-type)" = application/x-ndjson ]
    cmp all body
  done
  as bob imsg-open <body >opened
  printf 'hello\ntwo\nthree' | tr -d '\n' | cmp - <(tr -d '\n' <opened)
  hash=$(hash_of line.2)
  for _ in 1 2; do
    req DELETE "/3/device/$(token bob)/$hash" -H "$(auth bob)"
    is 200
    get bob
    cat line line.3 | cmp - body
  done
  [ "$(metric imsg_messages_stored_total) $(metric imsg_messages_acknowledged_total)" = '3 1' ]
  [ "$(metric imsg_messages_waiting) $(metric imsg_messages_waiting_bytes)" = "2 $(cat line line.3 | wc -c)" ]
}

@test "the same envelope is one message, one with another member is another" {
  ready --mailbox-count 2
  post alice bob line
  post alice bob line
  is 200
  [ "$(header apns-id)" = "$(jq -r .id line)" ]
  [ "$(metric imsg_messages_duplicate_total)" = 1 ]
  payload 100 >other
  post alice bob other
  is 200
  get bob
  cat line other | cmp - body
  # Also when the mailbox is full, and after a restart.
  post alice bob line
  is 200
  serve_kill
  serve_start --mailbox-count 2
  post alice bob line
  is 200
  get bob
  cat line other | cmp - body
  # Who saw a payload cannot take its place with another id.
  serve_kill
  serve_start
  with '.id = "00000000-0000-4000-8000-000000000000"' >fake
  post alice bob fake
  is 200
  get bob
  cat line other fake | cmp - body
  req DELETE "/3/device/$(token bob)/$(hash_of fake)" -H "$(auth bob)"
  is 200
  get bob
  cat line other | cmp - body
  # The same payload for another device is another message.
  put_entry carol
  with ".to_token = \"$(token carol)\"" >for-carol
  post alice carol for-carol
  is 200
  get carol
  cmp for-carol body
}

@test "each refusal of a push has its reason, and stores nothing" {
  ready
  mine=/3/device/$(token bob)
  alice=$(auth alice)
  say() { req POST "$1" -H "$alice" --data-binary "@${2:-line}" "${@:3}"; }
  for path in "${mine%?}" "${mine}0" "${mine}/" "$mine/$(hash_of line)" /3/device/ /3/device/xyz "$(tr a-f A-F <<<"${mine#/3/device/}" | sed 's|^|/3/device/|')"; do
    say "$path"
    is 400 BadDeviceToken
  done
  with ".to_token = \"$(token carol)\"" >bad
  say "$mine" bad
  is 400 BadDeviceToken
  for id in x '' 00000000-0000-4000-8000-000000000000 "$(jq -r '.id | ascii_upcase' line)"; do
    say "$mine" line -H "apns-id${id:+: }${id:-;}"
    is 400 BadMessageId
  done
  now=$(date +%s)
  for when in 0 -1 x "${now}x" $((now - 1)) $((now + 31 * 86400)) 99999999999999999999 ''; do
    say "$mine" line -H "apns-expiration${when:+: }${when:-;}"
    is 400 BadExpirationDate
  done
  say "$mine" /dev/null
  is 400 PayloadEmpty
  printf '\n' >bad
  say "$mine" bad
  is 400 BadEnvelope
  cat line line >bad
  say "$mine" bad
  is 400 BadEnvelope
  jq . line >bad
  say "$mine" bad
  is 400 BadEnvelope
  for change in 'del(.id)' 'del(.payload)' '.payload = "x"' '.payload = ""' '.imsg = "envelope/2"' '.from_token = "x"' '[.]' 'null'; do
    with "$change" >bad
    say "$mine" bad
    is 400
  done
  payload 16385 >bad
  say "$mine" bad
  is 413 PayloadTooLarge
  head -c 32769 /dev/zero >bad
  say "$mine" bad
  is 413 PayloadTooLarge
  say "$mine" bad -H 'Transfer-Encoding: chunked'
  is 413 PayloadTooLarge
  say "$mine" bad -H 'Expect: 100-continue'
  is 413 PayloadTooLarge
  say "/3/device/$(token carol)"
  is 410 Unregistered
  req PUT "$mine" --data-binary @line
  is 405 MethodNotAllowed
  get bob
  is 200
  [ ! -s body ]
  get bob '?wait=x'
  is 400 BadWait
  req DELETE "$mine" -H "$(auth bob)"
  is 400
  req DELETE "$mine/xyz" -H "$(auth bob)"
  is 400 BadMessageId
  [ "$(metric imsg_messages_stored_total)" = 0 ]
  payload 16384 >good
  say "$mine" good
  is 200
}

# acknowledge NAMES [USER]: USER, or else bob, acknowledges in bob's mailbox what the file names.
acknowledge() { req POST "/3/device/$(token bob)/acknowledge" -H "$(auth "${2:-bob}")" --data-binary "@$1"; }

@test "many messages are acknowledged by one request" {
  ready
  for n in 1 2 3 4; do
    seal alice bob "message $n" >"line.$n"
    post alice bob "line.$n"
    is 200
  done
  # The third stays; one was never here; one is named twice; the last line has no newline.
  { hash_of line.1; hash_of line.2; hash_of line; hash_of line.1; hash_of line.4; } | head -c -1 >names
  [ "$(wc -l <names)" -eq 4 ]
  acknowledge names
  is 200
  [ ! -s body ]
  [ "$(metric imsg_messages_acknowledged_total) $(metric imsg_messages_waiting)" = '3 1' ]
  [ "$(metric imsg_messages_waiting_bytes)" = "$(wc -c <line.3)" ]
  get bob
  cmp line.3 body
  # It is on disk, and the same again changes nothing.
  serve_kill
  serve_start
  acknowledge names
  is 200
  get bob
  cmp line.3 body
  [ "$(metric imsg_messages_acknowledged_total)" = 0 ]
}

@test "each refusal of an acknowledgement has its reason, and deletes nothing" {
  ready
  post alice bob line
  hash_of line >names
  put_entry alice
  acknowledge names alice
  is 403 InvalidProviderToken
  req POST "/3/device/$(token bob)/acknowledge" --data-binary @names
  is 403 MissingProviderToken
  for path in "$(token bob)/acknowledge/" "$(token bob)x/acknowledge" x/acknowledge acknowledge "$(token bob)/x/acknowledge"; do
    req POST "/3/device/$path" -H "$(auth bob)" --data-binary @names
    is 400 BadDeviceToken
  done
  req POST "/3/device/$(token carol)/acknowledge" -H "$(auth carol)" --data-binary @names
  is 410 Unregistered
  acknowledge /dev/null
  is 400 PayloadEmpty
  name=$(cat names)
  for bad in '\n' "\n$name" "$name\n\n" "${name%?}" "${name}0" "$name\r\n" "$name $name" "$name\n$name\nx" "${name^^}" "\0"; do
    printf "$bad" >bad
    [ "$bad" != "${name^^}" ] || [[ $name = *[a-f]* ]]
    acknowledge bad
    is 400 BadMessageId
  done
  get bob
  cmp line body
  # 1,024 names are the most.
  for n in $(seq 1023); do printf '%064x\n' "$n"; done >many
  { cat many names; echo "$name"; } >bad
  acknowledge bad
  is 413 PayloadTooLarge
  [ "$(metric imsg_messages_acknowledged_total) $(metric imsg_messages_waiting)" = '0 1' ]
  # They are one change; the clock makes a few more meanwhile.
  changes=$(metric imsg_commit_jobs_total)
  cat many names >good
  acknowledge good
  is 200
  [ "$(metric imsg_commit_jobs_total)" -lt $((changes + 100)) ]
  [ "$(metric imsg_messages_acknowledged_total) $(metric imsg_messages_waiting)" = '1 0' ]
}

@test "a device's own limit; of several entries the largest" {
  ready
  entry bob ".devices = [$(record_for bob mailto:bob@example.com mailto:robert@example.com)] | .devices[0].limit = 500" >one
  serve_stop
  rm -r data/directory
  serve_start
  req PUT "/$(entry_path bob)" -H 'If-None-Match: *' --data-binary @one
  is 201
  payload 500 >good
  payload 501 >bad
  post alice bob good
  is 200
  post alice bob bad
  is 413 PayloadTooLarge
  entry bob ".handle = \"mailto:robert@example.com\" | .devices = [$(record_for bob mailto:robert@example.com)]
    | .devices[0].limit = 501" >two
  req PUT "/$(imsg-lookup --path robert@example.com)" -H 'If-None-Match: *' --data-binary @two
  is 201
  post alice bob bad
  is 200
}

@test "a long poll waits, is woken by a message, and by the end of its time" {
  ready
  poll bob polled
  until_metric imsg_long_polls 1
  post alice bob line
  poll_ends polled
  cmp line polled
  req DELETE "/3/device/$(token bob)/$(hash_of line)" -H "$(auth bob)"
  until_metric imsg_long_polls 0
  STATUS=$(curl -sS --cacert data/cert.pem -H "$(auth bob)" -o body -w '%{http_code} %{time_total}' "$URL/3/device/$(token bob)?wait=1")
  [ "${STATUS% *}" = 200 ]
  [ ! -s body ]
  [[ ${STATUS#* } != 0.* ]]
  # Somebody else's message wakes nobody.
  put_entry carol
  poll bob polled
  until_metric imsg_long_polls 1
  seal alice carol hi >for-carol
  post alice carol for-carol
  is 200
  [ "$(metric imsg_long_polls)" = 1 ]
}

@test "SIGTERM answers who waits" {
  ready
  poll bob polled 300
  until_metric imsg_long_polls 1
  serve_stop
  wait "$POLL"
  [ "$(cat polled.code)" = 200 ]
  [ ! -s polled ]
}

@test "who hangs up waits no longer; of one device's polls the latest four" {
  ready
  poll bob polled
  until_metric imsg_long_polls 1
  kill "$POLL"
  until_metric imsg_long_polls 0
  pids=
  for n in 1 2 3 4; do
    poll bob "polled.$n"
    pids="$pids $POLL"
    until_metric imsg_long_polls $n
  done
  poll bob polled.5
  pids="$pids $POLL"
  # shellcheck disable=SC2086 # the first of them
  set -- $pids
  poll_ends polled.1 "$1"
  [ "$(cat polled.1.code)" = 200 ]
  [ ! -s polled.1 ]
  until_metric imsg_long_polls 4
  post alice bob line
  shift
  for n in 2 3 4 5; do
    poll_ends "polled.$n" "$1"
    shift
    cmp line "polled.$n"
  done
}

# expired: alice's message to bob was there, and its time is over.
expired() {
  export CLOCK_SPEED=1
  ready
  post alice bob line -H "apns-expiration: $(($(date +%s) + 120))"
  is 200
  ahead 121
}

@test "a message whose time is over is not shown, and a poll waits as if it were not there" {
  expired
  get bob
  is 200
  [ ! -s body ]
  payload 100 >other
  poll bob polled
  until_metric imsg_long_polls 1
  post alice bob other
  poll_ends polled
  cmp other polled
  # The clock comes by every ten seconds.
  until_metric imsg_messages_expired_total 1
  [ "$(metric imsg_messages_waiting)" = 1 ]
}

@test "delivered again, a message is there until the later date, also where the earlier one is past" {
  expired
  [ ! -s body ]
  # It may be deleted by now, or not.
  post alice bob line
  is 200
  get bob
  cmp line body
}

@test "a mailbox of many blocks comes in one piece, in order" {
  ready --rate 0
  for n in $(seq 1 60); do
    # 60 different payloads, oldest first.
    with ".payload = \"$({ printf '%04d' "$n"; head -c 9000 /dev/zero; } | base64 -w 0)\"" >"line.$n"
    echo "/3/device/$(token bob) $n line.$n"
  done | transfers POST "$(auth alice)" >config
  curl -sSf -K config >codes
  get bob
  is 200
  for n in $(seq 1 60); do cat "line.$n"; done | cmp - body
  # And for a client that hangs up in the middle the rest is still there.
  curl -sS --cacert data/cert.pem -H "$(auth bob)" "$URL/3/device/$(token bob)" | head -c 100000 >part || true
  get bob
  [ "$(wc -l <body)" -eq 60 ]
}

@test "kill -9: what was answered 200 is there, once" {
  ready --rate 0
  with 'range(1000) as $n | .payload = ("message \($n)" | @base64)' >lines
  split -a 3 -d -l 1 lines line.
  # Once more, from nothing, where the kill came after all had been answered.
  while
    printf '%s\n' line.??? | sed "s|.*|/3/device/$(token bob) & &|" | transfers POST "$(auth alice)" >config
    curl -s -Z --parallel-max 16 -K config >codes 2>curl.err &
    POLL=$!
    until [ "$(metric imsg_messages_stored_total)" -ge 100 ]; do kill -0 $POLL 2>/dev/null || break; done
    serve_kill
    wait "$POLL" || true
    ! grep -q '^000' codes
  do
    rm -r data/mail.db*
    serve_start --rate 0
  done
  sed -n 's/^200 //p' codes | xargs cat | sort >answered
  [ "$(wc -l <answered)" -ge 50 ]
  serve_start --rate 0
  get bob
  is 200
  sort body >there
  uniq -d there | diff /dev/null -
  comm -23 answered there | diff /dev/null -
}
