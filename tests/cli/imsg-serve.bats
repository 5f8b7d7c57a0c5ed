#!/usr/bin/env bats
# imsg-serve: its start and end, the directory, and who may register. The requests are curl's, the entries and tokens
# are signed by openssl.
load common
load serve
setup_file() { people alice bob; }
setup() {
  setup_common
  people_again
}
teardown() { serve_teardown; }

# put FILE [CURL OPTION...]: bob's entry.
put() { req PUT "$BOB" --data-binary "@$1" "${@:2}"; }
new() { put "$1" -H 'If-None-Match: *'; }
etag() { printf '"%s"' "$(sha256sum "$1" | cut -d ' ' -f 1)"; }

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
  expect 64 imsg-serve -l 0.0.0.0:0 -D data --plain-http
  err_has 'only on loopback'
  expect 64 imsg-serve -l "$T/sock" -D data --plain-http
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
  serve_stop
  [ ! -e sock ]
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
  expect 75 imsg-serve -l 127.0.0.1:0 -D data --self-signed
  err_has 'another imsg-serve uses it'
  no_out
  expect 69 imsg-serve -l "127.0.0.1:${URL##*:}" -D other --self-signed
  err_has 'in use'
  serve_kill
  serve_start
}

@test "a socket that systemd passes, and the word that it is ready" {
  "$BUILD/pass-socket" imsg-serve -D data --self-signed >serve.out 2>serve.err 3>&- &
  SERVER_PID=$!
  until [ -s notified ]; do kill -0 "$SERVER_PID"; done
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
  for number in mailbox-count mailbox-bytes connections rate store-bytes device-bytes store-days; do
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
  for path in / /healthz/ /3/device /imsg/v1/h/ /store/ /store/xyz /imsg/v1/h/aa/bb.json "/${BOB%??????}" /metricsx; do
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
  serve_stop
  grep -qE '^20[0-9T:-]*Z PUT directory 204 - [0-9]+ ms$' serve.err
  grep -qE "^20[0-9T:-]*Z GET device 410 Unregistered device $(token alice | head -c 8) [0-9]+ ms\$" serve.err
  without grep -e example.com -e "$(token alice)" serve.err
}

# ---- the directory ----

@test "an entry: put, got, got again only if it changed, and there after a kill" {
  BOB=/$(entry_path bob)
  serve_start
  req GET "$BOB"
  is 404 NotFound
  cp "$DIRECTORY$BOB" one
  new one
  is 201
  tag=$(etag one)
  [ "$(header etag)" = "$tag" ]
  # Once more, because the answer was lost; but not another of the same number.
  new one
  is 204
  entry bob '.updated = "2026-01-01T00:00:00Z"' >other
  new other
  is 412 PreconditionFailed
  serve_kill
  serve_start
  req GET "$BOB"
  is 200
  cmp body one
  [ "$(header etag)" = "$tag" ]
  [ "$(header cache-control)" = no-cache ]
  [ "$(header content-type)" = application/json ]
  req HEAD "$BOB"
  is 200
  [ "$(header content-length)" = "$(stat -c %s one)" ]
  for value in "$tag" '*' "\"x\", $tag" "W/$tag"; do
    req GET "$BOB" -H "If-None-Match: $value"
    is 304
    [ ! -s body ]
    [ "$(header etag)" = "$tag" ]
  done
  for value in '"x"' "${tag//\"/}" ; do
    req GET "$BOB" -H "If-None-Match: $value"
    is 200
  done
  cmp one "data/directory$BOB"
}

@test "the next entry: If-Match, seq and prev" {
  BOB=/$(entry_path bob)
  serve_start
  cp "$DIRECTORY$BOB" one
  put one
  is 428 PreconditionRequired
  put one -H 'If-None-Match: "x"'
  is 428 PreconditionRequired
  put one -H 'If-Match: "x"' -H 'If-None-Match: *'
  is 428 PreconditionRequired
  put one -H "If-Match: $(etag one)"
  is 412 PreconditionFailed
  new one
  is 201
  next_entry bob >two
  new two
  is 412 PreconditionFailed
  put two -H 'If-Match: "x"'
  is 412 PreconditionFailed
  put two -H "If-Match: \"$(head -c 200 /dev/zero | tr '\0' x)\""
  is 412 PreconditionFailed
  entry bob '.seq += 1' >no-prev
  next_entry bob '.seq += 1' >gap
  next_entry bob '.prev = ("0" * 64)' >fork
  entry bob '.updated = "2026-01-01T00:00:00Z"' >same-seq
  for file in no-prev gap fork same-seq; do
    put $file -H "If-Match: $(etag one)"
    is 409 Conflict
  done
  cmp one "data/directory$BOB"
  put two -H "If-Match: $(etag one)"
  is 204
  [ "$(header etag)" = "$(etag two)" ]
  cmp two "data/directory$BOB"
  # Back to what was before.
  put one -H "If-Match: $(etag two)"
  is 409 Conflict
}

@test "a handle without an entry here may come with any seq" {
  BOB=/$(entry_path bob)
  serve_start
  next_entry bob '.seq = 40' >forty
  new forty
  is 201
}

@test "of many next entries at once, one is taken" {
  BOB=/$(entry_path bob)
  serve_start
  cp "$DIRECTORY$BOB" one
  new one
  for n in 1 2 3 4 5 6; do
    next_entry bob ".updated = \"2026-01-0${n}T00:00:00Z\"" >two.$n
    args+=(-X PUT -H "If-Match: $(etag one)" --data-binary "@two.$n" -o "body.$n" -w '%{http_code}\n' "$URL$BOB" --next --cacert data/cert.pem)
  done
  curl -sS --cacert data/cert.pem -Z --parallel-immediate "${args[@]:0:${#args[@]}-3}" >codes
  sort codes | uniq -c | awk '{print $1, $2}' >got
  printf '%s\n' '1 204' '5 412' | diff - got
}

@test "an entry proves itself: signature, handle, account key, devices" {
  BOB=/$(entry_path bob)
  serve_start
  bad() { new bad && is "$@"; }
  jq -c '.signature = "A" * 86' "$DIRECTORY$BOB" >bad
  bad 403 BadSignature
  # Signed by another key than the one it shows.
  entry bob . alice ".jwk = $(jwk bob/account.pem)" >bad
  bad 403 BadSignature
  cp "$DIRECTORY/$(entry_path alice)" bad
  bad 403 BadHandle
  entry bob '.handle = "mailto:alice@example.com" | .devices = []' >bad
  bad 403 BadHandle
  entry bob '.expires = "2020-01-01T00:00:00Z"' >bad
  bad 403 ExpiredEntry
  for header in '.crit = ["b64"] | .b64 = false' '.kid = "1"' '.alg = "none"' '.alg = "ES384"' '.jwk.d = "AA"' 'del(.jwk)'; do
    entry bob . bob "$header" >bad
    bad 400 BadEntry
  done
  # A device with somebody else's token, or with a key that is not the token's.
  entry bob ".devices[0].token = \"$(token alice)\"" >bad
  bad 400 BadEntry
  alice=$(payload_of alice | jq .devices[0].device_key)
  entry bob ".devices[0].device_key = $alice" >bad
  bad 400 BadEntry
  # Somebody else's whole record does not hold this handle.
  entry bob ".devices += [$(payload_of alice | jq -c .devices[0])]" >bad
  bad 400 BadEntry
  entry bob '.devices = [range(65) as $i | .devices[0]]' >bad
  bad 400 BadEntry
  for bytes in '' '{}' '[]' 'hello' '{"payload":1}' "$(head -c 5000 /dev/zero | tr '\0' '[')"; do
    printf %s "$bytes" >bad
    bad 400 BadEntry
  done
  head -c 1048577 /dev/zero >bad
  bad 413 PayloadTooLarge
  put bad -H 'If-None-Match: *' -H 'Transfer-Encoding: chunked'
  is 413 PayloadTooLarge
  req GET "$BOB"
  is 404
  find data/directory -type f >left
  diff left /dev/null
}

@test "another account key on a handle that is taken: 403" {
  BOB=/$(entry_path bob)
  serve_start
  cp "$DIRECTORY$BOB" one
  new one
  entry bob . alice >other
  new other
  is 403 OtherAccountKey
  put other -H "If-Match: $(etag one)"
  is 403 OtherAccountKey
  prev=$(payload_of bob | sha256sum)
  entry bob ".seq += 1 | .prev = \"${prev%% *}\"" alice >other
  put other -H "If-Match: $(etag one)"
  is 403 OtherAccountKey
  cmp one "data/directory$BOB"
  # Until the operator takes it away.
  rm "data/directory$BOB"
  kill -HUP "$SERVER_PID"
  until_metric imsg_devices 0
  entry bob . alice >other
  new other
  is 201
}

# ---- who may register ----

@test "--register open, invite and closed" {
  serve_start --register closed
  put_entry bob
  is 403 RegistrationClosed
  serve_stop
  serve_start --register open
  put_entry bob
  is 201
  serve_stop
  # Those who are there go on, whatever the rule is.
  for rule in closed invite; do
    serve_start --register $rule
    put_entry bob
    is 204
    put_entry alice
    case $rule in closed) is 403 RegistrationClosed ;; invite) is 403 InviteRequired ;; esac
    serve_stop
  done
}

@test "an invite is for one account key" {
  serve_start --register invite
  [ ${#INVITE} -eq 20 ]
  put_entry bob
  is 403 InviteRequired
  put_entry bob -H 'imsg-invite: 0123456789abcdef0123'
  is 403 BadInvite
  put_entry bob -H 'imsg-invite;'
  is 403
  put_entry bob -H "imsg-invite: $INVITE"
  is 201
  put_entry alice -H "imsg-invite: $INVITE"
  is 403 BadInvite
  # A second one, made while the server runs; only hashes are kept.
  expect 0 imsg-serve invite -D data
  code=$(cat out)
  without grep -aq -e "$code" -e "$INVITE" data/mail.db data/mail.db-wal
  put_entry alice -H "imsg-invite: $code"
  is 201
  # The same person's other handles, ten in all.
  for n in 2 3 4 5 6 7 8 9 10 11; do
    entry alice ".handle = \"mailto:a$n@example.com\" | .devices[0].handles += [.handle]" >more
    req PUT "/$(imsg-lookup --path "a$n@example.com")" -H 'If-None-Match: *' -H "imsg-invite: $code" --data-binary @more
    if [ $n -le 10 ]; then is 201; else is 403 BadInvite; fi
  done
  first=$INVITE
  serve_stop
  # Somebody is registered: no code is printed again.
  serve_start --register invite
  [ -z "$INVITE" ]
  [ -n "$first" ]
}

@test "imsg-register --invite brings the code" {
  serve_start --register invite
  export IMSG_SERVER=$URL IMSG_CACERT=$T/data/cert.pem
  as carol imsg-keygen carol@example.com >carol.jsonl
  expect 69 as carol imsg-register -q carol.jsonl
  expect 0 as carol imsg-register -q --invite "$INVITE" carol.jsonl
  expect 0 as bob imsg-lookup -q carol@example.com
  [ "$(jq -r .token out)" = "$(token carol)" ]
}
