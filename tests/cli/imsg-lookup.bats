#!/usr/bin/env bats
# What a directory may serve and what a pin makes of it. The entries that no tool of ours writes are signed here with
# openssl, by the formats alone.
# shellcheck disable=SC2016 # jq's variables, and words that are not to be expanded
load common

# alice has two devices and two handles, bob one; carol is the one who looks up and has seen nobody.
setup_file() {
  setup_common
  new_user alice alice@example.com
  as phone imsg-keygen -q -n phone -o "$T/phone.json" alice@example.com +15551234567 | as alice imsg-register -q
  new_user bob
  keep_base
}

setup() {
  setup_base
  D=$T/.local/share/imsg/directory
  ALICE=$D/$(imsg-lookup --path alice@example.com)
  BOB=$D/$(imsg-lookup --path bob@example.com)
}
teardown() { teardown_common; }

thumbprint_of() { as "$1" imsg-keygen -F -j | jq -r .account; }
# What a jq program needs to read and write base64url.
JQ='def url: @base64 | split("+") | join("-") | split("/") | join("_") | rtrimstr("=") | rtrimstr("=");
  def unurl: split("-") | join("+") | split("_") | join("/") | @base64d;'
payload_of() { jq -j "$JQ"'.payload | unurl' "$1"; }

# The jwk of a PEM key, in jwk.
read_jwk() {
  if [ ! -e "$1.jwk" ]; then
    openssl pkey -in "$1" -pubout -outform DER | tail -c 64 >xy
    printf '{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}' "$(head -c 32 xy | base64 -w0 | tr '+/' '-_' | tr -d =)" \
      "$(tail -c 32 xy | base64 -w0 | tr '+/' '-_' | tr -d =)" >"$1.jwk"
  fi
  jwk=$(<"$1.jwk")
}

# The raw 64 bytes of an ECDSA signature in DER, base64url.
raw_signature() {
  local der number escaped='' i
  der=$(od -An -v -tx1 | tr -d ' \n')
  der=${der:4} # SEQUENCE and its length
  for _ in r s; do
    number=${der:4:2*16#${der:2:2}}
    der=${der:4+2*16#${der:2:2}}
    number=$(printf '%064s' '')${number#00}
    number=${number// /0}
    number=${number: -64}
    for ((i = 0; i < 64; i += 2)); do escaped+="\\x${number:i:2}"; done
  done
  printf %b "$escaped" | base64 -w0 | tr '+/' '-_' | tr -d =
}

# inputs FILE KEY FILTER [HEADER...]: what is to be signed, a line each: FILE's payload through a jq filter, which may
# have several results, under each protected header (the good one of KEY, if none is given).
inputs() {
  local jwk file=$1 filter=$3
  read_jwk "$2"
  shift 3
  [ $# -gt 0 ] || set -- "{\"alg\":\"ES256\",\"jwk\":$jwk}"
  jq -r --arg prev "${prev:-}" "$JQ"'($ARGS.positional[] | url) + "." + (.payload | unurl | fromjson | '"$filter"' | tojson | url)' \
    "$file" --args "$@"
}
# signed KEY INPUT: the JWS.
signed() {
  printf '{"payload":"%s","protected":"%s","signature":"%s"}\n' "${2#*.}" "${2%.*}" \
    "$(printf %s "$2" | openssl dgst -sha256 -sign "$1" | raw_signature)"
}
# reissue FILE KEY FILTER [HEADER]: FILE with another payload, or under another header, signed by KEY.
reissue() {
  local input
  input=$(inputs "$@")
  signed "$2" "$input" >"$1"
}

pin_of() { as carol imsg-lookup --pins | jq -r --arg h "$1" 'select(.handle == $h)'; }
# carol has nothing on alice, and is refused with STATUS.
never_pinned() {
  expect "$1" as carol imsg-lookup alice@example.com
  no_out
  errors_are 1
  [ ! -e carol/pins.json ]
}
# carol had alice pinned before; the refusal names both keys, and the pin stays as it was.
refused_with() {
  local before
  before=$(pin_of mailto:alice@example.com)
  expect 1 as carol imsg-lookup alice@example.com
  no_out
  errors_are 1
  err_has "$1"
  err_has "$(jq -r .account <<<"$before")"
  [ "$(pin_of mailto:alice@example.com)" = "$before" ]
}
# The command in the hint, as a person would copy it.
hinted() { sed -n 's/^imsg-[a-z]*: hint: .*then: //p' "$T/err"; }

@test "every device of a handle is printed, one record a line, with the one handle that was asked" {
  expect 0 as carol imsg-lookup alice@example.com
  [ "$(wc -l <out)" -eq 2 ]
  [ "$(jq -r .name out | sort | tr '\n' ' ')" = "alice phone " ]
  [ "$(jq -c .handles out | sort -u)" = '["mailto:alice@example.com"]' ]
  as alice imsg-keygen -y | jq -S 'del(.handles, .proofs, .account)' >mine
  jq -S 'select(.name == "alice") | del(.handles, .proofs, .account)' out | cmp - mine
  expect 0 as carol imsg-lookup +15551234567
  [ "$(jq -c .handles out)" = '["tel:+15551234567"]' ]
}

@test "any spelling of a handle finds it" {
  for handle in Alice@Example.COM mailto:alice@example.com MAILTO:ALICE@EXAMPLE.COM; do
    expect 0 as carol imsg-lookup "$handle"
    [ "$(wc -l <out)" -eq 2 ]
  done
  for handle in '+1 (555) 123-4567' tel:+1-555-123-4567 +1.555.123.4567; do
    expect 0 as carol imsg-lookup "$handle"
    [ "$(wc -l <out)" -eq 1 ]
  done
}

@test "the account key is pinned at first sight, with one note" {
  expect 0 as carol imsg-lookup alice@example.com
  [ "$(wc -l <err)" -eq 1 ]
  err_has "imsg-lookup: mailto:alice@example.com: first seen, pinned to account key $(thumbprint_of alice)"
  expect 0 as carol imsg-lookup alice@example.com
  [ ! -s err ]
  expect 0 as carol imsg-lookup --pins
  payload_of "$ALICE" | sha256sum | cut -d' ' -f1 >payload.hash
  [ "$(jq -c . out)" = "$(jq -nc --arg a "$(thumbprint_of alice)" --arg p "$(cat payload.hash)" \
    '{imsg:"pin/1",handle:"mailto:alice@example.com",account:$a,seq:2,payload:$p}')" ]
}

@test "with -q the first pin is silent" {
  expect 0 as carol imsg-lookup -q alice@example.com
  [ ! -s err ]
  [ -n "$(pin_of mailto:alice@example.com)" ]
}

@test "the thumbprint is that of RFC 7638" {
  read_jwk alice/account.pem
  [ "$(printf %s "$jwk" | openssl dgst -sha256 -binary | base64 | tr '+/' '-_' | tr -d =)" = "$(thumbprint_of alice)" ]
}

@test "a pin follows the entry forward" {
  as carol imsg-lookup -q alice@example.com >was
  as alice imsg-register -q --remove phone
  expect 0 as carol imsg-lookup alice@example.com
  [ ! -s err ]
  [ "$(jq -r .name out)" = alice ]
  [ "$(pin_of mailto:alice@example.com | jq .seq)" -eq 3 ]
}

@test "an entry signed here by hand is taken" {
  reissue "$ALICE" alice/account.pem .
  expect 0 as carol imsg-lookup alice@example.com
  [ "$(wc -l <out)" -eq 2 ]
}

@test "another account key is refused with both fingerprints, until the hinted command is run" {
  as carol imsg-lookup -q alice@example.com >was
  as mallory imsg-keygen -n evil alice@example.com | as mallory imsg-register -q -d other
  cp "other/$(imsg-lookup --path alice@example.com)" "$ALICE"
  refused_with "account key changed"
  err_has "$(thumbprint_of mallory)"
  command=$(hinted)
  [ "$command" = "imsg-lookup --accept $(thumbprint_of mallory) alice@example.com" ]
  expect 0 as carol bash -c "$command"
  [ "$(jq -r .name out)" = evil ]
  err_has "pinned to account key $(thumbprint_of mallory) in place of $(thumbprint_of alice)"
  expect 0 as carol imsg-lookup alice@example.com
  [ ! -s err ]
}

@test "the hinted command works for a folder whose name has blanks and quotes" {
  d="a 'b' \$c"
  mv "$D" "$d"
  as carol imsg-lookup -q -d "$d" alice@example.com >was
  path=$(imsg-lookup --path alice@example.com)
  as mallory imsg-keygen -n evil alice@example.com | as mallory imsg-register -q -d other
  cp "other/$path" "$d/$path"
  expect 1 as carol imsg-lookup -d "$d" alice@example.com
  expect 0 as carol bash -c "$(hinted)"
  [ "$(jq -r .name out)" = evil ]
}

@test "a handle made to harm a shell or to look like an option does not, in the hint" {
  printf '#!/bin/sh\ntouch pwned\n' >run
  chmod +x run
  for handle in '$(./run)@example.com' "'\`./run\`;./run;'@example.com" '-d/nowhere@example.com'; do
    rm -rf mallory key
    as mallory imsg-keygen -q -o key -- "mailto:$handle" | as mallory imsg-register -q
    as carol imsg-lookup -q -- "$handle" >was
    file=$D/$(imsg-lookup --path -- "$handle")
    reissue "$file" bob/account.pem .
    expect 1 as carol imsg-lookup -- "$handle"
    expect 0 as carol bash -c "$(hinted)"
    [ "$(jq -r '.handles[0]' out)" = "mailto:$handle" ]
    [ ! -e pwned ]
  done
}

# The refusal of a rollback: in its own words, without a command that accepts it, which --accept does not either.
rollback_with() {
  refused_with "$1"
  err_has "by the same account key"
  err_has "went back"
  err_has "imsg-keygen -y | imsg-register"
  [ -z "$(hinted)" ]
  expect 1 as carol imsg-lookup --accept "$(thumbprint_of alice)" alice@example.com
  no_out
  err_has "$1"
}

@test "an older entry is refused, and --accept of the same key does not pass it" {
  cp "$ALICE" old
  as alice imsg-register -q --remove phone
  as carol imsg-lookup -q alice@example.com >was
  as bob imsg-lookup -q alice@example.com >was
  cp old "$ALICE"
  rollback_with "older entry"
  err_has "seq 3 was seen, the directory serves 2"
  echo hello | expect 1 as bob imsg-seal -r alice@example.com
  no_out
  err_has "older entry"
  [ "$(pin_of mailto:alice@example.com | jq .seq)" -eq 3 ]
}

@test "--forget drops a pin on purpose, and the next look-up is a first sight" {
  cp "$ALICE" old
  as alice imsg-register -q --remove phone
  as carol imsg-lookup -q alice@example.com bob@example.com >was
  cp old "$ALICE"
  expect 0 as carol imsg-lookup --forget alice@example.com
  no_out
  err_has "mailto:alice@example.com: no longer pinned to account key $(thumbprint_of alice)"
  [ "$(as carol imsg-lookup --pins | jq -r .handle)" = mailto:bob@example.com ]
  expect 1 as carol imsg-lookup --forget alice@example.com
  errors_are 1
  expect 0 as carol imsg-lookup alice@example.com
  err_has "first seen"
  [ "$(pin_of mailto:alice@example.com | jq .seq)" -eq 2 ]
  for options in '--forget' '--forget --pins' '--forget --path alice@example.com' '--forget -d x alice@example.com' \
    "--forget --accept $(thumbprint_of alice) alice@example.com"; do
    # shellcheck disable=SC2086 # words
    expect 64 as carol imsg-lookup $options
  done
}

@test "another payload with the same seq is a fork" {
  as carol imsg-lookup -q alice@example.com >was
  reissue "$ALICE" alice/account.pem '.devices |= .[:1]'
  rollback_with "forked entry"
  err_has "seq 2 does not follow"
}

@test "the same payload signed once more is no fork" {
  as carol imsg-lookup -q alice@example.com >was
  cp "$ALICE" before
  reissue "$ALICE" alice/account.pem .
  without cmp -s before "$ALICE"
  expect 0 as carol imsg-lookup alice@example.com
}

@test "the next seq whose prev is not the pinned payload is a fork" {
  as carol imsg-lookup -q alice@example.com >was
  reissue "$ALICE" alice/account.pem '.seq = 3 | .prev = "00" * 32'
  rollback_with "forked entry"
  err_has "seq 3 does not follow"
  reissue "$ALICE" alice/account.pem '.prev = null'
  rollback_with "forked entry"
}

@test "the next seq with the right prev, and a jump ahead, are taken" {
  as carol imsg-lookup -q alice@example.com >was
  prev=$(payload_of "$ALICE" | sha256sum | cut -d' ' -f1)
  reissue "$ALICE" alice/account.pem '.seq = 3 | .prev = $prev'
  expect 0 as carol imsg-lookup alice@example.com
  reissue "$ALICE" alice/account.pem '.seq = 7'
  expect 0 as carol imsg-lookup alice@example.com
  [ "$(pin_of mailto:alice@example.com | jq .seq)" -eq 7 ]
}

@test "a pinned handle whose entry is gone is refused, not unknown" {
  as carol imsg-lookup -q alice@example.com >was
  rm "$ALICE"
  refused_with "no entry for it any more"
  err_has "went back"
  expect 1 as carol imsg-lookup --accept "$(thumbprint_of alice)" alice@example.com
  no_out
}

@test "one changed character anywhere is refused and never pinned" {
  good=$(<"$ALICE")
  for member in payload protected signature; do
    text=$(jq -r ".$member" "$ALICE")
    for at in 0 1 $((${#text} / 3)) $((${#text} / 2)) $((${#text} - 2)) $((${#text} - 1)); do
      for new in A w; do
        [ "${text:at:1}" != "$new" ] || continue
        printf '%s\n' "${good/"$text"/"${text:0:at}$new${text:at+1}"}" >"$ALICE"
        got=0
        as carol imsg-lookup alice@example.com >out 2>err || got=$?
        [ "$got" -eq 1 ] || [ "$got" -eq 65 ]
        no_out
      done
    done
  done
  [ -z "$(as carol imsg-lookup --pins)" ]
}

@test "a signature by another key than the one in the header is refused" {
  read_jwk alice/account.pem
  reissue "$ALICE" bob/account.pem . "{\"alg\":\"ES256\",\"jwk\":$jwk}"
  never_pinned 1
}

@test "a bad signature is refused even with --accept" {
  as carol imsg-lookup -q alice@example.com >was
  read_jwk alice/account.pem
  reissue "$ALICE" bob/account.pem . "{\"alg\":\"ES256\",\"jwk\":$jwk}"
  expect 1 as carol imsg-lookup --accept "$(thumbprint_of alice)" alice@example.com
  no_out
}

@test "a header with anything but alg ES256 and a public P-256 jwk is malformed" {
  read_jwk alice/account.pem
  reissue "$ALICE" alice/account.pem . "{\"jwk\":$jwk,\"alg\":\"ES256\"}"
  expect 0 as dave imsg-lookup alice@example.com # the order does not matter
  x=$(jq -r .x <<<"$jwk")
  inputs "$ALICE" alice/account.pem . \
    "{\"alg\":\"none\",\"jwk\":$jwk}" "{\"alg\":\"ES384\",\"jwk\":$jwk}" "{\"alg\":\"es256\",\"jwk\":$jwk}" \
    "{\"jwk\":$jwk}" '{"alg":"ES256"}' "{\"alg\":\"ES256\",\"jwk\":$jwk,\"kid\":\"x\"}" \
    "{\"alg\":\"ES256\",\"jwk\":$jwk,\"crit\":[\"b64\"],\"b64\":false}" "{\"alg\":\"ES256\",\"jku\":\"https://x\",\"jwk\":$jwk}" \
    "{\"alg\":\"ES256\",\"jwk\":$(jq -c --arg x "$x" '.d = $x' <<<"$jwk")}" \
    "{\"alg\":\"ES256\",\"jwk\":$(jq -c '.use = "sig"' <<<"$jwk")}" "{\"alg\":\"ES256\",\"jwk\":$(jq -c 'del(.y)' <<<"$jwk")}" \
    "{\"alg\":\"ES256\",\"jwk\":$(jq -c '.crv = "P-384"' <<<"$jwk")}" "{\"alg\":\"ES256\",\"jwk\":$(jq -c '.y = .x' <<<"$jwk")}" \
    "{\"alg\":\"ES256\",\"jwk\":$(jq -c '.x += "="' <<<"$jwk")}" \
    "{\"alg\":\"ES256\",\"alg\":\"ES256\",\"jwk\":$jwk}" "{\"alg\":\"ES256\",\"jwk\":${jwk%\}},\"x\":\"$x\"}}" >bad
  [ "$(wc -l <bad)" -eq 16 ]
  # They are found before the signature, which is not theirs: a 1 would be for that.
  signature=$(jq -r .signature "$ALICE")
  while IFS=. read -r protected payload; do
    printf '{"payload":"%s","protected":"%s","signature":"%s"}\n' "$payload" "$protected" "$signature" >"$ALICE"
    never_pinned 65
  done <bad
}

@test "a JWS with other members than its three is malformed" {
  cp "$ALICE" good
  for filter in '.header = {}' '.typ = "JOSE"' 'del(.signature)' 'del(.protected)' '.payload = {}' \
    '.signature += "=="' '.signature |= .[:-4]' '.payload += " "' '[.]' '{payload, signatures: [{protected, signature}]}'; do
    jq -c "$filter" good >"$ALICE"
    never_pinned 65
  done
  sed 's/^{/{"payload":"",/' good >"$ALICE"
  never_pinned 65
  head -c 200 good >"$ALICE"
  never_pinned 65
}

@test "a payload that is no entry/1, or not as the format says, is refused" {
  cp "$ALICE" good
  reissue "$ALICE" alice/account.pem '.unknown = 1'
  expect 0 as dave imsg-lookup alice@example.com # what nobody knows yet is no fault
  cp good "$ALICE"
  inputs "$ALICE" alice/account.pem \
    '((.imsg = "entry/2"), (.seq = 0), (.seq = 9007199254740992), del(.prev), (.expires = 1), (.devices = {}),
      (.devices[0].handles = ["mailto:bob@example.com"]), (.devices[0].token |= (if startswith("00") then "01" else "00" end) + .[2:]),
      (.devices = [range(65) as $i | .devices[0]]))' >bad
  [ "$(wc -l <bad)" -eq 9 ]
  while read -r input; do
    signed alice/account.pem "$input" >"$ALICE"
    never_pinned 65
  done <bad
}

@test "another handle's entry in its place is refused" {
  cp "$BOB" "$ALICE"
  never_pinned 1
  err_has "entry of mailto:bob@example.com"
  reissue "$BOB" bob/account.pem '.handle = "mailto:alice@example.com"' # his devices hold another handle
  cp "$BOB" "$ALICE"
  never_pinned 65
}

@test "an empty file, a folder or a link in an entry's place is the service's nonsense" {
  : >"$ALICE"
  never_pinned 76
  rm "$ALICE"
  mkdir "$ALICE"
  never_pinned 76
  rmdir "$ALICE"
  ln -s "$BOB" "$ALICE"
  never_pinned 76
}

@test "an expired entry is refused, one that will expire is taken" {
  reissue "$ALICE" alice/account.pem '.expires = "2020-01-01T00:00:00Z"'
  never_pinned 1
  err_has "expired at 2020-01-01T00:00:00Z"
  reissue "$ALICE" alice/account.pem '.expires = "2999-01-01T00:00:00Z"'
  expect 0 as carol imsg-lookup alice@example.com
}

@test "imsg-register --expires sets the day, and renews an entry whose time is over" {
  reissue "$ALICE" alice/account.pem '.expires = "2020-01-01T00:00:00Z" | .seq = 4'
  from=$(date -ud '+30 days' +%FT%TZ)
  as alice imsg-keygen -y | expect 0 as alice imsg-register --expires 30
  to=$(date -ud '+30 days' +%FT%TZ)
  expires=$(payload_of "$ALICE" | jq -r .expires)
  [[ ! $expires < $from && ! $expires > $to ]]
  expect 0 as carol imsg-lookup alice@example.com
  [ "$(wc -l <out)" -eq 2 ]
}

@test "an entry of one's own handle must be by one's own account key" {
  rm alice/pins.json # not for the pin's sake
  as mallory imsg-keygen -n evil alice@example.com | as mallory imsg-register -q -d other
  cp "other/$(imsg-lookup --path alice@example.com)" "$ALICE"
  expect 1 as alice imsg-lookup alice@example.com
  no_out
  err_has "$(thumbprint_of mallory)"
  err_has "$(thumbprint_of alice)"
  expect 1 as alice imsg-lookup --accept "$(thumbprint_of mallory)" alice@example.com
  no_out
  [ -z "$(as alice imsg-lookup --pins)" ]
  mv alice/account.pem elsewhere.pem # a device without the account key has the pin alone
  expect 0 as alice imsg-lookup alice@example.com
}

@test "a handle the directory does not have is 67, with the handle and the directory" {
  expect 67 as carol imsg-lookup nobody@example.com
  no_out
  errors_are 1
  err_has "mailto:nobody@example.com"
  err_has "\"$D\""
  [ -z "$(as carol imsg-lookup --pins)" ]
}

@test "an entry without a device is 67" {
  as bob imsg-register -q --remove bob
  expect 67 as carol imsg-lookup bob@example.com
  no_out
  err_has "\"$D\""
}

@test "of several handles the good ones are printed, and the first failure is the status" {
  expect 67 as carol imsg-lookup alice@example.com nobody@example.com bob@example.com
  [ "$(jq -r '.handles[0]' out | uniq | tr '\n' ' ')" = "mailto:alice@example.com mailto:bob@example.com " ]
  errors_are 1
  rm "$BOB"
  expect 1 as carol imsg-lookup bob@example.com nobody@example.com alice@example.com
  [ "$(wc -l <out)" -eq 2 ]
  errors_are 2
  expect 67 as carol imsg-lookup nobody@example.com bob@example.com
  errors_are 2
}

@test "a name, and what no handle can be, is 64 before anything is touched" {
  for operand in bob '' + +0123 @ a@ 'a b@c' 'a@b@c' mailto:bob tel:5551234 'alice@exämple.com'; do
    expect 64 as dave imsg-lookup alice@example.com "$operand"
    no_out
    errors_are 1
  done
  [ ! -e dave ]
}

@test "--accept of a key that is not served is refused and changes nothing" {
  expect 1 as carol imsg-lookup --accept "$(thumbprint_of bob)" alice@example.com
  no_out
  err_has "$(thumbprint_of bob)"
  err_has "$(thumbprint_of alice)"
  [ -z "$(as carol imsg-lookup --pins)" ]
  expect 0 as carol imsg-lookup --accept "$(thumbprint_of alice)" alice@example.com
  expect 1 as carol imsg-lookup --accept "$(thumbprint_of bob)" alice@example.com
  [ "$(pin_of mailto:alice@example.com | jq -r .account)" = "$(thumbprint_of alice)" ]
}

@test "--accept takes one handle and a whole thumbprint, --pins none, --path no --accept" {
  key=$(thumbprint_of alice)
  expect 64 as dave imsg-lookup --accept "$key" alice@example.com bob@example.com
  expect 64 as dave imsg-lookup --accept "${key:1}" alice@example.com
  expect 64 as dave imsg-lookup --accept ''  alice@example.com
  expect 64 as dave imsg-lookup --pins alice@example.com
  expect 64 as dave imsg-lookup --accept "$key" --path alice@example.com
  expect 64 as dave imsg-lookup --pins --path
  expect 64 as dave imsg-lookup --pins -d elsewhere
  expect 64 as dave imsg-lookup
  [ ! -e dave ]
}

@test "--path is the hash of the canonical handle and touches nothing" {
  hash=$(printf %s mailto:alice@example.com | sha256sum | cut -d' ' -f1)
  expect 0 as dave env XDG_DATA_HOME="$T/data" imsg-lookup --path alice@example.com ALICE@EXAMPLE.COM +1-555-123-4567
  [ "$(sed -n 1p out)" = "imsg/v1/h/${hash:0:2}/$hash.json" ]
  [ "$(sed -n 2p out)" = "$(sed -n 1p out)" ]
  [ "$(sed -n 3p out)" = "$(imsg-lookup --path tel:+15551234567)" ]
  [ ! -e dave ]
  [ ! -e data ]
}

@test "--pins of one who has seen nobody prints nothing" {
  expect 0 as dave imsg-lookup --pins
  no_out
}

@test "a damaged pins file is 78 and stays as it is" {
  as carol imsg-lookup -q alice@example.com >was
  for damage in '{}' '' '{"imsg":"pins/1","pins":{"mailto:alice@example.com":{"account":"x","seq":1,"payload":""}}}'; do
    printf %s "$damage" >carol/pins.json
    expect 78 as carol imsg-lookup alice@example.com
    no_out
    err_has carol/pins.json
    [ "$(cat carol/pins.json)" = "$damage" ]
    expect 78 as carol imsg-lookup --pins
  done
}

@test "two look-ups at once both keep what they pinned" {
  for round in 1 2 3; do
    rm -rf carol
    as carol imsg-lookup -q alice@example.com >one & first=$!
    as carol imsg-lookup -q bob@example.com >two & second=$!
    wait $first
    wait $second
    [ "$(as carol imsg-lookup --pins | wc -l)" -eq 2 ] || { echo "round $round"; false; }
  done
}

@test "a record that its device did not sign is refused by name, and the entry's others count" {
  reissue "$ALICE" alice/account.pem '.seq += 1 | .prev = "'"$(payload_of "$ALICE" | sha256sum | cut -d' ' -f1)"'"
    | .devices += [.devices[0] | .name = "forged" | .handles += ["mailto:x@example.com"]]
    | .devices += [.devices[1] | .name = "bare" | del(.proofs)]'
  expect 1 as carol imsg-lookup alice@example.com
  [ "$(jq -r .name out | sort | tr '\n' ' ')" = "alice phone " ]
  err_has 'device "forged" (token'
  err_has 'of mailto:alice@example.com: no proof of mailto:x@example.com'
  err_has 'device "bare" (token'
  errors_are 2
  # again: the pin does not move, and they are refused all the same
  expect 1 as carol imsg-lookup alice@example.com
  [ "$(wc -l <out)" -eq 2 ]
  errors_are 2
  # so they are by imsg-seal, at first sight and later; the others are sealed for
  as dave imsg-keygen -q dave@example.com | as dave imsg-register -q
  for user in dave carol dave; do
    [ -e $user/identity.json ] || as $user imsg-keygen -q $user@example.com | as $user imsg-register -q
    echo hello | expect 1 as $user imsg-seal -q --no-self -r alice@example.com
    [ "$(wc -l <out)" -eq 2 ]
    errors_are 2
    echo hello | expect 1 as $user imsg-seal -q -s --no-self -r alice@example.com
    no_out
  done
  # and a sender's own record is what counts for a message from him
  echo hello | as alice imsg-seal -q --no-self -r carol@example.com >line
  expect 0 as carol imsg-open -q line
  [ "$(cat out)" = hello ]
}

@test "a sender whose record in the directory is not proven is refused, once it is pinned too" {
  as carol imsg-keygen -q carol@example.com | as carol imsg-register -q
  echo hello | as alice imsg-seal -q --no-self -r carol@example.com >line
  reissue "$ALICE" alice/account.pem '.seq += 1 | .prev = "'"$(payload_of "$ALICE" | sha256sum | cut -d' ' -f1)"'"
    | .devices[].proofs = []'
  for _ in 1 2; do
    expect 1 as carol imsg-open line
    no_out
    err_has 'of mailto:alice@example.com: no proof of mailto:alice@example.com'
  done
}

@test "a record that names an account key counts in that one's entries only" {
  as alice imsg-keygen -y >named
  [ "$(jq -r .account named)" = "$(thumbprint_of alice)" ]
  as mallory imsg-keygen -q mallory@example.com | as mallory imsg-register -q
  file=$D/$(imsg-lookup --path mallory@example.com)
  reissue "$file" mallory/account.pem ".handle = \"mailto:alice@example.com\" | .devices = [$(cat named)]"
  mv "$file" "$ALICE"
  expect 1 as carol imsg-lookup alice@example.com
  no_out
  err_has "it belongs to account key $(thumbprint_of alice), not to $(thumbprint_of mallory)"
}

@test "a bare payload that verifies with a copied record opens, but pins nobody" {
  as carol imsg-keygen -q carol@example.com >carol.jsonl
  as mallory imsg-keygen -q mallory@example.com | as mallory imsg-register -q
  echo hello | as alice imsg-seal -q --raw -E pair-ec -R carol.jsonl >payload
  cp "$ALICE" genuine
  file=$D/$(imsg-lookup --path mallory@example.com)
  reissue "$file" mallory/account.pem ".handle = \"mailto:alice@example.com\"
    | .devices = [$(as alice imsg-keygen -y) | .account = \"$(thumbprint_of mallory)\"]"
  mv "$file" "$ALICE"
  expect 0 as carol imsg-open --raw -E pair-ec --from alice@example.com payload
  [ "$(cat out)" = hello ]
  [ -z "$(as carol imsg-lookup --pins)" ]
  cp genuine "$ALICE"
  expect 0 as carol imsg-open --raw -E pair-ec --from alice@example.com payload
  err_has 'mailto:alice@example.com: first seen, pinned to account key '
}
