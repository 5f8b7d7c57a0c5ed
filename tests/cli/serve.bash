# Shared by the Bats files about imsg-serve: starts it on a free port, ends it by its pid, and makes bearer tokens with
# openssl, so that what the server accepts is not only what our own library says.

# serve_start [OPTION...]: --self-signed in $T/data unless OPTIONS say otherwise; sets SERVER_PID, URL, ORIGIN. Its clock is
# that of with_clock where CLOCK_SPEED is set.
serve_start() {
  local tls=--self-signed data=$T/data listen='-l 127.0.0.1:0' option clock=
  [ -z "${CLOCK_SPEED:-}" ] || clock='with_clock exec'
  for option; do
    case $option in --cert | --plain-http) tls='' ;; -l) listen='' ;; esac
  done
  rm -f "$T/serve.out"
  mkfifo "$T/serve.out"
  # Bats waits for whoever holds its descriptor 3.
  # shellcheck disable=SC2086 # words, or none
  $clock imsg-serve $listen -D "$data" $tls "$@" >"$T/serve.out" 2>"$T/serve.err" 3>&- &
  SERVER_PID=$!
  URL='' PIN='' INVITE=''
  local word value
  exec 9<"$T/serve.out"
  while read -r word value <&9; do
    case $word in
      pin) PIN=$value ;;
      invite) INVITE=$value ;;
      listening) URL=$value; break ;;
    esac
  done
  exec 9<&-
  [ -n "$URL" ] || { echo "imsg-serve did not start:"; cat "$T/serve.err"; return 1; }
  ORIGIN=$URL
  export URL PIN ORIGIN INVITE
}

# serve_stop [STATUS]: SIGTERM; it must end with STATUS (0).
serve_stop() {
  local status=0
  [ -n "${SERVER_PID:-}" ] || return 0
  kill "$SERVER_PID" 2>/dev/null || true
  local end=$((SECONDS + 30))
  while kill -0 "$SERVER_PID" 2>/dev/null; do
    [ $SECONDS -lt $end ] || { echo "imsg-serve does not end"; return 1; }
    sleep 0.02
  done
  wait "$SERVER_PID" || status=$?
  SERVER_PID=
  [ "$status" -eq "${1:-0}" ] || { echo "imsg-serve ended with $status"; cat "$T/serve.err"; return 1; }
}

serve_kill() {
  kill -9 "$SERVER_PID"
  wait "$SERVER_PID" 2>/dev/null || true
  SERVER_PID=
}

serve_teardown() {
  [ -z "${TRACER:-}" ] || kill "$TRACER" 2>/dev/null || true
  [ -z "${POLL:-}" ] || kill "$POLL" 2>/dev/null || true
  [ -z "${SERVER_PID:-}" ] || kill -9 "$SERVER_PID" 2>/dev/null || true
  teardown_common
}

# cacert: the certificate that curl is to believe; a server without TLS has none, and curl insists on a file.
cacert() { if [ -e "$T/data/cert.pem" ]; then echo "$T/data/cert.pem"; else echo /dev/null; fi; }
# req METHOD PATH [CURL OPTION...]: the status; the body is in $T/body, the headers in $T/headers.
req() {
  local path=$2 how=(-X "$1")
  [ "$1" != HEAD ] || how=(-I)
  shift 2
  : >"$T/body"
  STATUS=$(curl -sS --max-time 60 --cacert "$(cacert)" "${how[@]}" -o "$T/body" -D "$T/headers" \
    -w '%{http_code}' "$@" "$URL$path" 2>"$T/curl.err") || STATUS="curl $?"
}
# is STATUS [REASON]: of the last req.
is() {
  [ "$STATUS" = "$1" ] || { echo "status $STATUS, expected $1"; cat "$T/body" "$T/curl.err"; return 1; }
  [ -z "${2:-}" ] || [ "$(jq -r .reason "$T/body")" = "$2" ] || { echo "not the reason $2:"; cat "$T/body"; return 1; }
}
header() { tr -d '\r' <"$T/headers" | sed -n "s/^$1: //Ip" | tail -n 1; }

# ---- tokens ----

b64url() { basenc --base64url -w 0 | tr -d =; }

# auth_key USER FILE: the device's auth key as PEM.
auth_key() { jq -r '.keys.device // .keys.signing' "$T/$1/identity.json" >"$2"; }

# sign_jws KEY.pem HEADER PAYLOAD: a compact JWS.
sign_jws() {
  local covered numbers
  covered=$(printf %s "$2" | b64url).$(printf %s "$3" | b64url)
  numbers=$(printf %s "$covered" | openssl dgst -sha256 -sign "$1" | openssl asn1parse -inform DER |
    sed -n 's/.*INTEGER *:0*\(.*\)$/\1/p' | while read -r n; do printf '%064s' "$n" | tr ' ' 0; done)
  printf '%s.%s\n' "$covered" "$(xxd -r -p <<<"$numbers" | b64url)"
}

# jwk KEY.pem: the public key as compact JSON; kept beside the key.
jwk() {
  local point
  if [ ! -e "$1.jwk" ]; then
    point=$(openssl pkey -in "$1" -pubout -outform DER | tail -c 64 | xxd -p -c 64)
    printf '{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}' "$(xxd -r -p <<<"${point:0:64}" | b64url)" \
      "$(xxd -r -p <<<"${point:64}" | b64url)" >"$1.jwk"
  fi
  cat "$1.jwk"
}

# bearer USER [JQ FILTER for the claims [for the header]]: a token for $ORIGIN, made now.
bearer() {
  local key=$T/$1.auth.pem
  [ -s "$key" ] || auth_key "$1" "$key"
  sign_jws "$key" "$(jq -c "{alg: \"ES256\", jwk: .} | ${3:-.}" <<<"$(jwk "$key")")" \
    "$(jq -c --arg aud "$ORIGIN" "{iss: .token, \$aud, iat: (now | floor)} | ${2:-.}" "$T/$1/identity.json")"
}
# auth USER [FILTERS]: the header for curl.
auth() { printf 'authorization: bearer %s' "$(bearer "$@")"; }
token() { jq -r .token "$T/$1/identity.json"; }

# ---- people ----

# The shared folders stand in for the client: entries and envelopes are made in them and carried by curl.
DIRECTORY=.local/share/imsg/directory

# people USER...: made once for a file, in setup_file; each test gets a copy by setup_base.
people() {
  local user
  setup_common
  for user; do new_user "$user"; done
  keep_base
}

entry_path() { imsg-lookup --path "${2:-$1@example.com}"; }

# put_entry USER [CURL OPTION...]: the entry of USER's folder directory, as a new one.
put_entry() {
  local user=$1
  shift
  req PUT "/$(entry_path "$user")" -H 'If-None-Match: *' --data-binary "@$T/$DIRECTORY/$(entry_path "$user")" "$@"
}

# payload_of USER: the signed bytes of the entry in the folder.
payload_of() { jq -j '.payload | gsub("-"; "+") | gsub("_"; "/") | @base64d' "$DIRECTORY/$(entry_path "$1")"; }

# entry USER [JQ FILTER of the payload [SIGNER [JQ FILTER of the header]]]: the entry changed, and signed by SIGNER's
# account key.
entry() {
  local key=$T/${3:-$1}/account.pem
  sign_jws "$key" "$(jq -nc "{alg: \"ES256\", jwk: $(jwk "$key")} | ${4:-.}")" "$(payload_of "$1" | jq -c "${2:-.}")" |
    jq -Rc 'split(".") | {payload: .[1], protected: .[0], signature: .[2]}'
}
# next_entry USER [JQ FILTER]: the same with seq and prev as they must follow those in the folder.
next_entry() {
  local prev
  prev=$(payload_of "$1" | sha256sum)
  entry "$1" ".seq += 1 | .prev = \"${prev%% *}\"${2:+ | $2}"
}

# seal FROM TO TEXT: an envelope line.
seal() { printf %s "$3" | as "$1" imsg-seal -q --no-self -r "$2@example.com"; }
# hash_of ENVELOPE: what the relay names it by.
hash_of() { name_of "$(cat "$1")"; }

# post FROM TO FILE [CURL OPTION...]: an envelope, or what is none. (Not from a pipe: STATUS would be lost.)
post() { req POST "/3/device/$(token "$2")" -H "$(auth "$1")" --data-binary "@$3" "${@:4}"; }
# transfers METHOD HEADER: lines "PATH NAME [FILE]" become a config for curl, which prints "STATUS NAME" for each.
transfers() {
  awk -v url="$URL" -v method="$1" -v header="$2" -v cacert="$(cacert)" '
    NR > 1 { print "next" }
    { printf "url = \"%s%s\"\nrequest = %s\nheader = \"%s\"\ncacert = \"%s\"\noutput = /dev/null\n", url, $1, method, header, cacert
      printf "write-out = \"%%{http_code} %s\\n\"\n", $2 }
    $3 { printf "data-binary = \"@%s\"\n", $3 }'
}
# get USER [QUERY]: what waits for USER, in $T/body.
get() { req GET "/3/device/$(token "$1")${2:-}" -H "$(auth "$1")"; }
# metric NAME: its value.
metric() { curl -sS --cacert "$(cacert)" "$URL/metrics" | sed -n "s/^$1 //p"; }
# until_metric NAME VALUE [SECONDS]: a minute at the longest.
until_metric() {
  local end=$((SECONDS + ${3:-60}))
  until [ "$(metric "$1")" = "$2" ]; do
    [ $SECONDS -lt $end ] || { echo "$1 is $(metric "$1"), not $2"; return 1; }
    sleep 0.05
  done
}

# ---- a server, a message ----

# traced OPTION...: strace on the server, until room.
traced() {
  strace -f -qq -o trace -p "$SERVER_PID" "$@" 2>strace.err 3>&- &
  TRACER=$!
  until grep -qs 'TracerPid:.*[1-9]' "/proc/$SERVER_PID/status"; do
    kill -0 "$TRACER" 2>/dev/null || skip 'strace cannot attach here'
  done
}
room() {
  kill "$TRACER"
  wait "$TRACER" || true
  TRACER=
}

# ready [OPTION...]: a server that knows bob; "line" is alice's message to him.
ready() {
  serve_start "$@"
  put_entry bob
  is 201
  seal alice bob hello >line
}
# with JQ FILTER: the line, changed.
with() { jq -c "$1" line; }
# payload BYTES N: the line with a payload of so many bytes of value N.
payload() { with ".payload = \"$(head -c "$1" /dev/zero | tr '\0' "${2:-x}" | base64 -w 0)\""; }
# poll USER FILE [SECONDS]: waits in the background.
poll() {
  curl -sS --cacert "$(cacert)" -H "$(auth "$1")" -o "$2" -w '%{http_code}' \
    "$URL/3/device/$(token "$1")?wait=${3:-60}" >"$2.code" 2>"$2.err" 3>&- &
  POLL=$!
}
# poll_ends FILE [PID]: because of what just happened, not at the end of its time.
poll_ends() {
  local end=$((SECONDS + 30))
  until [ -s "$1.code" ]; do
    [ $SECONDS -lt $end ] || { echo "$1 still waits"; return 1; }
    sleep 0.05
  done
  wait "${2:-$POLL}"
}
