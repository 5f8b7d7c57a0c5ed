#!/usr/bin/env bats
# What imsg-pull does with a relay that is a server, good (imsg-serve) and not (tests/cli/wire.c).
load common
load nginx
load relay
load serve
setup_file() { relay_setup_file; }
setup() {
  relay_setup
  BUILD=${BUILD:-$(dirname "$BIN")}
}
teardown() {
  end_servers
  serve_teardown
}

pull() { as bob imsg-pull --relay "http://127.0.0.1:$PORT" "$@"; }
# waiting N [FIRST]: an answer with that many envelopes.
waiting() { envelopes "$@" | answer list '200 OK'; }
# served [OPTION...]: a server of his own for alice and bob, without TLS, and N envelopes in bob's mailbox there.
served() {
  serve_start --plain-http --register open "${@:2}"
  PORT=${URL##*:}
  for user in alice bob; do put_entry "$user"; done
  envelopes "$1" >sent
  as alice imsg-push --relay "$URL" sent
}

@test "whom the relay asks to wait sends nothing until then, no other message either" {
  : | answer busy '429 Too Many Requests' 'retry-after: 1'
  : | answer ok '200 OK'
  envelopes 17 >sent
  # 16 are under way at a time: the 17th, or the first again, is asked to wait as well.
  # shellcheck disable=SC2046 # words
  start_wire wire busy $(printf 'ok %.0s' {1..15}) busy ok
  start=$(date +%s%3N)
  expect 0 as alice imsg-push --relay "http://127.0.0.1:$PORT" sent
  [ $(($(date +%s%3N) - start)) -ge 2000 ]
  [ "$(requests wire)" -eq 19 ]
}

@test "a failure long before is not counted against a message that comes later" {
  : | answer long '503 Service Unavailable' 'retry-after: 9'
  : | answer busy '503 Service Unavailable'
  : | answer ok '200 OK'
  envelopes 2 >sent
  start_wire wire long busy ok
  mkfifo lines
  as alice with_clock imsg-push --retry-for 1 --relay "http://127.0.0.1:$PORT" <lines 2>err &
  exec 7>lines
  head -n1 sent >&7
  until grep -q 'line 1: ' err; do :; done
  ahead 2 # longer than --retry-for
  tail -n1 sent >&7
  exec 7>&-
  status=0
  wait $! || status=$?
  [ "$status" -eq 75 ]
  errors_are 1
  [ "$(requests wire)" -eq 3 ]
}

@test "a message that is too long for the relay is 65" {
  echo '{"reason":"PayloadTooLarge"}' | answer large '413 Content Too Large'
  start_wire wire large
  expect 65 as alice imsg-push --relay "http://127.0.0.1:$PORT" one
  errors_are 1
  err_has "relay \"http://127.0.0.1:$PORT\": 413 PayloadTooLarge"
  [ "$(requests wire)" -eq 1 ]
}

@test "an acknowledgement that is refused hides no message" {
  waiting 70
  echo '{"reason":"Nobody"}' | answer no '403 Forbidden'
  start_wire wire list no
  expect 69 pull
  errors_are 1
  err_has "relay \"http://127.0.0.1:$PORT\": 403 Nobody"
  envelopes 70 | cmp - out
  holds 70 "$CUR"
  holds 0 "$NEW"
  # The next run is given them again, and has the relay forget them.
  : | answer ok '200 OK'
  start_wire second list ok
  expect 0 pull
  no_out
  [ "$(grep -c '^POST .*/acknowledge ' second.log)" -eq 7 ] # 1, 2, 4 … 32 and the last 7
}

@test "an acknowledgement that is answered with nonsense is no fault of a message" {
  waiting 2
  : | answer moved '302 Found' 'location: http://127.0.0.1/'
  start_wire wire list moved
  expect 76 pull
  errors_are 1
  err_has "relay \"http://127.0.0.1:$PORT\": 302, which is not followed"
  envelopes 2 | cmp - out
}

@test "an acknowledgement is tried again" {
  waiting 3
  : | answer busy '503 Service Unavailable' 'retry-after: 0'
  : | answer ok '200 OK'
  start_wire wire list busy drop cut ok
  expect 0 pull
  envelopes 3 | cmp - out
}

@test "what cannot be taken does not keep -w busy" {
  not_under_valgrind 'it would have no time to start'
  echo '{"imsg":"envelope/1"}' | answer list '200 OK'
  start_wire wire list
  IMSG_HOME=$T/bob imsg-pull -w --relay "http://127.0.0.1:$PORT" 2>err 3>&- &
  PULL=$!
  until grep -q ': error: ' err; do kill -0 $PULL; done
  # So long would be enough for hundreds of requests.
  sleep 3
  kill $PULL
  wait $PULL || true
  errors_are 1
  [ "$(requests wire)" -le 3 ]
}

@test "of a list of countless lines no more are looked at than it could have envelopes" {
  not_under_valgrind 'a million lines'
  seq 1100000 | answer list '200 OK'
  start_wire wire list
  expect 76 timeout 300 env IMSG_HOME="$T/bob" imsg-pull --relay "http://127.0.0.1:$PORT"
  errors_are 32768
  no_out
}

@test "each message is safe on the disk before the server is told to forget it" {
  can_strace
  can_read_traces
  served 40
  IMSG_HOME=$T/bob strace -f -y -s 4000 -o trace -e trace=link,linkat,fsync,syncfs,openat,sendto imsg-pull --relay "$URL" >out
  sort out | cmp - <(sort sent) # many were sent at once
  # Its bytes are synced, then it gets its name in new, whose folder is synced, then its mark, whose folder is synced.
  awk -v new="$(cd bob/inbox/new && pwd -P)" '
    function of(text, before) { match(text, before "[0-9a-f/]+"); text = substr(text, RSTART + length(before), RLENGTH - length(before))
      gsub("/", "", text); return text }
    { call = $0; sub(/^[0-9]+ +/, "", call) }
    /resumed>/ { next } # the end of a call that another thread ran beside
    call ~ /^openat\(.*O_TMPFILE/ { written++ }
    call ~ /^fsync\(.*inbox\/tmp/ { bytes++ }
    call ~ /^syncfs\(.*inbox\/tmp/ { bytes = written }
    call ~ /^linkat\(/ { if (++links > bytes) { print "linked before it was synced"; bad = 1 } linked[of(call, "inbox/new/")] }
    call ~ /^fsync\(/ && index(call, "<" new ">") { for (name in linked) { safe[name]; delete linked[name] } }
    call ~ /^link\(.* = 0$/ { sub(/^link\([^,]*, /, "", call); name = of(call, "seen/pull/")
      if (!(name in safe)) { print "marked before it was safe: " name; bad = 1 } marked[name] }
    call ~ /^fsync\(.*seen\/pull/ { folder = of(call, "seen/pull/"); synced[folder] }
    call ~ /^syncfs\(.*seen\/pull/ { for (name in marked) synced[substr(name, 1, 2)] }
    call ~ /^sendto\(.*POST/ { for (name in marked) { if (!(substr(name, 1, 2) in synced)) { print "not remembered: " name; bad = 1 }
      done++; delete marked[name] } delete synced }
    END { if (done != 40 || links != 40) { print done, links; bad = 1 } exit bad }' trace
}

@test "a pull that is killed at any moment loses nothing, and hands out nothing twice" {
  can_strace
  served 60
  for at in linkat:1 linkat:7 fsync:9 fsync:20 fsync:31 syncfs:1 syncfs:2 link:4 link:30 sendto:1 sendto:2 sendto:3 rename:1 rename:3 openat:60; do
    IMSG_HOME=$T/bob strace -f -qq -o /dev/null -e "trace=${at%:*}" -e "inject=${at%:*}:signal=KILL:when=${at#*:}" \
      imsg-pull --relay "$URL" >>out || true
  done
  as bob imsg-pull --relay "$URL" >>out
  as bob imsg-pull --new >>out
  # What was printed and not yet moved to cur when it was killed comes once more.
  sort -u out | cmp - <(sort sent)
  cat "$CUR"/* | sort | cmp - <(sort sent)
  holds 0 "$NEW"
  [ "$(metric imsg_messages_waiting)" -eq 0 ]
}

@test "many messages come and go over few connections" {
  served 400
  before=$(metric imsg_connections_total)
  as bob imsg-pull --relay "$URL" >out
  sort out | cmp - <(sort sent)
  [ $(($(metric imsg_connections_total) - before)) -le 20 ]
  [ "$(metric imsg_messages_acknowledged_total)" -eq 400 ]
}
