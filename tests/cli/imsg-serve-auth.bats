#!/usr/bin/env bats
# Who may ask imsg-serve, and what a bearer token must be. All tokens here are made by openssl.
load common
load serve
setup_file() { people alice bob carol; }
setup() { setup_base; }
teardown() { serve_teardown; }

@test "no token but the device's own, for this server, of now: 403, and nothing is read or changed" {
  ready
  post alice bob line
  mine=/3/device/$(token bob) hash=$(hash_of line)
  auth_key bob bob.key
  auth_key alice alice.key
  seal carol bob more >third
  count=0
  blob=$(sha256sum <third | cut -c 1-64)
  # no REASON [HEADER...]: not for GET, DELETE, POST, PUT into the store, on one connection.
  no() {
    local reason=$1 header headers=() all=() how
    shift
    for header; do headers+=(-H "$header"); done
    for how in "GET $mine" "GET $mine?wait=30" "DELETE $mine/$hash" "POST $mine" "PUT /store/$blob"; do
      # Whose token it is does not matter to the store, if it is one.
      [ -z "${ANYBODY:-}" ] || [ "${how%% *}" != PUT ] || continue
      all+=(-sS --cacert data/cert.pem "${headers[@]}" -X "${how%% *}" -w ' %{http_code}\n' "$URL${how#* }")
      case $how in P*) all+=(--data-binary @third) ;; esac
      all+=(--next)
    done
    curl "${all[@]:0:${#all[@]}-1}" >got
    for how in "${all[@]}"; do [ "$how" != --next ] || printf '{"reason":"%s"} 403\n' "$reason"; done | diff - got
    count=$((count + 1))
  }
  # not REASON BEARER
  not() { no "$1" "authorization: bearer $2"; }
  no MissingProviderToken
  no MissingProviderToken 'authorization: basic Ym9iOmJvYg=='
  no MissingProviderToken 'authorization;'
  for text in '' x x.y.z ... "$(head -c 3000 /dev/zero | tr '\0' a)"; do
    not InvalidProviderToken "$text"
  done
  # Another device's, which is a good one.
  ANYBODY=1 not InvalidProviderToken "$(bearer alice)"
  # Times.
  now=$(date +%s)
  for claims in '.iat -= 310' '.iat += 310' '.exp = .iat - 1' '.nbf = .iat + 400' '.iat = 0'; do
    not ExpiredProviderToken "$(bearer bob "$claims")"
  done
  # Another server's, whatever name the request calls this one by.
  other=$(bearer bob '.aud = "https://relay.example"')
  no InvalidProviderToken "authorization: bearer $other"
  no InvalidProviderToken "authorization: bearer $other" 'Host: relay.example'
  for claims in "del(.aud)" ".aud = [.aud]" '.aud += "/"+.aud' '.aud |= sub("https"; "http")' '.aud |= sub(":[0-9]*$"; "")' '.aud = ""' \
    'del(.iat)' '.iat |= tostring' '.iat += 0.5' 'del(.iss)' ".iss = \"$(token alice)\"" '.iss |= ascii_upcase' '.exp = "x"'; do
    not InvalidProviderToken "$(bearer bob "$claims")"
  done
  for header in '.crit = []' '.crit = ["b64"] | .b64 = false' '.crit = ["x"] | .x = 1' '.alg = "none"' '.alg = "HS256"' '.alg = "ES384"' \
    '.alg = "RS256"' 'del(.alg)' 'del(.jwk)' '.kid = "1"' '.jku = "https://relay.example"' ".jwk = $(jwk alice.key)" '.jwk.crv = "P-384"' \
    '.jwk.kty = "oct"' '.jwk.x = "AA"' '.jwk.x = .jwk.y' '.jwk.d = "AA"' '.jwk |= tostring' '.typ = "x"'; do
    not InvalidProviderToken "$(bearer bob . "$header")"
  done
  # alice's key says that it is bob.
  claims=$(jq -nc --arg iss "$(token bob)" --arg aud "$ORIGIN" --argjson iat "$now" '{$iss, $aud, $iat}')
  not InvalidProviderToken "$(sign_jws alice.key "{\"alg\":\"ES256\",\"jwk\":$(jwk alice.key)}" "$claims")"
  # Twice the same member, a broken signature, one in DER, none; padding; one part too much.
  not InvalidProviderToken "$(sign_jws bob.key "{\"alg\":\"none\",\"alg\":\"ES256\",\"jwk\":$(jwk bob.key)}" "$claims")"
  not InvalidProviderToken "$(sign_jws bob.key "{\"alg\":\"ES256\",\"jwk\":$(jwk bob.key)}" "${claims%\}},\"iss\":\"$(token bob)\"}")"
  good=$(bearer bob)
  covered=${good%.*} signature=${good##*.}
  case $signature in A*) changed=B${signature#?} ;; *) changed=A${signature#?} ;; esac
  der=$(printf %s "$covered" | openssl dgst -sha256 -sign bob.key | b64url)
  for last in "$changed" "${signature%?}" "" "$der" "$signature==" "$signature.$signature" "$(head -c 64 /dev/zero | b64url)"; do
    not InvalidProviderToken "$covered.$last"
  done
  not InvalidProviderToken "${covered%%.*}.$(printf %s "$claims" | b64url).$signature"
  [ "$count" -ge 55 ]
  get bob
  cmp line body
  find data/store data/partial -type f >left
  diff left /dev/null
}

@test "what is good in a token: each origin of the server, some minutes of difference, typ" {
  ready
  port=${URL##*:}
  ok() {
    req GET "/3/device/$(token bob)" -H "$(auth bob "$@")"
    is 200
  }
  ok
  ok ".aud = \"https://localhost:$port\""
  ok ".aud = \"https://LocalHost:$port\""
  ok ".aud = \"https://[::1]:$port\""
  ok '.iat -= 290'
  ok '.iat += 290'
  ok '.exp = .iat + 60 | .nbf = .iat - 60 | .jti = "x"'
  ok . '.typ = "JWT"'
  serve_stop
  serve_start --origin https://relay.example --origin https://Other.example:443
  ok '.aud = "https://relay.example"'
  ok '.aud = "https://relay.example:443"'
  ok '.aud = "https://other.example"'
  req GET "/3/device/$(token bob)" -H "$(auth bob)"
  is 403 InvalidProviderToken
}

@test "a token that was good is refused when its time is over" {
  export CLOCK_SPEED=1
  ready
  soon=$(bearer bob '.exp = .iat + 100')
  req GET "/3/device/$(token bob)" -H "authorization: bearer $soon"
  is 200
  ahead 101
  req GET "/3/device/$(token bob)" -H "authorization: bearer $soon"
  is 403 ExpiredProviderToken
}

@test "a sender need not be registered here, a receiver must" {
  ready
  get carol
  is 410 Unregistered
  now=$(date +%s)
  [ "$(jq '.timestamp / 1000 | floor' body)" -ge $((now - 60)) ]
  post carol bob line
  is 403 InvalidProviderToken
  seal carol bob hi >from-carol
  post carol bob from-carol
  is 200
  # Somebody's device taken off: its mailbox is gone, who waits there is told.
  BOB=/$(entry_path bob)
  poll bob polled
  poll_ends polled
  cmp from-carol polled
  req DELETE "/3/device/$(token bob)/$(hash_of from-carol)" -H "$(auth bob)"
  poll bob polled
  until_metric imsg_long_polls 1
  before=$(date +%s)
  next_entry bob '.devices = []' >two
  req PUT "$BOB" -H "If-Match: \"$(sha256sum "$DIRECTORY$BOB" | cut -c 1-64)\"" --data-binary @two
  is 204
  poll_ends polled
  [ "$(cat polled.code)" = 410 ]
  for _ in 1 2; do
    post alice bob line
    is 410 Unregistered
    when=$(jq .timestamp body)
    [ "$when" -ge $((before * 1000)) ]
    [ "$when" -le $(($(date +%s) * 1000 + 999)) ]
    get bob
    is 410 Unregistered
    [ "$(jq .timestamp body)" = "$when" ]
    req PUT "/store/$(sha256sum <line | cut -c 1-64)" -H "$(auth bob)" --data-binary @line
    is 410 Unregistered
    serve_kill
    serve_start
  done
}

@test "a message that is on its way in while its device is taken off is not stored" {
  can_strace
  ready
  next_entry bob '.devices = []' >two
  tag=$(sha256sum "$DIRECTORY/$(entry_path bob)" | cut -c 1-64)
  traced -e trace=fdatasync -e inject=fdatasync:delay_enter=2000000
  curl -sS --cacert data/cert.pem -o put -w '%{http_code}' -X PUT "$URL/$(entry_path bob)" -H "If-Match: \"$tag\"" \
    --data-binary @two >put.code 2>put.err 3>&- &
  put=$!
  # In the middle of the commit the device is still listed.
  until grep -qs fdatasync trace; do kill -0 $put; done
  post alice bob line
  is 410 Unregistered
  wait $put
  [ "$(cat put.code)" = 204 ]
  [ "$(metric imsg_messages_waiting)" = 0 ]
}

@test "a device taken off while a push to it is under way: 410" {
  ready --plain-http
  BOB=/$(entry_path bob)
  exec 5<>"/dev/tcp/127.0.0.1/${URL##*:}"
  printf 'POST /3/device/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: %s\r\n%s\r\n\r\n' \
    "$(token bob)" "$(wc -c <line)" "$(auth alice)" >&5
  # The headers are in order, the server waits for the body.
  read -r -t 30 word <&5
  [ "${word%$'\r'}" = 'HTTP/1.1 100 Continue' ]
  read -r -t 30 word <&5
  head -c 10 line >&5
  next_entry bob '.devices = []' >two
  req PUT "$BOB" -H "If-Match: \"$(sha256sum "$DIRECTORY$BOB" | cut -c 1-64)\"" --data-binary @two
  is 204
  tail -c +11 line >&5
  cat <&5 >answer
  [ "$(head -n 1 answer | tr -d '\r')" = 'HTTP/1.1 410 Gone' ]
  [ "$(metric imsg_messages_stored_total)" = 0 ]
}

@test "the origins are the exact names of the certificate, or --origin; a wildcard is none" {
  # certificate NAMES
  certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/own.key" -out "$T/own.pem" -days 2 \
      -subj /CN=relay -addext "subjectAltName=$1" 2>/dev/null
    mkdir -p data
    cp own.pem data/cert.pem # what curl is to believe
  }
  certificate 'DNS:*.example.com'
  expect 78 imsg-serve -D data -l 127.0.0.1:0 --cert own.pem --key own.key
  err_has 'the certificate names no host'
  err_has --origin
  certificate 'DNS:*.example.com,DNS:localhost,IP:127.0.0.1'
  serve_start --cert own.pem --key own.key
  put_entry bob
  is 201
  port=${URL##*:}
  for origin in "https://localhost:$port" "https://127.0.0.1:$port" "https://LOCALHOST:$port"; do
    ORIGIN=$origin get bob
    is 200
  done
  for origin in "https://relay.example.com:$port" "https://*.example.com:$port" https://localhost "http://localhost:$port"; do
    ORIGIN=$origin get bob
    is 403 InvalidProviderToken
  done
  serve_stop
  serve_start --cert own.pem --key own.key --origin https://relay.example.com
  ORIGIN=https://relay.example.com:443 get bob
  is 200
  ORIGIN=https://localhost:${URL##*:} get bob
  is 403 InvalidProviderToken
}
