#!/usr/bin/env bats
# imsg-serve as a store: /store/SHA256.
load common
load serve
setup_file() { people alice bob; }
setup() {
  setup_base
  head -c 300000 /dev/urandom >blob
  BLOB=/store/$(name blob)
}
teardown() { serve_teardown; }

name() { sha256sum "$1" | cut -c 1-64; }
# registered [OPTION...]: a server that knows bob and alice.
registered() {
  serve_start "$@"
  put_entry bob
  put_entry alice
  is 201
}
# put USER FILE [CURL OPTION...]
put() { req PUT "/store/$(name "$2")" -H "$(auth "$1")" --data-binary "@$2" "${@:3}"; }
# files N: so many in the store, and nothing half done.
files() {
  find data/store -type f >there
  [ "$(wc -l <there)" -eq "$1" ] || { cat there; return 1; }
  find data/partial -type f | diff /dev/null -
}

@test "put, got, and there after a kill" {
  registered
  req GET "$BLOB"
  is 404 NotFound
  put bob blob
  is 201
  put bob blob
  is 204
  put alice blob -H 'Transfer-Encoding: chunked'
  is 204
  put alice blob -H 'Expect: 100-continue'
  is 204
  serve_kill
  serve_start
  req GET "$BLOB"
  is 200
  cmp blob body
  [ "$(header etag)" = "\"$(name blob)\"" ]
  [ "$(header content-type)" = application/octet-stream ]
  [ "$(header accept-ranges)" = bytes ]
  req HEAD "$BLOB"
  is 200
  [ "$(header content-length)" = 300000 ]
  for value in "\"$(name blob)\"" '*' "\"x\", W/\"$(name blob)\""; do
    req GET "$BLOB" -H "If-None-Match: $value"
    is 304
  done
  files 1
  head -c 1000 blob >short
  put bob short -H 'Transfer-Encoding: chunked'
  is 201
  : >empty
  put bob empty
  is 201
  req GET "/store/$(name empty)"
  is 200
  [ ! -s body ]
  [ "$(metric imsg_store_bytes)" = 301000 ]
}

@test "one range of bytes" {
  registered
  put bob blob
  # range RANGE FROM LENGTH
  range() {
    req GET "$BLOB" -H "Range: bytes=$1"
    is 206
    tail -c +$(($2 + 1)) blob | head -c "$3" | cmp - body
    [ "$(header content-range)" = "bytes $2-$(($2 + $3 - 1))/300000" ]
    [ "$(header content-length)" = "$3" ]
  }
  range 0-0 0 1
  range 0-99 0 100
  range 100000-199999 100000 100000
  range 299999- 299999 1
  range 299990-400000 299990 10
  range -5 299995 5
  range -400000 0 300000
  for bad in 300000- 300000-300001 -0 99999999999999999998-99999999999999999999; do
    req GET "$BLOB" -H "Range: bytes=$bad"
    case $bad in 9*) is 200 ;; *) is 416 BadRange && [ "$(header content-range)" = 'bytes */300000' ] && [ -z "$(header cache-control)" ] ;; esac
  done
  # What is no single range is as good as none.
  for none in bytes=1-2,4-5 bytes=5-4 bytes=x- bytes= items=0-1 bytes=1; do
    req GET "$BLOB" -H "Range: $none"
    is 200
    cmp blob body
  done
  req GET "$BLOB" -H 'Range: bytes=0-9' -H "If-Range: \"$(name blob)\""
  is 206
  req GET "$BLOB" -H 'Range: bytes=0-9' -H 'If-Range: "x"'
  is 200
}

@test "only what has this hash appears, only from devices registered here" {
  registered
  head -c 299999 blob >short
  for how in Content-Length: 'Transfer-Encoding: chunked'; do
    req PUT "$BLOB" -H "$(auth bob)" --data-binary @short -H "${how%Content-Length:}"
    is 400 BadHash
    req GET "$BLOB"
    is 404 NotFound
  done
  as mallory imsg-keygen -q mallory@example.com >mallory.jsonl
  put mallory blob
  is 410 Unregistered
  req PUT "$BLOB" --data-binary @blob
  is 403 MissingProviderToken
  req PUT "$BLOB" -H "$(auth bob '.aud = "https://relay.example"')" --data-binary @blob
  is 403 InvalidProviderToken
  for path in "${BLOB%?}" "${BLOB}0" /store/../cert.pem /store/..%2fcert.pem "/store/$(name blob | tr a-f A-F)" /store/; do
    req PUT "$path" --path-as-is -H "$(auth bob)" --data-binary @blob
    is 404 BadPath
    req GET "$path" --path-as-is
    is 404 BadPath
  done
  req DELETE "$BLOB" -H "$(auth bob)"
  is 405 MethodNotAllowed
  files 0
}
@test "an upload that breaks off, or a kill, leaves nothing" {
  registered --plain-http
  # 1,000 of 300,000 bytes, and then the end.
  exec 5<>"/dev/tcp/127.0.0.1/${URL##*:}"
  printf 'PUT %s HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 300000\r\n\r\n' "$BLOB" "$(auth bob)" >&5
  head -c 1000 blob >&5
  until_metric imsg_store_received_bytes_total 1000
  exec 5>&-
  until_metric imsg_connections 1 # the one that asks
  req GET "$BLOB"
  is 404
  files 0
  mkfifo slow
  curl -sS -H "$(auth bob)" -T - "$URL$BLOB" <slow >answer 2>&1 3>&- &
  POLL=$!
  exec 6>slow
  head -c 200000 blob >&6
  until [ -n "$(find data/partial -type f -size +100k)" ]; do kill -0 "$POLL"; done
  serve_kill
  exec 6>&-
  wait "$POLL" || true
  serve_start --plain-http
  files 0
  put bob blob
  is 201
  files 1
}

@test "SIGTERM lets an upload under way end" {
  registered --plain-http
  mkfifo slow
  curl -sS -H "$(auth bob)" -T - -w '%{http_code}' "$URL$BLOB" <slow >code 2>curl.err 3>&- &
  upload=$!
  exec 6>slow
  head -c 200000 blob >&6
  until [ -n "$(find data/partial -type f -size +100k)" ]; do kill -0 "$upload"; done
  curl -sS -H "$(auth bob)" -o polled -w '%{http_code}' "$URL/3/device/$(token bob)?wait=60" >polled.code 3>&- &
  POLL=$!
  until_metric imsg_long_polls 1
  kill "$SERVER_PID"
  poll_ends polled # so it ends
  tail -c +200001 blob >&6
  exec 6>&-
  wait "$upload"
  [ "$(cat code)" = 201 ]
  serve_stop
  serve_start --plain-http
  req GET "$BLOB"
  cmp blob body
}

@test "SIGTERM: who sends the last byte when the time to do so is over is told" {
  registered --plain-http
  not_under_valgrind 'the calls would be its own'
  exec 5<>"/dev/tcp/127.0.0.1/${URL##*:}"
  printf 'PUT %s HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 300000\r\n\r\n' "$BLOB" "$(auth bob)" >&5
  head -c 1000 blob >&5
  until_metric imsg_store_received_bytes_total 1000
  # The threads that would store it end slowly.
  traced -e trace=exit -e inject=exit:delay_enter=2000000
  kill "$SERVER_PID"
  until grep -q 'exit(' trace; do [ $SECONDS -lt 60 ]; done
  tail -c +1001 blob >&5
  timeout 240 cat <&5 >answer
  head -n 1 answer | grep ' 503 '
  exec 5>&-
  wait "$SERVER_PID"
  SERVER_PID=
  files 0
}

@test "quota: of the store and of a device; announced or not" {
  registered --store-bytes 500000 --account-bytes 400000
  head -c 150000 /dev/urandom >second
  put bob blob
  is 201
  for how in Expect: 'Transfer-Encoding: chunked' 'Expect: 100-continue'; do
    put bob second -H "$how"
    is 507 QuotaExceeded
    [ "$(header retry-after)" = 3600 ]
  done
  # Nothing is counted twice: what is there costs nothing.
  put bob blob
  is 204
  put alice second
  is 201
  head -c 50001 /dev/urandom >third
  put alice third
  is 507 QuotaExceeded
  head -c 50000 third >fourth
  put alice fourth
  is 201
  [ "$(metric imsg_store_bytes)" = 500000 ]
  serve_stop
  # The same after a restart.
  serve_start --store-bytes 600000 --account-bytes 400000
  head -c 100000 /dev/urandom >fifth
  put bob fifth
  is 201
  head -c 1 third >sixth
  put bob sixth
  is 507 QuotaExceeded
  put alice sixth
  is 507 QuotaExceeded
  files 4
}

@test "quota: what came of uploads under way counts, of the same account too" {
  registered --plain-http --account-bytes 300000
  exec 5<>"/dev/tcp/127.0.0.1/${URL##*:}"
  printf 'PUT %s HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 300000\r\n\r\n' "$BLOB" "$(auth bob)" >&5
  head -c 100000 blob >&5
  until_metric imsg_store_received_bytes_total 100000
  head -c 200001 /dev/urandom >second
  for how in Expect: 'Transfer-Encoding: chunked'; do
    put bob second -H "$how"
    is 507 QuotaExceeded
  done
  put alice second
  is 201
  # What breaks off gives its part back.
  exec 5>&-
  until_metric imsg_connections 1
  head -c 200001 /dev/urandom >third
  put bob third
  is 201
  head -c 100000 blob >fourth
  put bob fourth
  is 507 QuotaExceeded
  head -c 99999 blob >fifth
  put bob fifth
  is 201
}

@test "--store-days: what is older goes, and makes room" {
  registered --store-bytes 300000
  put bob blob
  is 201
  serve_stop
  # A file that no row tells of: its own time counts.
  head -c 1000 blob >old
  head -c 2000 blob >young
  for file in old young; do
    mkdir -p "data/store/$(name $file | cut -c 1-2)"
    cp $file "data/store/$(name $file | cut -c 1-2)/$(name $file)"
  done
  touch -d '3 days ago' "data/store/$(name old | cut -c 1-2)/$(name old)"
  serve_start --store-days 2
  until_metric imsg_store_bytes 302000
  req GET "/store/$(name old)"
  is 404 NotFound
  req GET "/store/$(name young)"
  is 200
  req GET "$BLOB"
  is 200
}

@test "a kill while old blobs are deleted: what is gone is nobody's, at the next start" {
  registered --account-bytes 300000
  put bob blob
  is 201
  serve_kill
  rm "data$(dirname "$BLOB")/$(name blob | cut -c 1-2)/$(name blob)" # its row was to follow
  serve_start --account-bytes 300000
  [ "$(metric imsg_store_bytes)" = 0 ]
  put bob blob
  is 201
  head -c 1 blob >one
  put bob one
  is 507 QuotaExceeded
}

@test "many at once, of several people, the same ones too" {
  registered
  for n in $(seq 1 20); do
    head -c $((n * 5000)) blob >"part.$n"
    echo "/store/$(name "part.$n") $n part.$n"
  done >puts
  { transfers PUT "$(auth bob)" <puts; echo next; transfers PUT "$(auth alice)" <puts; } >config
  curl -sS -Z --parallel-max 20 -K config | cut -d ' ' -f 1 | sort | uniq -c | awk '{print $1, $2}' >codes
  printf '20 201\n20 204\n' | diff - codes
  files 20
  [ "$(metric imsg_store_bytes)" = $((5000 * 20 * 21 / 2)) ]
  for n in $(seq 1 20); do cmp "part.$n" "data/store/$(name "part.$n" | cut -c 1-2)/$(name "part.$n")"; done
}
