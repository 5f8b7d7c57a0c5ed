#!/usr/bin/env bats
# What a record and an identity hold, checked with openssl and jq, and what becomes of a prekey that is rotated.
load common
setup() { setup_common; }
teardown() { teardown_common; }

hex() { od -An -v -tx1 | tr -d ' \n'; }
# key FILE NAME: the private key of that name, as PEM. Its point, hex: point FILE NAME.
key() { jq -r ".keys.$2" "$1"; }
point() { key "$1" "$2" | openssl pkey -pubout -outform DER | tail -c 65 | hex; }
member() { jq -r ".$1" "$2" | base64 -d | hex; } # base64 as hex
sha256_of_hex() { xxd -r -p <<<"$1" | sha256sum | cut -d' ' -f1; }

@test "the record is one line with the members of the format, in their order" {
  expect 0 as alice imsg-keygen -n laptop alice@example.com
  [ ! -s err ]
  [ "$(wc -l <out)" -eq 1 ]
  without grep -q ' ' out
  [ "$(jq -c keys_unsorted out)" = \
    '["imsg","handles","proofs","name","token","identity","device_key","prekey","limit","created"]' ]
  [ "$(jq -c '[.imsg, .handles, .name, .limit]' out)" = '["device/1",["mailto:alice@example.com"],"laptop",16384]' ]
  jq -e '.token | test("^[0-9a-f]{64}$")' out
  jq -e '(now - (.created | fromdate)) as $age | $age >= 0 and $age < 600' out
}

@test "the public identity is 249 bytes of the one shape, holding the signing key and a modulus of 1280 bits" {
  as alice imsg-keygen alice@example.com >record
  identity=$(member identity record)
  [ ${#identity} -eq 498 ]
  n=$(key alice/identity.json encryption | openssl rsa -noout -modulus | sed s/Modulus=// | tr A-F a-f)
  [ ${#n} -eq 320 ]
  [[ $n == [89a-f]* ]]
  [ "$identity" = "3081f681430041$(point alice/identity.json signing)8281ae00ac3081a90281a100${n}0203010001" ]
}

@test "the identity's fingerprint is the hash of both keys without their wrappers" {
  as alice imsg-keygen alice@example.com >record
  identity=$(member identity record)
  [ "$(as alice imsg-keygen -F -j | jq -r .identity)" = "$(sha256_of_hex "${identity:10:134}${identity:150}")" ]
}

@test "the token is the SHA-256 of the device key's point, whose y is the smaller root" {
  half=7fffffff800000008000000000000000000000007fffffffffffffffffffffff # (p - 1) / 2
  for i in 1 2 3 4; do
    as "a$i" imsg-keygen alice@example.com >record
    device=$(point "a$i/identity.json" device)
    prekey=$(point "a$i/identity.json" prekey)
    [ "$(jq -r .token record)" = "$(sha256_of_hex "$device")" ]
    [ "$(member device_key record)" = "${device:2:64}" ]
    [[ ! ${device:66} > $half && ! ${prekey:66} > $half ]]
  done
}

@test "the prekey record is 109 bytes and signed by the device key" {
  start=$(date +%s)
  as alice imsg-keygen alice@example.com >record
  prekey=$(member prekey record)
  [ ${#prekey} -eq 218 ]
  x=${prekey:4:64} rs=${prekey:72:128} when=${prekey:202}
  [ "$prekey" = "0a20${x}1240${rs}19$when" ]
  [ "$x" = "$(point alice/identity.json prekey | cut -c 3-66)" ]
  key alice/identity.json device | openssl pkey -pubout -out pub
  { printf NGMPrekeySignature; xxd -r -p <<<"$x$when"; } >signed
  # DER with a zero in front of each number: openssl reads that where the first bit is set, so draw off the others.
  number() { local n=$1; while [[ $n == 00* ]]; do n=${n:2}; done; [[ $n != [89a-f]* ]] || n=00$n; printf '02%02x%s' $((${#n} / 2)) "$n"; }
  both=$(number "${rs:0:64}")$(number "${rs:64}")
  printf '30%02x%s' $((${#both} / 2)) "$both" | xxd -r -p >sig
  openssl dgst -sha256 -verify pub -signature sig signed
  # Seconds as a little-endian double, of just now; time() may be a tick behind date.
  seconds=$(xxd -r -p <<<"$when" | od -An -t f8 --endian=little)
  awk -v s="$seconds" -v from="$start" -v to="$(date +%s)" 'BEGIN { exit !(s >= from - 1 && s < to + 1) }'
}

@test "the identity file has the members of the format, PKCS#8 keys, and nothing of them is printed" {
  as alice imsg-keygen -n laptop alice@example.com >record 2>&1
  [ "$(jq -c keys_unsorted alice/identity.json)" = '["imsg","handles","name","token","created","keys","prekey_record"]' ]
  [ "$(jq -c '.keys | keys_unsorted' alice/identity.json)" = '["encryption","signing","device","prekey"]' ]
  [ "$(jq -c '[.imsg, .prekey_record]' alice/identity.json)" = "$(jq -c '["identity/1", .prekey]' record)" ]
  [ "$(jq -c '[.handles, .name, .token, .created]' alice/identity.json)" = "$(jq -c '[.handles, .name, .token, .created]' record)" ]
  for name in encryption signing device prekey; do
    key alice/identity.json $name | head -n 1 | grep -qx -- '-----BEGIN PRIVATE KEY-----'
    key alice/identity.json $name | openssl pkey -check -noout
  done
  without grep -q PRIVATE record
}

@test "two devices share nothing" {
  as a imsg-keygen -n x alice@example.com >one
  as b imsg-keygen -n x alice@example.com >two
  for name in token identity device_key prekey; do
    [ "$(jq -r ".$name" one)" != "$(jq -r ".$name" two)" ]
  done
}

@test "-y prints what was printed when it was made, but for the proofs" {
  as alice imsg-keygen -n laptop alice@example.com +15551234567 >record
  expect 0 as alice imsg-keygen -y
  same_record record out
  expect 0 imsg-keygen -y -i alice/identity.json
  same_record record out
}

@test "-o writes the identity elsewhere" {
  expect 0 as alice imsg-keygen -n a -o other.json alice@example.com
  mv out record
  [ ! -e alice/identity.json ]
  expect 0 as alice imsg-keygen -y -i other.json
  same_record record out
  expect 73 as alice imsg-keygen -o missing/other.json alice@example.com
  expect 73 as alice imsg-keygen -o . alice@example.com
  expect 64 as alice imsg-keygen -o - alice@example.com
}

@test "an identity that is there is never replaced: 73 and what to do" {
  as alice imsg-keygen -q alice@example.com >record
  cp alice/identity.json before
  expect 73 as alice imsg-keygen alice@example.com
  no_out
  errors_are 1
  err_has "hint: "
  err_has --rotate
  cmp before alice/identity.json
  printf x >any
  expect 73 as alice imsg-keygen -o any alice@example.com
  [ "$(cat any)" = x ]
}

@test "-F prints account, device and identity, and -j the same as JSON" {
  as alice imsg-keygen -q alice@example.com >record
  expect 0 as alice imsg-keygen -F
  [ "$(awk '{ print $1, NF }' out | tr '\n' ' ')" = "device 2 identity 2 " ]
  expect 0 as alice imsg-keygen -F -j
  [ "$(jq -c keys_unsorted out)" = '["imsg","token","identity"]' ]
  as alice imsg-register -q record
  expect 0 as alice imsg-keygen -F
  cp out human
  expect 0 as alice imsg-keygen --fingerprint --json
  [ "$(jq -c keys_unsorted out)" = '["imsg","account","token","identity"]' ]
  [ "$(jq -r .imsg out)" = fingerprint/1 ]
  [ "$(jq -r .token out)" = "$(jq -r .token record)" ]
  as bob imsg-lookup -q alice@example.com >seen
  [ "$(jq -r .account out)" = "$(as bob imsg-lookup --pins | jq -r .account)" ]
  [ "$(awk '{ print $1 "=" $2 }' human | tr '\n' ' ')" = "$(jq -r '"account=\(.account) device=\(.token) identity=\(.identity) "' out)" ]
}

@test "the name is the host's by default, and any text else" {
  expect 0 as alice imsg-keygen alice@example.com
  [ "$(jq -r .name out)" = "$(uname -n)" ]
  expect 0 as bob imsg-keygen -n 'Bobs "Gerät" \ 📱' bob@example.com
  [ "$(jq -r .name out)" = 'Bobs "Gerät" \ 📱' ]
  expect 64 as carol imsg-keygen -n '' carol@example.com
  expect 64 as carol imsg-keygen -n "$(printf 'a\377')" carol@example.com
  [ ! -e carol ]
}

@test "handles are canonical, in order and once" {
  expect 0 as alice imsg-keygen Alice@Example.COM '+1 (555) 123-4567' mailto:alice@example.com TEL:+1.555.123.4567 a.b+c@d
  [ "$(jq -c .handles out)" = '["mailto:alice@example.com","tel:+15551234567","mailto:a.b+c@d"]' ]
}

@test "what is no handle is 64, and no file is made" {
  for handle in alice '' @ alice@ @example.com 'a b@example.com' a@b@c + +1 +0123456 +1234567890123456 +12x tel:555 mailto: \
    'älice@example.com' "$(printf 'a\tb@example.com')" "$(printf 'a%.0s' {1..400})@example.com"; do
    expect 64 as alice imsg-keygen good@example.com "$handle"
    no_out
    errors_are 1
  done
  expect 64 as alice imsg-keygen
  [ ! -e alice ]
}

@test "--relay goes into the record and identity; a folder or plain http there is 64" {
  expect 0 as alice imsg-keygen --relay https://relay.example:8443 alice@example.com
  [ "$(jq -r .relay out)" = https://relay.example:8443 ]
  [ "$(jq -r .relay alice/identity.json)" = https://relay.example:8443 ]
  cp out record
  expect 0 as alice imsg-keygen -y
  same_record record out
  for relay in folder /folder http://relay.example https://relay.example/path https://u@relay.example ''; do
    expect 64 as bob imsg-keygen --relay "$relay" bob@example.com
    no_out
  done
  [ ! -e bob/identity.json ]
}

@test "the configured relay goes into the record, unless it is a folder" {
  expect 0 as a env IMSG_RELAY=https://r.example imsg-keygen a@example.com
  [ "$(jq -r .relay out)" = https://r.example ]
  expect 0 as b env IMSG_SERVER=https://s.example imsg-keygen b@example.com
  [ "$(jq -r .relay out)" = https://s.example ]
  expect 0 as c env IMSG_RELAY="$T/relay" imsg-keygen c@example.com
  [ "$(jq 'has("relay")' out)" = false ]
  expect 0 as d env IMSG_RELAY=https://r.example imsg-keygen --relay https://mine.example d@example.com
  [ "$(jq -r .relay out)" = https://mine.example ]
}

@test "--rotate makes a new prekey and keeps the old ones; all else stays" {
  as alice imsg-keygen -n laptop alice@example.com >record
  cp alice/identity.json before
  expect 0 as alice imsg-keygen --rotate
  err_has "imsg-keygen -y | imsg-register"
  [ "$(jq -cS 'del(.prekey, .proofs)' record)" = "$(jq -cS 'del(.prekey, .proofs)' out)" ]
  [ "$(jq -r .prekey record)" != "$(jq -r .prekey out)" ]
  cp out rotated
  expect 0 as alice imsg-keygen -y
  same_record rotated out
  [ "$(jq -r '.retired[0].prekey' alice/identity.json)" = "$(jq -r .keys.prekey before)" ]
  jq -e '.retired[0].retired | fromdate' alice/identity.json
  [ "$(jq -cS '.keys | del(.prekey)' before)" = "$(jq -cS '.keys | del(.prekey)' alice/identity.json)" ]
  cp alice/identity.json before
  expect 0 as alice imsg-keygen --rotate -q
  [ ! -s err ]
  [ "$(jq -c '[.retired[].prekey]' alice/identity.json)" = "$(jq -c '[.retired[0].prekey, .keys.prekey]' before)" ]
  [ "$(stat -c %a alice/identity.json)" = 600 ]
}

@test "what was sealed before two rotations is still opened, and what is sealed after them" {
  new_user alice
  new_user bob
  echo early | as alice imsg-seal -q -r bob@example.com -E pair-ec >early
  as bob imsg-keygen -q --rotate >record
  as bob imsg-keygen -q --rotate | as bob imsg-register -q
  echo late | as alice imsg-seal -q -r bob@example.com -E pair-ec >late
  [ "$(as bob imsg-open -q early late)" = "$(printf 'early\nlate')" ]
}

@test "members of an identity that nobody knows yet survive a rotation" {
  as alice imsg-keygen -q alice@example.com >record
  jq -c '.later = {"a": [1]}' alice/identity.json >new
  cat new >alice/identity.json
  expect 0 as alice imsg-keygen --rotate
  [ "$(jq -c .later alice/identity.json)" = '{"a":[1]}' ]
}

@test "--rotate leaves an identity alone that would grow beyond what can be read again" {
  as alice imsg-keygen -q alice@example.com >record
  local len
  len=$(wc -c <alice/identity.json)
  head -c $((1048576 - len - 20)) /dev/zero | tr '\0' a >filler
  jq -c --rawfile later filler '.later = $later' alice/identity.json >before
  cat before >alice/identity.json
  expect 65 as alice imsg-keygen --rotate
  no_out
  err_has 'longer than 1048576 bytes'
  cmp before alice/identity.json
  expect 0 as alice imsg-keygen -y
  same_record record out
}

@test "--rotate of an identity file behind a link rotates the file, and the link stays" {
  as alice imsg-keygen -q -o real.json alice@example.com >record
  mkdir -p alice
  ln -s ../real.json alice/identity.json
  expect 0 as alice imsg-keygen --rotate
  [ -L alice/identity.json ]
  [ "$(jq '.retired | length' real.json)" -eq 1 ]
}

@test "rotations at once lose no prekey" {
  as alice imsg-keygen -q alice@example.com >record
  for i in 1 2 3 4; do
    as alice imsg-keygen -q --rotate >"out$i" &
    pids[i]=$!
  done
  for i in 1 2 3 4; do wait "${pids[i]}"; done
  [ "$(jq '[.retired[].prekey, .keys.prekey] | unique | length' alice/identity.json)" -eq 5 ]
}

@test "-y, -F and --rotate without an identity are 66 with a hint, and make none" {
  for option in -y -F --rotate; do
    expect 66 as alice imsg-keygen $option
    no_out
    errors_are 1
    err_has "hint: imsg-keygen HANDLE"
    expect 66 as alice imsg-keygen $option -i missing.json
    expect 66 as alice imsg-keygen $option -i .
  done
  [ ! -e alice/identity.json ]
}

@test "an identity that is damaged is 65" {
  as alice imsg-keygen -q alice@example.com >record
  cp alice/identity.json good
  as bob imsg-keygen -q bob@example.com >bob.record
  for filter in '.imsg = "identity/2"' 'del(.handles)' '.token |= (if startswith("00") then "01" else "00" end) + .[2:]' 'del(.keys.device)' 'del(.prekey_record)' \
    '.keys.device = "x"' '.keys.encryption = .keys.device' 'del(.keys[])' '.retired = 1' '.created = "today"'; do
    jq -c "$filter" good >alice/identity.json
    expect 65 as alice imsg-keygen -y
    no_out
    errors_are 1
  done
  head -c 500 good >alice/identity.json
  expect 65 as alice imsg-keygen -y
  # A prekey record of another device would reach everybody.
  jq -c --slurpfile b bob/identity.json '.prekey_record = $b[0].prekey_record' good >alice/identity.json
  expect 1 as alice imsg-keygen -y
  no_out
}

@test "an identity of one format only prints a record of that one" {
  as alice imsg-keygen -q -n a alice@example.com >record
  jq -c 'del(.keys.encryption, .keys.signing)' alice/identity.json >ec.json
  expect 0 imsg-keygen -y -i <(cat ec.json)
  [ "$(jq -c '[has("identity"), has("prekey"), .limit]' out)" = '[false,true,16384]' ]
  [ "$(imsg-keygen -F -i <(cat ec.json) | awk '{ print $1 }')" = device ]
  token=$(sha256_of_hex "$(point alice/identity.json signing)")
  jq -c --arg t "$token" 'del(.keys.device, .keys.prekey, .prekey_record) | .token = $t' alice/identity.json >pair.json
  expect 0 imsg-keygen -y -i <(cat pair.json)
  [ "$(jq -c '[has("identity"), has("device_key"), has("prekey"), .token]' out)" = "[true,false,false,\"$token\"]" ]
  chmod 600 pair.json
  expect 1 imsg-keygen --rotate -i pair.json
}

@test "a key whose point has the larger root is negated on load" {
  as alice imsg-keygen -q alice@example.com >record
  # The same x with the other y belongs to the group's order less d.
  d=$(key alice/identity.json device | openssl pkcs8 -topk8 -nocrypt -outform DER | hex)
  d=${d#*0201010420}
  order=ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
  negated='' borrow=0
  for ((i = 60; i >= 0; i -= 4)); do
    limb=$((16#${order:i:4} - 16#${d:i:4} - borrow))
    borrow=$((limb < 0))
    negated=$(printf %04x $((limb & 0xffff)))$negated
  done
  printf '30310201010420%sa00a06082a8648ce3d030107' "$negated" | xxd -r -p | openssl ec -inform DER 2>/dev/null |
    openssl pkcs8 -topk8 -nocrypt >pem
  jq -c --rawfile pem pem '.keys.device = $pem' alice/identity.json >other.json
  chmod 600 other.json
  expect 0 imsg-keygen -y -i other.json
  same_record record out
}

@test "conflicts are found before anything is touched" {
  while read -r options; do
    # shellcheck disable=SC2086 # words
    expect 64 as alice imsg-keygen $options
    no_out
    errors_are 1
    err_has "hint: imsg-keygen --help"
  done <<'END'
-y -F
-y --rotate
-F --rotate
-y -n name
-y alice@example.com
-F alice@example.com
--rotate alice@example.com
-y -o file
-y -p
--rotate -p
-F --relay https://relay.example
-i file alice@example.com
-i file -o other alice@example.com
-j alice@example.com
-y -j
--rotate -i -
--passphrase-file file alice@example.com
--passphrase-fd 3 alice@example.com
END
  [ ! -e alice ]
}

@test "--account goes into the identity and its records; without it that of the home goes into the records" {
  local thumbprint=muNfdc2If5IQiYj9CkGNjBVfvpbbbrWGHCikodPABpc
  as phone imsg-keygen -n phone --account $thumbprint alice@example.com >record
  [ "$(jq -r .account record phone/identity.json | sort -u)" = $thumbprint ]
  expect 0 as phone imsg-keygen -y
  same_record record out
  expect 0 as phone imsg-keygen -F
  grep -qx "account  $thumbprint" out
  # given later
  as alice imsg-keygen -q alice@example.com >record
  cp alice/identity.json before
  expect 0 as alice imsg-keygen -y --account $thumbprint
  [ "$(jq -r .account out)" = $thumbprint ]
  cmp <(jq -S 'del(.account)' alice/identity.json) <(jq -S . before)
  [ "$(stat -c %a alice/identity.json)" = 600 ]
  # account.pem
  as bob imsg-keygen bob@example.com | as bob imsg-register -q
  expect 0 as bob imsg-keygen -y
  [ "$(jq -r .account out)" = "$(as bob imsg-keygen -F -j | jq -r .account)" ]
  [ "$(jq 'has("account")' bob/identity.json)" = false ]
  for account in x '' ${thumbprint}A ${thumbprint%c}d "${thumbprint%?}"; do
    expect 64 as bob imsg-keygen -y --account "$account"
    expect 64 as bob imsg-keygen --account "$account" -o other.json bob@example.com
  done
  expect 64 as bob imsg-keygen -F --account $thumbprint
  expect 64 as bob imsg-keygen --rotate --account $thumbprint
  expect 64 as bob imsg-keygen -y -i - --account $thumbprint <bob/identity.json
}

@test "--account names no other key than the one that this home holds" {
  as alice imsg-keygen -q alice@example.com | as alice imsg-register -q
  cp alice/identity.json before
  other=$(printf '%043d' 0 | tr 0 A)
  expect 1 as alice imsg-keygen -y --account "$other"
  no_out
  err_has "account.pem, is another one: $(account_of alice)"
  cmp before alice/identity.json
  expect 0 as alice imsg-keygen -y --account "$(account_of alice)"
  expect 0 as alice imsg-keygen -o phone.json --account "$other" alice@example.com # a device of somebody else's
  rm alice/identity.json
  expect 1 as alice imsg-keygen --account "$other" alice@example.com
  [ ! -e alice/identity.json ]
}
