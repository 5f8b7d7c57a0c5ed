#!/usr/bin/env bats
# What a descriptor names is somebody else's choice: such a server is asked only at a public address, without a proxy of
# the environment, and is shown nothing that is for one's own.
load common
load nginx
setup_file() {
  setup_common
  make_ca
  make_cert good DNS:localhost,IP:127.0.0.1
  new_user alice
  head -c 100000 /dev/urandom >photo.jpg
  as alice imsg-attach put photo.jpg >photo.d
  keep_base
}
setup() {
  setup_base
  command -v nginx >/dev/null || skip "nginx is not here"
  BUILD=${BUILD:-$(dirname "$BIN")}
  mkdir got
}
teardown() {
  end_servers
  teardown_common
}

OBJECTS=.local/share/imsg/store
# files [LINE...]: a host of the objects over TLS, which writes down what it is shown.
files() {
  # shellcheck disable=SC2016 # nginx expands them
  HTTP_LINES='log_format shown "$request | $http_authorization | $ssl_client_serial | $http_cookie";' \
    start_nginx files "$(tls good)" "location /x/ { alias $T/$OBJECTS/; }" "access_log $T/files.shown shown;" "$@"
}
# named HOST: the descriptor, with the object there.
named() { jq -c --arg at "https://$1/x" '.uri = $at + "/" + .sha256' photo.d; }
get() { as alice imsg-attach get -o got "$@"; }
nothing_came() { [ -z "$(ls -A got)" ] && [ ! -s files.shown ]; }

@test "an address that is not public is not connected to, whatever its form; --allow-private allows it" {
  files
  for host in "127.0.0.1:$PORT" "localhost:$PORT" "[::1]:$PORT" "[::ffff:127.0.0.1]:$PORT" "[64:ff9b::7f00:1]:$PORT" \
    0.0.0.0 10.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1 169.254.169.254 '[fe80::1]' '[fd00::1]'; do
    named "$host" >foreign.d
    expect 1 get --retry-for 0 foreign.d
    no_out
    errors_are 1
    err_has "\"https://$host\": its address is not a public one"
  done
  nothing_came
  [ ! -s files.err ]
  # It is asked then, and has a certificate that nobody knows.
  named "localhost:$PORT" >foreign.d
  expect 1 get --allow-private foreign.d
  err_has 'SSL certificate'
  nothing_came
}

@test "one's own CA, pin and client certificate are for one's own servers" {
  files
  cat good.pem good.key >both.pem
  named "localhost:$PORT" >foreign.d
  expect 1 get --allow-private --cacert ca.pem foreign.d
  err_has 'SSL certificate'
  expect 1 get --allow-private --pin "$(pin_of good.pem)" foreign.d
  err_has 'SSL certificate'
  IMSG_CLIENT_CERT=$T/both.pem expect 1 get --allow-private foreign.d
  nothing_came
}

@test "of a configured server a descriptor reaches objects of the configured store only, by their hash" {
  files "location /store/ { alias $T/$OBJECTS/; } location /base/store/ { alias $T/$OBJECTS/; }"
  sum=$(jq -r .sha256 photo.d)
  cat good.pem good.key >both.pem
  export IMSG_CLIENT_CERT=$T/both.pem
  # at PATH STATUS [OPTION...]
  at() {
    jq -c --arg uri "https://${HOST:-localhost:$PORT}$1" '.uri = $uri' photo.d >foreign.d
    expect "$2" get --retry-for 0 --cacert ca.pem "${@:3}" foreign.d
  }
  own=(--store "https://localhost:$PORT")
  for path in "/x/$sum" / "" "/store/" "/store/../x/$sum" "/store//$sum" "//store/$sum" "/x/store/$sum" "/store/$sum/" "/store/${sum}0" \
    "/store/${sum%?}" "/store/%2e%2e/x/$sum" "/STORE/$sum" "/base/store/$sum" "/3/device/$sum" "/store/$(tr a-f A-F <<<"$sum")"; do
    at "$path" 1 "${own[@]}"
    errors_are 1
    err_has 'is on a configured server'
  done
  for HOST in "LOCALHOST:$PORT" "localhost:$PORT"; do
    at "/x/$sum" 1 "${own[@]}" --allow-private
    err_has 'is on a configured server'
    at "/store/$sum" 1 --store "https://localhost:$PORT/base" # another store's, of the same server
    err_has 'is on a configured server'
    IMSG_RELAY=https://localhost:$PORT at "/store/$sum" 1 --store "$T/$OBJECTS" # not of a store at all
    err_has 'is on a configured server'
  done
  unset HOST
  nothing_came
  at "/store/$sum" 0 "${own[@]}"
  at "/base/store/$sum" 0 --store "https://localhost:$PORT/base"
  HOST=LocalHost:$PORT at "/store/$sum" 0 "${own[@]}" # the same server
  for name in photo.jpg photo-1.jpg photo-2.jpg; do cmp photo.jpg "got/$name"; done
  [ "$(wc -l <files.shown)" -eq 3 ]
}

@test "more than --max-size is refused before anything is asked for" {
  start_wire wire drop
  jq -c --arg uri "https://localhost:$PORT/$(jq -r .sha256 photo.d)" '.uri = $uri | .size = 4294967297' photo.d >foreign.d
  expect 1 get --allow-private --retry-for 0 foreign.d
  err_has 'attachment "photo.jpg": 4294967297 bytes, more than 4294967296'
  err_has --max-size
  [ ! -s wire.log ]
  [ -z "$(ls -A got)" ]
  expect 75 get --allow-private --retry-for 0 --max-size 5G foreign.d
  # Of a folder too.
  expect 1 get --max-size 99999 photo.d
  [ -z "$(ls -A got)" ]
  expect 0 get --max-size 100000 photo.d
  expect 0 get --max-size 98K photo.d
  expect 1 get --max-size 97K photo.d
  for bad in '' x 1X -1 1KB 1.5G 99999999999999999999 9999999999G K; do
    expect 64 get --max-size "$bad" photo.d
  done
  expect 64 as alice imsg-attach put --max-size 1 photo.jpg
}

@test "a server that the system believes is shown neither token nor certificate" {
  local system
  system=$(curl-config --ca 2>/dev/null) && [ -e "$system" ] || skip "where the system keeps its CAs is not known"
  can_mount
  files 'ssl_verify_client optional_no_ca;'
  make_cert client DNS:alice
  cat client.pem client.key >both.pem
  named "localhost:$PORT" >foreign.d
  export IMSG_CLIENT_CERT=$T/both.pem IMSG_SERVER=https://server.example IMSG_HOME=$T/alice
  expect 0 with_mounts sh -c "mount --bind ca.pem '$system' && exec imsg-attach get --allow-private -o got foreign.d"
  cmp photo.jpg got/photo.jpg
  [ "$(cat files.shown)" = "GET /x/$(jq -r .sha256 photo.d) HTTP/2.0 | - | - | -" ]
}

@test "a redirect to anywhere is not followed" {
  local system
  system=$(curl-config --ca 2>/dev/null) && [ -e "$system" ] || skip "where the system keeps its CAs is not known"
  can_mount
  files 'location /away/ { return 302 https://localhost:%PORT%/x/; }'
  named "localhost:$PORT" | sed 's|/x/|/away/|' >foreign.d
  export IMSG_HOME=$T/alice
  expect 76 with_mounts sh -c "mount --bind ca.pem '$system' && exec imsg-attach get --allow-private -o got foreign.d"
  err_has '302, which is not followed'
  [ "$(wc -l <files.shown)" -eq 1 ]
  [ -z "$(ls -A got)" ]
}

@test "a proxy of the environment is for one's own servers only" {
  start_wire proxy drop
  export https_proxy=http://127.0.0.1:$PORT http_proxy=http://127.0.0.1:$PORT ALL_PROXY=http://127.0.0.1:$PORT
  named files.invalid >foreign.d
  expect 69 get --retry-for 0 foreign.d
  [ ! -s proxy.log ]
  expect 75 as alice imsg-lookup -d https://directory.invalid --retry-for 0 bob@example.com
  grep -q '^CONNECT directory.invalid:443 ' proxy.log
  # Nor is it for this machine, which http:// stands for.
  : >proxy.log
  start_wire own drop
  expect 75 as alice imsg-lookup -d "http://127.0.0.1:$PORT" --retry-for 0 bob@example.com
  [ -s own.log ]
  [ ! -s proxy.log ]
}

@test "neither plain http, nor user, query or fragment, nor another scheme is ever asked" {
  start_wire wire drop
  sum=$(jq -r .sha256 photo.d)
  for uri in "http://127.0.0.1:$PORT/$sum" "https://alice@localhost:$PORT/$sum" "https://localhost:$PORT/$sum?x" \
    "https://localhost:$PORT/$sum#x" "ftp://localhost:$PORT/$sum" "file://$T/$OBJECTS/$sum" "HTTPS://localhost:$PORT/$sum" \
    "https://localhost:$PORT\\@files.example/$sum" "s3://bucket/$sum" "http+unix://%2Ftmp%2Fx/$sum"; do
    jq -c --arg uri "$uri" '.uri = $uri' photo.d >foreign.d
    expect 1 get --allow-private --insecure-http --retry-for 0 foreign.d
    errors_are 1
  done
  [ ! -s wire.log ]
  [ -z "$(ls -A got)" ]
}
