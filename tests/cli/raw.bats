#!/usr/bin/env bats
# Bare payloads: those of tests/vectors open, or are refused, as an independent implementation says.
# shellcheck disable=SC2086 # names, formats and the commands in $seal and $open are split on purpose
bats_require_minimum_version 1.5.0
load common
load vectors

# NAME.KIND.json and .jsonl: each device of the vectors, with the keys of both formats ("all") and of one.
setup_file() {
  local user kind
  setup_common
  umask 077
  for user in alice bob mallory carol; do
    for kind in all pair pair-ec; do
      vector_identity $user $kind >$user.$kind.json
      imsg-keygen -y -i $user.$kind.json >$user.$kind.jsonl
    done
  done
  keep_base
}
setup() { setup_base; }
teardown() { teardown_common; }

# positives FORMAT KIND: every one opens to exactly its plaintext, with sender and recipient of that kind.
positives() {
  local id from to payload plain count=0
  jq -r '.positive[] | "\(.id) \(.sender) \(.recipient)", "x" + .envelope_hex, "x" + .plaintext_hex' \
    "$VECTORS/$1.json" | escape_hex >cases
  while read -r id from to && read -r payload && read -r plain; do
    printf %b "${payload#x}" >payload
    printf %b "${plain#x}" >plain
    imsg-open -i "$to.$2.json" --raw -E "$1" -R "$from.$2.jsonl" --from "$from@example.com" payload >opened ||
      { echo "$id was refused"; return 1; }
    cmp plain opened || { echo "$id opened to something else"; return 1; }
    count=$((count + 1))
  done <cases
  [ $count -gt 15 ]
}

@test "the records of the vector devices hold their keys and tokens" {
  local user
  for user in alice bob mallory carol; do
    jq -r '.identity, .device_key, .prekey' $user.all.jsonl | base64 -d | basenc --base16 -w0 >got
    [ "$(<got)" = "$(jq -r ".$user | .identity + .device_x + .prekey_record | ascii_upcase" "$VECTORS/keys.json")" ]
    jq -s -e --arg signing "$(token_of "$(jq -r ".$user.signing_pub" "$VECTORS/keys.json")")" '
      .[0].token == .[2].token and .[1].token == $signing
      and (.[1] | has("device_key") or has("prekey") | not) and (.[2] | has("identity") | not)' \
      $user.all.jsonl $user.pair.jsonl $user.pair-ec.jsonl
  done
}

@test "every positive vector of pair opens to its plaintext" { positives pair all; }
@test "every positive vector of pair-ec opens to its plaintext" { positives pair-ec all; }
@test "identities with the keys of pair only open every vector of pair" { positives pair pair; }
@test "identities with the keys of pair-ec only open every vector of pair-ec" { positives pair-ec pair-ec; }

# negatives FORMAT: 65 for what shows without a key, 1 and always the same words for what is found after one was used.
negatives() {
  local id from to replaced allowed payload plain got said count=0
  jq -r '
    # Malformed, but inside: the format of what was decrypted.
    (["pair-neg-49", "pair-neg-50", "pair-neg-52"] + [range(59; 66) | "pair-ec-neg-\(.)"]) as $inside
    | .negative[] | .id as $id
    | {ok: 0, malformed: (if $inside | index($id) then 1 else 65 end), unsupported: 65, "bad-signature": 1,
       "not-for-this-key": 1, "bad-tag": 1} as $status
    | ([$id, .sender, .recipient, has("recipient_prekey_pkcs8_pem"),
       ([.expect, (.also_ok // [])[]] | map($status[.] | tostring) | unique | join(","))] | join(" ")),
      "x" + .envelope_hex, "x" + (.plaintext_hex // "")' "$VECTORS/$1.json" | escape_hex >cases
  while read -r id from to replaced allowed && read -r payload && read -r plain; do
    to=$to.all.json
    if [ "$replaced" = true ]; then
      jq -r --arg id "$id" '.negative[] | select(.id == $id).recipient_prekey_pkcs8_pem' "$VECTORS/$1.json" >prekey.pem
      (umask 077 && jq -c --rawfile pem prekey.pem '.keys.prekey = $pem' "$to" >replaced.json)
      to=replaced.json
    fi
    printf %b "${payload#x}" >payload
    got=0
    imsg-open -i "$to" --raw -E "$1" -R "$from.all.jsonl" --from "$from@example.com" payload >opened 2>err || got=$?
    said=$(<err)
    [[ ,$allowed, == *,$got,* ]] || { echo "$id: status $got, not $allowed: $said"; return 1; }
    case $got in
    0)
      printf %b "${plain#x}" >plain
      cmp plain opened || { echo "$id opened to something else"; return 1; }
      ;;
    1)
      diff - err <<END || { echo "$id"; return 1; }
imsg-open: error: "payload": refused
imsg-open: hint: imsg-inspect -i $to -R $from.all.jsonl -E $1 payload shows why
END
      ;;
    65) [[ $said == "imsg-open: error: \"payload\": $1 payload: "* ]] || { echo "$id says: $said"; return 1; } ;;
    esac
    [ "$got" -eq 0 ] || [ ! -s opened ] || { echo "$id was refused, but something came out"; return 1; }
    count=$((count + 1))
  done <cases
  [ $count -gt 50 ]
}

@test "every negative vector of pair ends with the status of its class and no output" { negatives pair; }
@test "every negative vector of pair-ec ends with the status of its class and no output" { negatives pair-ec; }

@test "a payload for a prekey that was replaced opens if that one is kept as retired, and only then" {
  jq -r '.negative[] | select(.id == "pair-ec-neg-51") | .recipient_prekey_pkcs8_pem' "$VECTORS/pair-ec.json" >new.pem
  jq -r '.negative[] | select(.id == "pair-ec-neg-51") | .envelope_hex' "$VECTORS/pair-ec.json" | unhex >payload
  jq -r '.positive[-1] | .plaintext_hex' "$VECTORS/pair-ec.json" | unhex >plain
  umask 077
  jq -c --rawfile pem new.pem '.keys.prekey = $pem' bob.all.json >rotated.json
  jq -c --rawfile pem new.pem '.retired = [{prekey: .keys.prekey, retired: "2026-11-25T00:00:00Z"}]
    | .keys.prekey = $pem' bob.all.json >kept.json
  expect 1 imsg-open -i rotated.json --raw -E pair-ec -R alice.all.jsonl --from alice@example.com payload
  no_out
  expect 0 imsg-open -i kept.json --raw -E pair-ec -R alice.all.jsonl --from alice@example.com payload
  cmp plain out
}

@test "compact keys stored with the larger root are the same keys" {
  local key d
  umask 077
  cp bob.all.json larger.json
  for key in device prekey; do
    d=$(hex_minus "$P256_N" "$(jq -r ".bob.${key}_d" "$VECTORS/keys.json")")
    unhex <<<"3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420$d" |
      openssl pkey -inform DER >larger.pem
    [ "$(point_of <larger.pem)" != "$(compact_point_of <larger.pem)" ]
    jq -c --arg key $key --rawfile pem larger.pem '.keys[$key] = $pem' larger.json >next.json
    mv next.json larger.json
  done
  imsg-keygen -y -i larger.json >larger.jsonl
  same_record larger.jsonl bob.all.jsonl
  jq -r '.positive[-1].envelope_hex' "$VECTORS/pair-ec.json" | unhex >payload
  jq -r '.positive[-1].plaintext_hex' "$VECTORS/pair-ec.json" | unhex >plain
  expect 0 imsg-open -i larger.json --raw -E pair-ec -R alice.all.jsonl --from alice@example.com payload
  cmp plain out
  # And it signs what others can verify.
  imsg-seal -i larger.json --raw -E pair-ec -R alice.all.jsonl plain >payload
  expect 0 imsg-open -i alice.all.json --raw -E pair-ec -R bob.all.jsonl --from bob@example.com payload
  cmp plain out
}

@test "what --raw seals, --raw opens, at every size that matters and with the keys of one format alone" {
  local format kind size
  head -c 65475 /dev/urandom >all
  for format in pair pair-ec; do
    for kind in all $format; do
      for size in 0 1 99 100 101 4096 65475; do
        head -c $size all >plain
        imsg-seal -i alice.$kind.json --raw -E $format -R bob.$kind.jsonl <plain >payload
        imsg-open -i bob.$kind.json --raw -E $format -R alice.$kind.jsonl --from alice@example.com payload >opened
        cmp plain opened
      done
    done
  done
}

@test "--raw prints exactly the payload, of the length the format says" {
  head -c 150 /dev/zero >plain
  imsg-seal -i alice.all.json --raw -E pair -R bob.all.jsonl plain >payload
  [ "$(head -c 3 payload | basenc --base16)" = 0200D2 ] # 160 + 50
  [ "$(wc -c <payload)" -eq $((3 + 210 + 1 + 0x$(tail -c +214 payload | head -c 1 | basenc --base16))) ]
  # inner 0A 9601 … 10 00 is 155 bytes; padded to 160, and the length of the padding.
  imsg-seal -i alice.all.json --raw -E pair-ec -R bob.all.jsonl plain >payload
  [ "$(head -c 3 payload | basenc --base16)" = 0AA401 ]
  [ "$(wc -c <payload)" -eq $((3 + 164 + 34 + 66 + 10)) ]
}

@test "content over what the format can hold is 65, and -S, which --raw excludes, is not offered" {
  local format
  head -c 65476 /dev/zero >plain
  for format in pair pair-ec; do
    expect 65 imsg-seal -i alice.all.json --raw -E $format -R bob.all.jsonl plain
    no_out
    errors_are 1
    run ! grep -qe -S err
  done
}

@test "the limit of a record does not bound --raw" {
  jq -c '.limit = 300' bob.all.jsonl >small.jsonl
  head -c 5000 /dev/zero >plain
  expect 65 imsg-seal -i alice.all.json -R small.jsonl plain
  expect 0 imsg-seal -i alice.all.json --raw -E pair-ec -R small.jsonl plain
}

@test "--raw wants exactly one device that offers the format" {
  local seal="imsg-seal -i alice.all.json --raw"
  cat bob.all.jsonl carol.all.jsonl >two.jsonl
  cat bob.pair.jsonl carol.pair-ec.jsonl >one-each.jsonl
  : >none.jsonl
  echo hi >plain
  for format in pair pair-ec; do
    expect 64 $seal -E $format -R two.jsonl plain
    no_out
    err_has "exactly one device that offers $format, not 2"
    expect 64 $seal -E $format -R bob.all.jsonl -R carol.all.jsonl plain
    expect 64 $seal -E $format -R none.jsonl plain
    err_has "exactly one device that offers $format, not 0"
    expect 0 $seal -E $format -R one-each.jsonl plain
    expect 0 $seal -E $format -R bob.all.jsonl -R bob.all.jsonl plain
  done
  expect 64 $seal -E pair-ec -R bob.pair.jsonl plain
  no_out
  expect 64 $seal -E pair -R bob.pair-ec.jsonl plain
  no_out
}

@test "an identity without the keys of the format seals nothing in it" {
  echo hi >plain
  expect 1 imsg-seal -i alice.pair.json --raw -E pair-ec -R bob.all.jsonl plain
  no_out
  expect 1 imsg-seal -i alice.pair-ec.json --raw -E pair -R bob.all.jsonl plain
  no_out
}

@test "--raw opens with any record of the handle, and with no other" {
  jq -c '.handles = ["mailto:alice@example.com"]' mallory.all.jsonl >false.jsonl
  jq -r '.positive[-1].envelope_hex' "$VECTORS/pair.json" | unhex >payload
  jq -r '.positive[-1].plaintext_hex' "$VECTORS/pair.json" | unhex >plain
  local open="imsg-open -i bob.all.json --raw -E pair --from alice@example.com"
  expect 0 $open -R false.jsonl -R alice.pair-ec.jsonl -R alice.all.jsonl payload
  cmp plain out
  expect 0 $open -R alice.all.jsonl - <payload
  cmp plain out
  expect 1 $open -R false.jsonl payload
  no_out
  expect 1 $open -R carol.all.jsonl payload
  no_out
  err_has "no record of mailto:alice@example.com"
  expect 1 $open -R alice.pair-ec.jsonl payload
  no_out
  expect 1 imsg-open -i bob.pair-ec.json --raw -E pair --from alice@example.com -R alice.all.jsonl payload
  no_out
}

@test "a payload larger than 128 KiB is malformed, whatever it holds" {
  head -c 131073 /dev/zero >payload
  expect 65 imsg-open -i bob.all.json --raw -E pair -R alice.all.jsonl --from alice@example.com payload
  no_out
  err_has "131072"
}

@test "the options of --raw are all there, or the status is 64" {
  local open="imsg-open -i bob.all.json -R alice.all.jsonl"
  : >payload
  expect 64 $open --raw --from alice@example.com payload
  expect 64 $open --raw -E pair payload
  expect 64 $open --raw -E pair --from alice@example.com --from bob@example.com payload
  expect 64 $open --raw -E pair --from alice@example.com -j payload
  expect 64 $open --raw -E pair --from alice@example.com payload payload
  expect 64 $open --raw -E rsa --from alice@example.com payload
  expect 64 $open --raw -E pair --from alice payload
  expect 64 $open -E pair --from alice@example.com payload
  local seal="imsg-seal -i alice.all.json -R bob.all.jsonl"
  expect 64 $seal --raw payload
  expect 64 $seal --raw -E pair -a payload payload
  expect 64 $seal --raw -E pair -T text/plain payload
  expect 64 $seal --raw -E pair -g group payload
  expect 64 $seal --raw -E pair -S payload
  expect 64 $seal --raw -E pair --reply payload payload
  no_out
}

@test "neither a payload nor a binary plaintext goes to a terminal, unless -o - says so" {
  local seal="imsg-seal -i alice.all.json --raw -E pair-ec -R bob.all.jsonl plain"
  local open="imsg-open -i bob.all.json --raw -E pair-ec -R alice.all.jsonl --from alice@example.com payload"
  printf '\377\376 not text' >plain
  expect 64 script -qec "$seal" /dev/null </dev/null
  grep -q 'binary output is not written to a terminal' out
  [ "$(wc -c <out)" -lt 200 ]
  expect 0 script -qec "$seal -o -" /dev/null </dev/null
  [ "$(wc -c <out)" -gt 100 ]
  $seal >payload
  expect 64 script -qec "$open" /dev/null </dev/null
  run ! grep -q 'not text' out
  expect 0 script -qec "$open -o -" /dev/null </dev/null
  cmp plain out
  echo text >plain
  $seal >payload
  expect 0 script -qec "$open" /dev/null </dev/null
  [ "$(tr -d '\r' <out)" = text ]
}
