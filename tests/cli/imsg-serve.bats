#!/usr/bin/env bats
# imsg-serve: its start and end, health, metrics and log. The requests are curl's, entries and tokens are signed by
# openssl.
load common
load serve
setup_file() { people alice bob; }
setup() { setup_base; }
teardown() { serve_teardown; }

# ---- start and end ----

@test "--self-signed makes a certificate, prints its pin, and uses it again" {
  serve_start
  pin=$(openssl x509 -in data/cert.pem -noout -pubkey | openssl pkey -pubin -outform DER |
    openssl dgst -sha256 -binary | base64)
  [ "$PIN" = "sha256//$pin" ]
  [ "$(stat -c %a data)" = 700 ]
  [ "$(stat -c %a data/key.pem)" = 600 ]
  for name in localhost 127.0.0.1; do
    curl -sSf --cacert data/cert.pem "https://$name:${URL##*:}/healthz"
  done
  curl -sSfk --pinnedpubkey "$PIN" "$URL/healthz"
  without curl -sSfk --pinnedpubkey sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= "$URL/healthz"
  serve_stop
  cp data/cert.pem before
  first=$PIN
  serve_start
  cmp before data/cert.pem
  [ "$PIN" = "$first" ]
}

@test "--cert and --key are somebody's own; TLS 1.2 at least" {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.pem -days 1 \
    -subj /CN=x -addext subjectAltName=DNS:localhost 2>made
  serve_start --cert own.pem --key own.key
  [ -z "$PIN" ]
  port=${URL##*:}
  curl -sSf --cacert own.pem "https://localhost:$port/healthz"
  curl -sSf --cacert own.pem --tls-max 1.2 "https://localhost:$port/healthz"
  openssl s_client -connect "127.0.0.1:$port" -tls1_1 -cipher DEFAULT@SECLEVEL=0 </dev/null >tls 2>&1 || true
  grep -q 'Cipher is (NONE)' tls
  serve_stop
  chmod 644 own.key
  expect 77 imsg-serve -l 127.0.0.1:0 -D data --cert own.pem --key own.key
  err_has own.key
  chmod 600 own.key
  expect 66 imsg-serve -l 127.0.0.1:0 -D data --cert own.pem --key none.key
  expect 66 imsg-serve -l 127.0.0.1:0 -D data --cert none.pem --key own.key
  echo nothing >bad.pem
  expect 65 imsg-serve -l 127.0.0.1:0 -D data --cert bad.pem --key own.key
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out other.key
  chmod 600 other.key
  expect 78 imsg-serve -l 127.0.0.1:0 -D data --cert own.pem --key other.key
  err_has 'do not fit'
  no_out
}

@test "--plain-http is for loopback and Unix sockets, and needs no certificate" {
  serve_start --plain-http
  [ "${URL%:*}" = http://127.0.0.1 ]
  curl -sSf "$URL/healthz"
  [ ! -e data/cert.pem ]
  serve_stop
  expect 64 timeout 240 imsg-serve -l 0.0.0.0:0 -D data --plain-http
  err_has 'only on loopback'
  expect 64 timeout 240 imsg-serve -l "$T/sock" -D data --plain-http
  err_has --origin
  mkfifo ready
  imsg-serve -l "$T/sock" -D data --plain-http --origin https://relay.example >ready 2>serve.err 3>&- &
  SERVER_PID=$!
  read -r word where <ready
  [ "$word $where" = "listening unix:$T/sock" ]
  curl -sSf --unix-socket sock http://localhost/healthz
  serve_kill
  [ -S sock ]
  imsg-serve -l "$T/sock" -D data --plain-http --origin https://relay.example >ready 2>serve.err 3>&- &
  SERVER_PID=$!
  read -r word where <ready
  curl -sSf --unix-socket sock http://localhost/healthz
  # Not one that another server listens on.
  expect 69 timeout 240 imsg-serve -l "$T/sock" -D other --plain-http --origin https://relay.example
  err_has 'in use'
  curl -sSf --unix-socket sock http://localhost/healthz
  serve_stop
  [ ! -e sock ]
}

@test "-l :PORT is every address, also where there is no IPv6" {
  serve_start -l :0
  [[ $URL = https://\[::\]:* ]]
  [ ${#INVITE} -eq 20 ] # for others than this machine: not everybody may register
  for host in localhost 127.0.0.1; do
    curl -sSf --cacert data/cert.pem "https://$host:${URL##*:}/healthz"
  done
  serve_stop
  can_strace
  mkfifo ready
  strace -f -qq -o trace -e trace=socket -e inject=socket:error=EAFNOSUPPORT:when=1 \
    imsg-serve --self-signed -D data -l :0 >ready 2>serve.err 3>&- &
  SERVER_PID=$!
  while read -r word where; do [ "$word" != listening ] || break; done <ready
  [[ $where = https://0.0.0.0:* ]]
  curl -sSf --cacert data/cert.pem "https://127.0.0.1:${where##*:}/healthz"
  kill "$(pgrep -P "$SERVER_PID")"
  wait "$SERVER_PID"
  SERVER_PID=
}

@test "SIGTERM and SIGINT end it, with status 0" {
  serve_start
  serve_stop
  serve_start
  kill -INT "$SERVER_PID"
  wait "$SERVER_PID"
  SERVER_PID=
  [ ! -s serve.err ]
}

@test "one server at a time uses a folder, one an address" {
  serve_start
  expect 75 timeout 240 imsg-serve -l 127.0.0.1:0 -D data --self-signed
  err_has 'another imsg-serve uses it'
  no_out
  expect 69 timeout 240 imsg-serve -l "127.0.0.1:${URL##*:}" -D other --self-signed
  err_has 'in use'
  serve_kill
  serve_start
}

@test "a socket that systemd passes, and the word that it is ready" {
  "$BUILD/pass-socket" imsg-serve -D data --self-signed >serve.out 2>serve.err 3>&- &
  SERVER_PID=$!
  until [ -s notified ]; do [ $SECONDS -lt 30 ] && kill -0 "$SERVER_PID"; done
  [ "$(cat notified)" = READY=1 ]
  URL=$(sed -n 's/^listening //p' serve.out)
  req GET /healthz
  is 200
  serve_stop
  expect 64 "$BUILD/pass-socket" imsg-serve -D data --self-signed -l 127.0.0.1:0
  err_has systemd
  # What is passed to another process is none of ours.
  LISTEN_FDS=1 LISTEN_PID=1 expect 64 imsg-serve -D data --self-signed
  err_has '-l ADDRESS:PORT is missing'
}

@test "usage errors, before any file is made" {
  usage() { expect 64 imsg-serve "${@:2}" && err_has "$1" && no_out; }
  usage '-D FOLDER is missing' -l 127.0.0.1:0 --self-signed
  usage '-l ADDRESS:PORT is missing' -D data --self-signed
  usage 'one of --cert' -D data -l 127.0.0.1:0
  usage 'go together' -D data -l 127.0.0.1:0 --cert a.pem
  usage '--self-signed' -D data -l 127.0.0.1:0 --self-signed --plain-http
  usage '--self-signed' -D data -l 127.0.0.1:0 --self-signed --cert a --key b
  usage '--log-handles needs --log' -D data -l 127.0.0.1:0 --self-signed --log-handles
  usage '--register' -D data -l 127.0.0.1:0 --self-signed --register all
  usage '--log' -D data -l 127.0.0.1:0 --self-signed --log loud
  usage '--metrics' -D data -l 127.0.0.1:0 --self-signed --metrics some
  usage 'invite takes -D only' invite -D data --self-signed
  usage '-D FOLDER is missing' invite
  usage 'is no command' serve -D data -l 127.0.0.1:0 --self-signed
  for number in mailbox-count mailbox-bytes connections rate store-bytes account-bytes store-days; do
    usage "--$number" -D data -l 127.0.0.1:0 --self-signed --$number many
    usage "--$number" -D data -l 127.0.0.1:0 --self-signed --$number -1
  done
  for origin in relay.example https://relay.example/x ftp://relay.example https://; do
    usage --origin -D data -l 127.0.0.1:0 --self-signed --origin "$origin"
  done
  [ ! -e data ]
  for address in 127.0.0.1 127.0.0.1:99999 127.0.0.1:x; do
    usage ADDRESS:PORT -D data --self-signed -l "$address"
  done
  expect 73 imsg-serve -l 127.0.0.1:0 -D /dev/null/data --self-signed
}

# ---- health, metrics, log ----

@test "/healthz, /metrics, and paths and methods that are not there" {
  serve_start
  req GET /healthz
  is 200
  req HEAD /healthz
  is 200
  req GET /metrics
  is 200
  [ "$(header content-type)" = 'text/plain; version=0.0.4; charset=utf-8' ]
  grep -qx 'imsg_requests_total{route="healthz",status="200"} 2' body
  # Every name is in the man page, and the other way round.
  sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' body | sort >shown
  sed -n '/^\.Ss Metrics/,/^\.Sh/s/^\.It Li //p' "$ROOT/docs/man/imsg-serve.1" | sort >told
  diff told shown
  for path in / /healthz/ /3/device /imsg/v1/h/ /store/ /store/xyz /imsg/v1/h/aa/bb.json "/$(entry_path bob | cut -c -40)" /metricsx; do
    req GET "$path"
    is 404 BadPath
  done
  req POST /healthz
  is 405 MethodNotAllowed
  [ "$(header allow)" = 'GET, HEAD' ]
  req PUT "/3/device/$(token bob)"
  is 405 MethodNotAllowed
  [ "$(header allow)" = 'POST, GET, DELETE' ]
  req HEAD "/3/device/$(token bob)"
  is 405
  req DELETE "/$(entry_path bob)"
  is 405 MethodNotAllowed
  [ "$(header allow)" = 'GET, PUT, HEAD' ]
  serve_stop
  serve_start --metrics off
  req GET /metrics
  is 404 BadPath
  serve_stop
  serve_start --metrics all
  req GET /metrics
  is 200
}

@test "--log names no handle and no token in full; --log-handles names handles" {
  serve_start --log json
  put_entry bob
  is 201
  seal alice bob hi >line
  post alice bob line
  is 200
  get bob
  req GET "/$(entry_path bob)"
  req GET /nowhere
  serve_stop
  jq -e -s 'length == 5' serve.err
  jq -c '[.method, .route, .status, .reason, .device]' serve.err >got
  cat >want <<END
["PUT","directory",201,null,null]
["POST","device",200,null,"$(token alice | head -c 8)"]
["GET","device",200,null,"$(token bob | head -c 8)"]
["GET","directory",200,null,null]
["GET","none",404,"BadPath",null]
END
  diff want got
  without grep -e "$(token bob)" -e "$(token alice)" -e example.com -e "$(basename "$(entry_path bob)" .json)" -e eyJ serve.err
  serve_start --log json --log-handles
  post alice bob line
  put_entry bob
  serve_stop
  [ "$(jq -r .handle serve.err | uniq -c | awk '{print $1, $2}')" = '2 mailto:bob@example.com' ]
  without grep -e "$(token bob)" -e eyJ serve.err
  serve_start --log text
  put_entry bob
  get alice
  post alice bob line
  serve_stop
  grep -qE '^20[0-9T:-]*Z PUT directory 204 - [0-9]+ ms$' serve.err
  grep -qE "^20[0-9T:-]*Z POST device 200 - device $(token alice | head -c 8) [0-9]+ ms\$" serve.err
  grep -qE '^20[0-9T:-]*Z GET device 410 Unregistered [0-9]+ ms$' serve.err
  without grep -e example.com -e "$(token alice)" serve.err
}

@test "--log has a line for each method, and nothing in it that a terminal obeys" {
  for log in json text; do
    serve_start --log $log --plain-http
    for method in '\033[31m' '\377\376' 'BREW\t'; do
      exec 5<>"/dev/tcp/127.0.0.1/${URL##*:}"
      # shellcheck disable=SC2059 # it is the format
      printf "$method /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" >bytes
      cat bytes >&5
      timeout 240 cat <&5 >answer
      exec 5>&-
      head -n 1 answer | grep ' 405 '
    done
    serve_stop
    [ "$(wc -l <serve.err)" -eq 3 ]
    without grep -aq '[^ -~]' serve.err
  done
}
