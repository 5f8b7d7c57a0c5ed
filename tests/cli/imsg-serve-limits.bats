#!/usr/bin/env bats
# How much imsg-serve takes, and from whom.
load common
load serve
setup_file() { people alice bob; }
setup() { setup_base; }
teardown() { serve_teardown; }

# full CALL: from now on it says that there is no space.
full() { traced -e trace="$1" -e inject="$1":error=ENOSPC; }

@test "a full mailbox: 429 and when to come again; room again after an acknowledgement" {
  ready --mailbox-count 2
  put_entry alice
  post alice bob line
  payload 100 >two
  payload 101 >three
  post alice bob two
  post alice bob three
  is 429 TooManyRequests
  [ "$(header retry-after)" = 60 ]
  req DELETE "/3/device/$(token bob)/$(hash_of line)" -H "$(auth bob)"
  post alice bob three
  is 200
  get bob
  cat two three | cmp - body
  serve_stop
  serve_start --mailbox-bytes $(($(cat two three | wc -c) + 10))
  payload 1 >four
  post alice bob four
  is 429 TooManyRequests
  [ "$(metric imsg_requests_limited_total)" = 1 ]
  req DELETE "/3/device/$(token bob)/$(hash_of two)" -H "$(auth bob)"
  post alice bob four
  is 200
}

@test "over --rate: 429 for this device, and for no other" {
  export CLOCK_SPEED=0 # it stands still: what is allowed comes back when we say so
  ready --rate 1
  token=$(auth bob) codes=
  for _ in $(seq 1 12); do
    req GET "/3/device/$(token bob)" -H "$token"
    codes="$codes $STATUS"
    [ "$STATUS" != 429 ] || break
  done
  is 429 TooManyRequests
  [ "$(header retry-after)" = 1 ]
  [ "$(wc -w <<<"$codes")" -eq 11 ]
  for n in 1 2 3 4 5; do echo "/3/device/$(token bob) $n line"; done | transfers POST "$(auth alice)" >config
  curl -sS -K config | sed 's/ .*//' | uniq -c | awk '{ print $1, $2 }' >codes
  [ "$(cat codes)" = '5 200' ]
  req GET "/3/device/$(token bob)" -H "$token"
  is 429 TooManyRequests
  ahead 1
  req GET "/3/device/$(token bob)" -H "$token"
  is 200
  [ "$(jq -r .id body)" = "$(jq -r .id line)" ]
  req GET "/3/device/$(token bob)" -H "$token"
  is 429 TooManyRequests
}

@test "headers and paths have an end" {
  ready
  long=$(head -c 5000 /dev/zero | tr '\0' x)
  req GET /healthz -H "x: $long"
  is 431
  req GET "/$long"
  is 414
  # A body that nobody wants is not read for ever.
  head -c 3000000 /dev/zero >big
  req GET /healthz --data-binary @big -H 'Expect:'
  [[ $STATUS = curl* ]]
  req GET /healthz
  is 200
}

@test "over --connections nobody gets in until somebody leaves" {
  ready --connections 1 --plain-http
  exec 5<>"/dev/tcp/127.0.0.1/${URL##*:}"
  printf 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n' >&5
  read -r line <&5
  [ "${line%$'\r'}" = 'HTTP/1.1 200 OK' ]
  req GET /healthz --max-time 1
  [[ $STATUS = curl* ]]
  exec 5>&-
  req GET /healthz --retry 30 --retry-all-errors --retry-delay 1
  is 200
}

@test "a full disk: 503 and when to come again, never 200; all is well when there is room" {
  ready
  not_under_valgrind 'the calls would be its own'
  # The data base.
  full pwrite64
  post alice bob line
  is 503 ServiceUnavailable
  [ "$(header retry-after)" = 5 ]
  req GET /healthz
  is 503
  room
  get bob
  [ ! -s body ]
  post alice bob line
  is 200
  req GET /healthz
  is 200
  get bob
  cmp line body
  # What could not be deleted is not counted as deleted.
  full pwrite64
  req DELETE "/3/device/$(token bob)/$(hash_of line)" -H "$(auth bob)"
  is 503 ServiceUnavailable
  room
  [ "$(metric imsg_messages_acknowledged_total) $(metric imsg_messages_waiting)" = '0 1' ]
  # Files.
  head -c 10000 /dev/urandom >blob
  full fsync
  req PUT "/store/$(sha256sum blob | cut -c 1-64)" -H "$(auth bob)" --data-binary @blob
  is 503 ServiceUnavailable
  put_entry alice
  [ "$STATUS" = 500 ] || is 503
  room
  req GET "/store/$(sha256sum blob | cut -c 1-64)"
  is 404
  req GET "/$(entry_path alice)"
  is 404
  seal bob alice hi >to-alice
  post bob alice to-alice
  is 410 Unregistered
  put_entry alice
  is 201
  find data/partial data/directory -type f >files
  [ "$(wc -l <files)" -eq 2 ]
}

@test "a full disk: a blob that could not be recorded is counted once, and is whose it is" {
  ready --store-bytes 30000 --account-bytes 15000
  not_under_valgrind 'the calls would be its own'
  put_entry alice
  head -c 10000 /dev/urandom >blob
  BLOB=/store/$(sha256sum blob | cut -c 1-64)
  full pwrite64
  req PUT "$BLOB" -H "$(auth bob)" --data-binary @blob
  is 503 ServiceUnavailable
  room
  [ "$(metric imsg_store_bytes)" = 10000 ]
  # Again; and what is there is on disk whoever made it: its folder is synced. Its size is its own.
  traced -P "$(realpath data)/store/$(sha256sum blob | cut -c 1-2)" -e trace=fsync
  req PUT "$BLOB" -H "$(auth bob)" --data-binary hello
  is 204
  room
  grep -q fsync trace
  for restart in '' 1; do
    [ -z "$restart" ] || { serve_stop && serve_start --store-bytes 30000 --account-bytes 15000; }
    [ "$(metric imsg_store_bytes)" = 10000 ]
    head -c 5001 /dev/urandom >extra
    req PUT "/store/$(sha256sum extra | cut -c 1-64)" -H "$(auth bob)" --data-binary @extra
    is 507 QuotaExceeded
  done
}

@test "a full disk: an invite is not used up by entries that could not be written" {
  ready --register open
  serve_stop
  serve_start --register invite
  not_under_valgrind 'the calls would be its own'
  expect 0 imsg-serve invite -D data
  code=$(cat out)
  full rename
  for _ in $(seq 12); do
    put_entry alice -H "imsg-invite: $code"
    is 503 ServiceUnavailable
    [ "$(header retry-after)" = 5 ]
  done
  room
  put_entry alice -H "imsg-invite: $code"
  is 201
}

@test "an entry whose folder could not be synced: 503, and whom it lists has a mailbox" {
  serve_start
  not_under_valgrind 'the calls would be its own'
  seal alice bob hello >line
  folder=$T/data/directory/$(dirname "$(entry_path bob)")
  mkdir -p "$folder"
  fails() { traced -P "$(realpath "$folder")" -e trace=fsync -e inject=fsync:error=EIO; }
  fails
  put_entry bob
  is 503 ServiceUnavailable
  put_entry bob # the sync is tried again before it is good
  [ "$STATUS" -ge 500 ]
  room
  put_entry bob
  is 204
  post alice bob line
  is 200
  # The next one no longer lists him.
  next_entry bob '.devices = []' >next
  tag=$(sha256sum "$DIRECTORY/$(entry_path bob)" | cut -c 1-64)
  fails
  req PUT "/$(entry_path bob)" -H "If-Match: \"$tag\"" --data-binary @next
  is 503 ServiceUnavailable
  room
  req PUT "/$(entry_path bob)" -H "If-Match: \"$tag\"" --data-binary @next
  is 204
  post alice bob line
  is 410 Unregistered
}

@test "what is no HTTP is refused, and others are served" {
  ready --plain-http
  count=0
  # nonsense BYTES (printf's): a status of 4xx or 5xx, or nothing; then the connection is closed.
  nonsense() {
    exec 5<>"/dev/tcp/127.0.0.1/${URL##*:}"
    # shellcheck disable=SC2059 # it is the format
    printf "$1" >bytes
    # The other side may have closed before the last byte.
    local status=0
    cat bytes >&5 2>errors || true
    timeout 240 cat <&5 >answer 2>errors || status=$?
    [ $status -ne 124 ]
    exec 5>&-
    [ ! -s answer ] || head -n 1 answer | grep -qE '^HTTP/1\.[01] [45][0-9][0-9] '
    count=$((count + 1))
  }
  end='Host: x\r\nConnection: close\r\n'
  post="POST /3/device/$(token bob) HTTP/1.1\r\n$end$(auth alice)\r\n"
  nonsense 'hello\r\n\r\n'
  nonsense '\r\n\r\n\r\nhello\r\n\r\n'
  nonsense '\026\003\001\002\000\001\000\001\374\003\003\r\n\r\n'
  nonsense "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n" # no Host
  nonsense "GET /%%00/%%2e%%2e/cert.pem HTTP/1.1\r\n$end\r\n"
  nonsense "GET /../key.pem HTTP/1.1\r\n$end\r\n"
  nonsense "GET //etc/passwd HTTP/1.1\r\n$end\r\n"
  nonsense "GET http://relay.example/healthz HTTP/1.1\r\n$end\r\n"
  nonsense "${post}Content-Length: x\r\n\r\n"
  nonsense "${post}Content-Length: -1\r\n\r\n"
  nonsense "${post}Content-Length: 99999999999999999999\r\n\r\n"
  nonsense "${post}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhellos"
  nonsense "${post}Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n"
  nonsense "GET /healthz HTTP/9.9\r\n$end\r\n"
  head -n 1 answer | grep ' 505 '
  nonsense "GET /healthz HTTP/2.0\r\n$end\r\n"
  nonsense "GET /healthz HTTP/1.2\r\n$end\r\n" # ours, unless libmicrohttpd refuses it as well
  head -n 1 answer | grep ' 505 '
  # libmicrohttpd refuses these itself since 1.0, with 400, and later with 501 as we do.
  ours=0
  for coding in gzip 'gzip, chunked' identity x; do
    nonsense "POST /3/device/$(token bob) HTTP/1.1\r\nHost: x\r\n$(auth alice)\r\nTransfer-Encoding: $coding\r\n\r\nhello"
    head -n 1 answer | grep -E ' (400|501) '
    ours=$((ours + $(head -n 1 answer | grep -c ' 501 ' || true)))
  done
  [ $count -eq 20 ]
  req GET /healthz
  is 200
  [ "$(metric imsg_messages_stored_total)" = 0 ]
  # What libmicrohttpd refuses itself is not counted.
  [[ "$(metric 'imsg_requests_total{route="none",status="501"}')" = ?($ours) ]]
  [[ "$(metric 'imsg_requests_total{route="none",status="505"}')" = ?(1) ]]
  post alice bob line
  is 200
}
