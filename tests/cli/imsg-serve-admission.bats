#!/usr/bin/env bats
# What somebody can take from imsg-serve that others then lack: memory, room, time, a place in a mailbox; and how far.
load common
load serve
load nginx
setup_file() {
  people alice bob carol dave eve
}
setup() { setup_base; }
teardown() {
  end_servers
  serve_teardown
}

# from ADDRESS: for curl; only a trusted proxy is believed.
from() { printf 'X-Forwarded-For: %s' "$1"; }
# connect: a connection to the server that stays open until the test ends; FD is its descriptor.
connect() { exec {FD}<>"/dev/tcp/127.0.0.1/${URL##*:}"; }
# head_of METHOD PATH LENGTH HEADER...: a request without its body.
head_of() {
  printf '%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n' "$1" "$2" "$3"
  printf '%s\r\n' "${@:4}" ''
}
# until_read: the server has read every byte that was sent to it.
until_read() {
  local port end=$((SECONDS + 120))
  port=$(printf ':%04X' "${URL##*:}")
  while awk -v port="$port" '($2 ~ port "$" || $3 ~ port "$") && $4 == "01" && $5 !~ /^0*:0*$/ { waiting = 1 } END { exit !waiting }' /proc/net/tcp; do
    [ $SECONDS -lt $end ] || { echo 'the server does not read'; return 1; }
    sleep 0.05
  done
}
megabytes() { echo $(($(metric process_resident_memory_bytes) >> 20)); }
# envelopes FROM N FIRST: lines FROM to bob that differ, in files envelope.FROM.1 and so on; and for transfers.
envelopes() {
  local i
  seal "$1" bob hello >line
  for i in $(seq "$2"); do
    payload $((i + 10)) "${1::1}" >"envelope.$1.$i"
    echo "/3/device/$(token bob) $1 envelope.$1.$i"
  done
}
# send USER N: so many messages to bob, on one connection; their statuses are in $T/statuses, as "COUNT STATUS".
send() {
  envelopes "$1" "$2" | transfers POST "$(auth "$1")" >config
  curl -sS -K config | sed 's/ .*//' | uniq -c | awk '{ print $1, $2 }' >statuses
}
sent() { printf '%s\n' "$@" | diff - statuses; }

@test "announcing an upload costs nobody room" {
  serve_start --plain-http --store-bytes 3000000 --account-bytes 1000000
  for user in alice bob carol dave; do put_entry $user; done
  is 201
  head -c 1000000 /dev/urandom >blob
  # Three times all that an account may have is all that there is.
  for user in bob carol dave; do
    connect
    head_of PUT "/store/$(echo $user | sha256sum | cut -c 1-64)" 1000000 'Expect: 100-continue' "$(auth $user)" >&"$FD"
    read -r line <&"$FD"
    [ "${line%$'\r'}" = 'HTTP/1.1 100 Continue' ]
  done
  find data/partial -type f | diff /dev/null -
  req PUT "/store/$(sha256sum blob | cut -c 1-64)" -H "$(auth alice)" --data-binary @blob -H Expect:
  is 201
  # More than there is room for is refused before it is sent.
  connect
  head_of PUT "/store/$(echo alice | sha256sum | cut -c 1-64)" 1 'Expect: 100-continue' "$(auth alice)" >&"$FD"
  read -r line <&"$FD"
  [[ $line = 'HTTP/1.1 507 '* ]]
}

@test "a quota is an account's, however many devices it has" {
  new_device phone alice alice@example.com
  serve_start --account-bytes 100000
  put_entry alice
  put_entry bob
  is 201
  for file in 1 2 3; do head -c 60000 /dev/urandom >blob.$file; done
  put() { req PUT "/store/$(sha256sum "$2" | cut -c 1-64)" -H "$(auth "$1")" --data-binary "@$2"; }
  put alice blob.1
  is 201
  put phone blob.2
  is 507 QuotaExceeded
  put bob blob.3
  is 201
  # Also after a restart.
  serve_stop
  serve_start --account-bytes 100000
  put phone blob.2
  is 507 QuotaExceeded
}

# hold COUNT ADDRESS...: as many entries, each short of its last byte, from these addresses in turn.
hold() {
  local i count=$1 addresses=("${@:2}")
  for i in $(seq "$count"); do
    connect
    head_of PUT "/$(entry_path eve)" 1048576 'If-None-Match: *' "$(from "${addresses[i % ${#addresses[@]}]}")" >&"$FD"
    cat almost >&"$FD"
  done
  until_read
}

@test "300 bodies without their last byte hold 64 MiB at most, those of one address a quarter of it" {
  not_under_valgrind 'it would take minutes'
  serve_start --plain-http --trusted-proxy 127.0.0.1
  head -c 1048575 /dev/zero >almost
  before=$(megabytes)
  hold 100 192.0.2.1
  [ "$(metric imsg_body_bytes)" -le $((16 << 20)) ]
  [ "$(metric imsg_body_bytes)" -gt $((8 << 20)) ]
  # Others are served.
  put_entry bob -H "$(from 192.0.2.2)"
  is 201
  # One network of IPv6 is one address.
  hold 100 2001:db8::1 2001:db8::2 2001:db8::3:4
  [ "$(metric imsg_body_bytes)" -le $((32 << 20)) ]
  hold 100 192.0.2.{10..29}
  [ "$(metric imsg_body_bytes)" -le $((64 << 20)) ]
  [ "$(metric imsg_body_bytes)" -gt $((32 << 20)) ]
  # AddressSanitizer keeps what was freed for a while.
  [ -n "${SAN:-}" ] || [ "$(($(megabytes) - before))" -lt 200 ]
}

@test "a body has a minute, however much of it has come" {
  export CLOCK_SPEED=0
  serve_start --plain-http
  connect
  head_of PUT "/$(entry_path eve)" 1048576 'If-None-Match: *' >&"$FD"
  head -c 600000 /dev/zero >&"$FD"
  until_read
  ahead 61
  until_metric imsg_connections_overdue_total 1
  until_metric imsg_body_bytes 0
}

@test "no key can be made that shares another device's rate" {
  not_under_valgrind 'it needs many keys'
  export CLOCK_SPEED=0
  # Of so many tokens some have 13 equal bits, whichever these are, at the start of what a table might be ordered by.
  for i in $(seq 250); do as key.$i imsg-keygen -q key.$i@example.com >key.$i.jsonl; done
  cat key.*.jsonl | jq -r '(.token | [.[0:8] | explode[] | if . > 96 then . - 87 else . - 48 end]) as $d |
    "\((($d[2] * 16 + $d[3]) % 32) * 256 + $d[0] * 16 + $d[1]) \(.handles[0])"' | sort >slots
  cut -d ' ' -f 1 slots | uniq -d | head -n 1 >shared
  [ -s shared ] || skip 'none of these do'
  mapfile -t pair < <(sed -n "s/^$(cat shared) .*key\.\([0-9]*\).*/key.\1/p" slots | head -n 2)
  for user in "${pair[@]}"; do as "$user" imsg-register -q "$user.jsonl"; done
  serve_start --rate 1
  for user in "${pair[@]}"; do put_entry "$user"; done
  is 201
  greedy=${pair[0]} victim=${pair[1]}
  header=$(auth "$greedy") codes=
  for _ in $(seq 11); do
    req GET "/3/device/$(token "$greedy")" -H "$header"
    codes="$codes $STATUS"
  done
  is 429 TooManyRequests
  header=$(auth "$victim")
  for _ in $(seq 8); do
    req GET "/3/device/$(token "$victim")" -H "$header"
    is 200
  done
}

@test "strangers share a quarter of a mailbox; who is known here has the rest" {
  serve_start --mailbox-count 40 --stranger-rate 0
  put_entry bob
  put_entry eve
  is 201
  send alice 7
  sent '7 200'
  send carol 7
  sent '3 200' '4 429'
  send dave 7
  sent '7 429'
  send eve 31
  sent '30 200' '1 429'
  # The same after a restart; and what is acknowledged makes room, a stranger's for strangers.
  serve_stop
  serve_start --mailbox-count 40 --stranger-rate 0
  req DELETE "/3/device/$(token bob)/$(hash_of envelope.eve.1)" -H "$(auth bob)"
  is 200
  send dave 2
  sent '2 429'
  req DELETE "/3/device/$(token bob)/$(hash_of envelope.alice.1)" -H "$(auth bob)"
  is 200
  send dave 2
  sent '1 200' '1 429'
  # Bytes too.
  serve_stop
  serve_start --mailbox-bytes $(($(get_size) + 40000)) --stranger-rate 0
  seal carol bob hello >line
  payload 16000 >large
  post carol bob large
  is 429 TooManyRequests
  seal eve bob hello >line
  payload 16000 >large
  post eve bob large
  is 200
}
get_size() { curl -sS --cacert "$(cacert)" -H "$(auth bob)" "$URL/3/device/$(token bob)" | wc -c; }

@test "nobody keeps the mailbox of a device that left by listing it" {
  serve_start
  put_entry bob
  is 201
  seal alice bob hello >line
  post alice bob line
  is 200
  tag=$(sha256sum "$DIRECTORY/$(entry_path bob)" | cut -c 1-64)
  next_entry bob '.devices = []' >left
  # eve lists bob's device: his record as it is but for the handle, without proofs, with her account key in it, and one
  # that he himself signed for her handle, which names his account key.
  record_for bob mailto:eve@example.com >signed
  payload_of bob | jq -c '.devices[0] | .handles = ["mailto:eve@example.com"]' >record
  jq -c --arg eve "$(account_of eve)" '., del(.proofs), .account = $eve' record >records
  cat signed >>records
  for when in before after; do
    while read -r record; do
      entry eve ".devices += [$record]" >false
      req PUT "/$(entry_path eve)" -H 'If-None-Match: *' --data-binary @false
      is 403 BadProof
    done <records
    [ $when = before ] || break
    req PUT "/$(entry_path bob)" -H "If-Match: \"$tag\"" --data-binary @left
    is 204
  done
  [ "$(wc -l <records)" -eq 4 ]
  post alice bob line
  is 410 Unregistered
}

@test "all strangers of an address count as one; only a trusted proxy says which address it is" {
  export CLOCK_SPEED=0
  serve_start --stranger-rate 1
  put_entry bob
  put_entry eve
  is 201
  send alice 6
  sent '6 200'
  send carol 6
  sent '4 200' '2 429'
  send eve 20
  sent '20 200'
  seal dave bob hello >line
  post dave bob line -H "$(from 192.0.2.1)" # anybody could say so
  is 429 TooManyRequests
  ahead 1
  post dave bob line
  is 200
  serve_stop
  serve_start --stranger-rate 1 --trusted-proxy 127.0.0.0/8 --trusted-proxy 10.1.2.3
  payload 50 >other
  for _ in $(seq 10); do post dave bob other -H "$(from 192.0.2.1)"; done
  is 200
  post dave bob other -H "$(from 192.0.2.1)"
  is 429 TooManyRequests
  # What a client wrote in front of what the proxies wrote counts for nothing, in one header or in two.
  for list in '192.0.2.1' '198.51.100.1, 192.0.2.1' 'x,  192.0.2.1 ' '192.0.2.1, 10.1.2.3' '192.0.2.1,127.9.9.9,10.1.2.3'; do
    post dave bob other -H "$(from "$list")"
    is 429 TooManyRequests
  done
  post dave bob other -H "$(from 198.51.100.1)" -H "$(from 192.0.2.1)"
  is 429 TooManyRequests
  for list in 192.0.2.2 '192.0.2.1, 192.0.2.3' '::1' '2001:db8::1, 10.1.2.3'; do
    post dave bob other -H "$(from "$list")"
    is 200
  done
}

@test "no more signatures are checked for an address than --rate says" {
  export CLOCK_SPEED=0
  serve_start --rate 1 --trusted-proxy 127.0.0.1
  for user in bob alice; do put_entry $user -H "$(from 192.0.2.9)"; done
  is 201
  seal alice bob hello >line
  known=$(auth alice)
  post_as() { req POST "/3/device/$(token bob)" -H "$1" -H "$(from 192.0.2.1)" --data-binary @line; }
  post_as "$known"
  is 200
  codes=
  for i in $(seq 10); do
    post_as "authorization: bearer x.$i.y"
    codes="$codes $STATUS"
  done
  [ "$codes" = ' 403 403 403 403 403 403 403 403 403 429' ]
  post_as "$(auth alice '.x = 1')" # nor a good one
  is 429 TooManyRequests
  put_entry carol -H "$(from 192.0.2.1)"
  is 429 TooManyRequests
  post_as "$known" # it was checked before
  is 200
  put_entry carol -H "$(from 192.0.2.2)"
  is 201
  # What fails without a signature is not counted.
  for _ in $(seq 12); do req GET "/3/device/$(token eve)" -H "$(auth eve)" -H "$(from 192.0.2.3)"; done
  is 410 Unregistered
}

@test "--trusted-proxy takes addresses and networks" {
  for bad in '' x 127.0.0.1/33 127.0.0.1/ 127.0.0.1/x 1.2.3 ::1/129 10.0.0.0/8/8 localhost; do
    expect 64 imsg-serve --plain-http -D data -l 127.0.0.1:0 --trusted-proxy "$bad"
    err_has --trusted-proxy
  done
  serve_start --plain-http --trusted-proxy ::1/128 --trusted-proxy 10.0.0.0/0 --trusted-proxy unix --metrics loopback
  # Who comes over a proxy does not come from loopback.
  req GET /metrics -H "$(from 192.0.2.1)"
  is 404
  req GET /metrics
  is 200
}

# ---- what two programs may read in two ways ----

# raw BYTES (printf's): to the server, or to what is at $PORT; all that comes back is in $T/answer.
raw() {
  # shellcheck disable=SC2059 # it is the format
  printf "$1" >bytes
  exec 5<>"/dev/tcp/127.0.0.1/${PORT:-${URL##*:}}"
  cat bytes >&5 2>errors || true
  timeout 240 cat <&5 >answer 2>errors || [ $? -ne 124 ]
  exec 5>&-
}
HIDDEN='PATCH /hidden HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'

@test "what one program reads in one way and another one in another is refused, and ends the connection" {
  PORT='' bob_path=/3/device/$(token bob)
  serve_start --plain-http --log text
  put_entry bob
  is 201
  count=0
  # refused STATUS BYTES: and what follows on the connection is not looked at, for it would be answered with 404. "closed"
  # as a STATUS: without an answer, as newer libmicrohttpd does.
  refused() {
    raw "$2$HIDDEN"
    sed '/^HTTP\/1.1 /!d' answer >lines
    [ -s answer ] || echo 'HTTP/1.1 closed ' >lines
    without grep -avE "^HTTP/1.1 ($1) " lines
    count=$((count + 1))
  }
  post="POST $bob_path HTTP/1.1\r\nHost: x\r\n"
  refused 400 "${post}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"
  refused 400 "${post}Content-Length: 0\r\nContent-Length: 50\r\n\r\n"
  refused 400 "${post}Content-Length: 50\r\nContent-Length: 0\r\n\r\n"
  refused 400 "${post}Content-Length: 5, 5\r\n\r\nhello"
  refused 400 "${post}Content-Length : 5\r\n\r\nhello"
  refused 400 "${post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"
  refused 400 "${post}Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"
  refused 400 "${post}Content-Length: 50\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"
  refused 400 "${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
  refused 400 "${post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
  refused '400|501' "${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
  refused '400|501' "${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"
  refused 400 "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"
  refused 400 "GET /healthz HTTP/1.1\r\nHost: x\r\nna me: y\r\n\r\n"
  refused 400 "GET $bob_path HTTP/1.1\r\nHost: x\r\n$(auth bob)\r\n$(auth alice)\r\n\r\n"
  refused '400|505|closed' 'GET /healthz\000x HTTP/1.1\r\nHost: x\r\n\r\n'
  refused '400|505|closed' 'GET /healthz\000 HTTP/1.1\r\nHost: x\r\n\r\n'
  [ $count -eq 17 ]
  # An escaped NUL does not end a path; nor is any other escape taken away.
  head -c 1000 /dev/urandom >blob
  blob=/store/$(sha256sum blob | cut -c 1-64)
  req PUT "$blob" -H "$(auth bob)" --data-binary @blob
  is 201
  for path in /healthz%00 /healthz%00x /metrics%00 "$blob%00" "$blob%00x" /%68ealthz "/$(entry_path bob)%00"; do
    req GET "$path"
    is 404 BadPath
  done
  req GET "$bob_path%00" -H "$(auth bob)"
  is 400 BadDeviceToken
  serve_stop
  without grep -a PATCH serve.err
}

@test "no second request can be hidden from nginx in front" {
  command -v nginx >/dev/null || skip 'nginx is not here'
  serve_start --plain-http --log text --trusted-proxy 127.0.0.1 --metrics all
  put_entry bob
  is 201
  # shellcheck disable=SC2016 # nginx expands them
  for how in on off; do
    HTTP_LINES="log_format shown '\$request_method \$upstream_status'; upstream serve { server ${URL#http://}; keepalive 4; }
      ignore_invalid_headers $how; underscores_in_headers $how;" \
      start_nginx "proxy_$how" "listen 127.0.0.1:%PORT%; access_log $T/$how.shown shown;" \
      "location / { proxy_pass http://serve; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_request_buffering $how;" \
      'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_next_upstream off; }'
    post="POST /3/device/$(token bob) HTTP/1.1\r\nHost: x\r\n$(auth alice)\r\n"
    chunked="$(printf %x "$(printf "$HIDDEN" | wc -c)")\r\n$HIDDEN\r\n0\r\n\r\n" # the hidden request is a chunk
    for header in 'Content-Length: 5\r\nTransfer-Encoding: chunked' 'Transfer-Encoding: chunked\r\nContent-Length: 5' \
      'Content-Length: 5\r\nTransfer-Encoding : chunked' 'Content-Length: 5\r\nTransfer-Encoding: xchunked' \
      'Content-Length: 5\r\nTransfer-Encoding:\tchunked' 'Content-Length: 5\r\nTransfer-Encoding:\r\n chunked' \
      'Content-Length: 5\r\nTransfer-Encoding: chunked, identity' 'Content-Length: 5\r\nTransfer-Encoding: identity, chunked' \
      'Content-Length: 5\r\nTransfer_Encoding: chunked' 'Content-Length: 5\r\nX: y\nTransfer-Encoding: chunked' \
      'Content-Length: 5\r\nTransfer-Encoding: "chunked"' 'Content-Length: 5\r\n\000Transfer-Encoding: chunked' \
      'Content-Length: 5\r\nTransfer-Encoding: chunked\000' 'Content-Length: 5\r\nX: y\rTransfer-Encoding: chunked' \
      'Content-Length: 5\r\nContent-Length: 0' 'Content-Length: 0\r\nContent-Length: 5' 'Content-Length: 0, 5' \
      'Content-Length: +5' 'Content-Length: 0x5' 'Content-Length: 5 5' 'Content_Length: 5' 'Content-Length : 5' \
      'Content-Length:\r\n 5' 'X: y' 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked' 'Connection: content-length\r\nContent-Length: 5'; do
      for body in "0\r\n\r\n$HIDDEN" "$chunked" "hello$HIDDEN"; do raw "$post$header\r\n\r\n$body"; done
    done
    for size in 0x0 '0 ' +0 '0;x=y' '0\n' 00000000000000000000 10000000000000000 ffffffffffffffff -1 ''; do
      raw "${post}Transfer-Encoding: chunked\r\n\r\n$size\r\n\r\n$HIDDEN"
    done
    for line in '/healthz%%00' '/healthz\000' '/healthz HTTP/1.1\r\nX:' '/healthz%%20HTTP/1.1%%0d%%0aHost:x%%0d%%0a%%0d%%0aPATCH%%20/hidden' '/healthz#' '/a b'; do
      raw "GET $line HTTP/1.1\r\nHost: x\r\n\r\n$HIDDEN"
    done
  done
  PORT=''
  serve_stop
  # nginx knows of each request that got through.
  sed -n 's/^\([A-Z]*\) [1-9][0-9]*$/\1/p' on.shown off.shown | sort | uniq -c >known
  sed -n 's/^20[^ ]* \([A-Z]*\) [a-z].* ms$/\1/p' serve.err | sort | uniq -c >seen
  awk '$2 == "PUT" { $1-- } $1 { print $1, $2 }' seen | diff - <(awk '{ print $1, $2 }' known)
  [ "$(awk '{ n += $1 } END { print n }' known)" -gt 50 ]
}
