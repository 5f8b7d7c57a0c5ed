#!/usr/bin/env bats
# imsg-serve as a directory: entries, and who may register.
load common
load serve
setup_file() { people alice bob; }
setup() { setup_base; }
teardown() { serve_teardown; }

# put FILE [CURL OPTION...]: bob's entry.
put() { req PUT "$BOB" --data-binary "@$1" "${@:2}"; }
new() { put "$1" -H 'If-None-Match: *'; }
etag() { printf '"%s"' "$(sha256sum "$1" | cut -d ' ' -f 1)"; }

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

@test "a kill while an entry is written leaves nothing" {
  can_strace
  serve_start
  traced -e trace=rename -e inject=rename:signal=KILL
  put_entry bob
  [[ $STATUS = curl* ]]
  wait "$TRACER" || true
  [ "$(find data/directory -type f | wc -l)" -eq 1 ]
  serve_start
  find data/directory -type f | diff /dev/null -
  put_entry bob
  is 201
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
  next_entry bob '.prev = ("0" * 64)' >fork
  entry bob '.updated = "2026-01-01T00:00:00Z"' >same-seq
  for file in no-prev fork same-seq; do
    put $file -H "If-Match: $(etag one)"
    is 409 Conflict
  done
  cmp one "data/directory$BOB"
  put two -H "If-Match: \"x\", $(etag two), $(etag one)"
  is 204
  [ "$(header etag)" = "$(etag two)" ]
  cmp two "data/directory$BOB"
  # Back to what was before.
  put one -H "If-Match: $(etag two)"
  is 409 Conflict
}

@test "a higher seq than the next is taken: the owner goes on from what a server has lost" {
  BOB=/$(entry_path bob)
  serve_start
  cp "$DIRECTORY$BOB" one
  new one
  is 201
  next_entry bob '.seq += 1 | .prev = ("0" * 64)' >gap
  put gap -H "If-Match: $(etag one)"
  is 204
  next_entry bob >two # and not back
  put two -H "If-Match: $(etag gap)"
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
  # Devices: without proofs, under a handle that they did not sign, of another account key; somebody else's device.
  for filter in 'del(.devices[0].proofs)' '.devices[0].handles += ["mailto:robert@example.com"]' \
    '.devices[0].account = "A" * 43' ".devices += [$(payload_of alice | jq -c '.devices[0]') | .handles = [\"mailto:bob@example.com\"]]"; do
    entry bob "$filter" >bad
    bad 403 BadProof
  done
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
  entry bob '.devices = []' alice >other # bob's record names his own key
  new other
  is 403 OtherAccountKey
  put other -H "If-Match: $(etag one)"
  is 403 OtherAccountKey
  prev=$(payload_of bob | sha256sum)
  entry bob ".seq += 1 | .prev = \"${prev%% *}\" | .devices = []" alice >other
  put other -H "If-Match: $(etag one)"
  is 403 OtherAccountKey
  cmp one "data/directory$BOB"
  # Until the operator takes it away.
  rm "data/directory$BOB"
  kill -HUP "$SERVER_PID"
  until_metric imsg_devices 0
  entry bob '.devices = []' alice >other
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
    entry alice ".handle = \"mailto:a$n@example.com\" | .devices = [$(record_for alice "mailto:a$n@example.com")]" >third
    req PUT "/$(imsg-lookup --path "a$n@example.com")" -H 'If-None-Match: *' -H "imsg-invite: $code" --data-binary @third
    if [ $n -le 10 ]; then is 201; else is 403 BadInvite; fi
  done
  first=$INVITE
  serve_stop
  # Somebody is registered: no code is printed again.
  serve_start --register invite
  [ -z "$INVITE" ]
  [ -n "$first" ]
}

@test "no invite for a folder that is no server's: a mistyped name makes nothing" {
  expect 66 imsg-serve invite -D dtaa
  err_has 'dtaa/mail.db'
  no_out
  mkdir empty
  expect 66 imsg-serve invite -D empty
  [ ! -e dtaa ] && [ -z "$(ls -A empty)" ]
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
