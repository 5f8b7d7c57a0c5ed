#!/usr/bin/env bats
# imsg-inspect: what it shows of every form, what it says of damage, and that nothing breaks it.
bats_require_minimum_version 1.5.0
load common
load vectors

# Each device of the vectors: USER.json, USER.jsonl; all records in all.jsonl; envelopes of one message, from alice to
# bob and carol, in envelopes.jsonl; both base payloads in base.FORMAT.
setup_file() {
  local user format
  setup_common
  umask 077
  for user in alice bob mallory carol; do
    vector_identity $user all >$user.json
    imsg-keygen -y -i $user.json >$user.jsonl
  done
  cat alice.jsonl bob.jsonl mallory.jsonl carol.jsonl >all.jsonl
  printf 'hello\nworld\n' | imsg-seal -i alice.json -R bob.jsonl -R carol.jsonl >envelopes.jsonl
  for format in pair pair-ec; do
    jq -r '.positive[-1].envelope_hex' "$VECTORS/$format.json" >base.$format.hex
    unhex <base.$format.hex >base.$format
  done
  keep_base
}
setup() { setup_base; }
teardown() { teardown_common; }

vector_payload() { # FORMAT ID: its bytes
  jq -r --arg id "$2" '(.positive + .negative)[] | select(.id == $id).envelope_hex' "$VECTORS/$1.json" | unhex
}
# shown FILTER: what jq makes of the last expect's output (-j).
shown() { jq -r "$1" out; }
is() { [ "$1" = "$2" ] || { echo "is:   $1"; echo "want: $2"; return 1; }; }
check_is() { # NAME true|false
  is "$(shown ".checks[] | select(.name == \"$1\") | .ok")" "$2"
}

# ---- vectors ----

# A process per input would be most of a test's time, so many files are given to one run: what a run says of each stands
# in its line of -j, and one that broke off has too few.

# vector_files FORMAT SET: ID.bin for each, and lines "ID SENDER RECIPIENT" in cases.
vector_files() {
  local id payload
  jq -r ".$2[] | .id, \"x\" + .envelope_hex" "$VECTORS/$1.json" | escape_hex >files
  while read -r id && read -r payload; do
    printf %b "${payload#x}" >"$id.bin"
  done <files
  jq -r ".$2[] | \"\(.id) \(.sender) \(.recipient)\"" "$VECTORS/$1.json" >cases
}

# for_recipients FORMAT OPTION...: all files of cases, each with its recipient's keys.
for_recipients() {
  local user files
  for user in alice bob carol; do
    mapfile -t files < <(awk -v user=$user '$3 == user { print $1 ".bin" }' cases)
    [ ${#files[@]} -eq 0 ] || imsg-inspect "$@" -i $user.json -R all.jsonl "${files[@]}"
  done
}

positives() {
  vector_files "$1" positive
  for_recipients -j >shown
  jq -n -r --slurpfile shown shown --slurpfile vectors "$VECTORS/$1.json" --arg format "$1" '
    ($shown | map({key: .input, value: .}) | from_entries) as $of
    | $vectors[0].positive[] | . as $v | $of[.id + ".bin"] as $got
    | if $got.kind != $format then "\(.id): kind \($got.kind)" else empty end,
      if $got.verdict.status != 0 then "\(.id): \($got.verdict.text)" else empty end,
      if [$got.checks[].ok] | all | not then "\(.id): a check says no" else empty end,
      if $got.values.plaintext != .plaintext_hex then "\(.id): another plaintext" else empty end,
      if has("counter") and .counter != $got.counter then "\(.id): counter \($got.counter)" else empty end,
      (.intermediates | to_entries[] | select($got.values[.key] != .value) | "\($v.id): another \(.key)")
    ' >wrong
  diff /dev/null wrong
  is "$(wc -l <shown)" "$(jq '.positive | length' "$VECTORS/$1.json")"
}
@test "every positive vector of pair opens, and -j holds its intermediates by their names" { positives pair; }
@test "every positive vector of pair-ec opens, and -j holds its intermediates by their names" { positives pair-ec; }

@test "the view for people holds every intermediate of every positive vector, and every check" {
  local format count
  for format in pair pair-ec; do
    vector_files $format positive
    for_recipients >view
    jq -r '.positive[] | .plaintext_hex, .intermediates[] | select(. != "")' "$VECTORS/$format.json" | sort -u >values
    sed -n 's/^      \([0-9a-f]*\)$/\1/p' view | sort -u >seen
    comm -23 values seen >missing
    diff /dev/null missing
    count=$(wc -l <cases)
    is "$(grep -cE '^  signature +yes  ' view)" "$count"
    is "$(grep -cx 'verdict: imsg-open accepts it' view)" "$count"
    is "$(grep -cE "^  $([ $format = pair ] && echo tag || echo inner) +yes  " view)" "$count"
  done
}

@test "the rows of a payload leave no byte out, and none stands in two" {
  for format in pair pair-ec; do
    vector_files $format positive
    imsg-inspect -j ./*.bin >shown
    rm ./*.bin
    jq -r 'def tiles($from; $to):
        reduce .[] as $row ($from; if . == $row.offset then . + $row.length else -1 end) == $to;
      . as $all | if (.fields | tiles(0; $all.length)) then empty else "\(.input): top" end,
      (.fields[] | select(.fields) | . as $row | select(.fields | tiles($row.offset; $row.offset + $row.length) | not)
       | "\($all.input): \(.field)")' shown >wrong
    diff /dev/null wrong
  done
}

# Class and status of every negative vector, and where it stops making sense if it is malformed.
negatives() {
  local id from to replaced files
  vector_files "$1" negative
  jq -r '.negative[] | [.id, .sender, .recipient, has("recipient_prekey_pkcs8_pem")] | join(" ")' \
    "$VECTORS/$1.json" >cases
  while read -r id from to replaced; do
    [ "$replaced" = true ] || continue
    jq -r --arg id "$id" '.negative[] | select(.id == $id).recipient_prekey_pkcs8_pem' "$VECTORS/$1.json" >prekey.pem
    (umask 077 && jq -c --rawfile pem prekey.pem '.keys.prekey = $pem' "$to.json" >"replaced-$to.json")
  done <cases
  cut -d' ' -f2-4 cases | sort -u >groups
  while read -r from to replaced; do
    mapfile -t files < <(awk -v g="$from $to $replaced" '$2 " " $3 " " $4 == g { print $1 ".bin" }' cases)
    [ "$replaced" = false ] || to=replaced-$to
    imsg-inspect -j -E "$1" -i "$to.json" -R "$from.jsonl" "${files[@]}" >>shown 2>>err || true
  done <groups
  is "$(grep -c ': empty$' err)" 1 # the only one that has no line
  is "$(wc -l <shown)" $(($(wc -l <cases) - 1))
  # The class is the error's status, or what the verdict names.
  jq -n -r --slurpfile vectors "$VECTORS/$1.json" '
    (["pair-neg-49", "pair-neg-50", "pair-neg-52"] + [range(59; 66) | "pair-ec-neg-\(.)"]) as $inside
    | ($vectors[0].negative | map({key: (.id + ".bin"), value: .}) | from_entries) as $of
    | inputs | $of[.input] as $v
    | (.error.status // (.verdict.text | if . == "imsg-open accepts it" then "ok"
        else capture("^imsg-open refuses it: (?<class>[a-z-]+)").class end)) as $class
    | (if .error then 65 else .verdict.status end) as $status
    | (if $class == "ok" then 0
       elif ($class == "malformed" and ($inside | index($v.id) | not)) or $class == "unsupported" then 65
       else 1 end) as $want
    | if [$v.expect, ($v.also_ok // [])[]] | index($class) then empty else "\($v.id): \($class)" end,
      if $status != $want then "\($v.id): status \($status)" else empty end,
      if $status == 65 and (.error.text | startswith("at byte ") | not) then "\($v.id): \(.error.text)"
      else empty end,
      if $status == 65 and (.error.offset | type) != "number" then "\($v.id): no offset" else empty end,
      if $status == 1 and ([.checks[].ok] | all) then "\($v.id): refused, but every check says yes" else empty end
    ' shown >wrong
  diff /dev/null wrong
}
@test "every negative vector of pair ends with the status of its class, and says which check or byte it is" {
  negatives pair
}
@test "every negative vector of pair-ec ends with the status of its class, and says which check or byte it is" {
  negatives pair-ec
}

@test "a run ends with the status of its only or of its first input" {
  local id status
  for id in pair-neg-10:65 pair-neg-13:65 pair-neg-40:1 pair-neg-51:1 pair-neg-59:0 pair-ec-neg-15:65 pair-ec-neg-16:1 \
    pair-ec-neg-54:1 pair-ec-neg-62:1 pair-ec-neg-33:0 pair-ec-neg-69:0; do
    status=${id#*:}
    id=${id%:*}
    vector_payload "${id%-neg*}" "$id" >"$id.bin"
    expect "$status" imsg-inspect -E "${id%-neg*}" -i bob.json -R alice.jsonl "$id.bin"
  done
  expect 1 imsg-inspect -i bob.json -R alice.jsonl pair-neg-59.bin pair-neg-40.bin pair-neg-10.bin
  expect 65 imsg-inspect -i bob.json -R alice.jsonl pair-neg-59.bin pair-neg-10.bin pair-neg-40.bin
}

@test "public identities and prekey records of the vectors, good and bad" {
  local id bytes
  # What the record does not show is left out: that the key of another device is no point.
  jq -r '(.positive[], .negative[]) | select(.id != "prekey-neg-09") | .id // .name,
    "x" + (.identity_hex // .record_hex // (.ec_part_hex as $ec | "3081f68143" + $ec + "8281ae" + .rsa_part_hex))' \
    "$VECTORS/identity.json" "$VECTORS/prekey.json" | escape_hex >files
  while read -r id && read -r bytes; do
    printf %b "${bytes#x}" >"$id.bin"
  done <files
  imsg-inspect -j -R all.jsonl ./*.bin >shown 2>err || true
  jq -n -r --slurpfile identities "$VECTORS/identity.json" --slurpfile prekeys "$VECTORS/prekey.json" '
    ([($identities[0], $prekeys[0]) | .positive[], .negative[]]
      | map({key: "./\(.id // .name).bin", value: .}) | from_entries) as $of
    | inputs | $of[.input] as $v
    | if .error then .error.status elif .verdict then "bad-signature" else "ok" end
    # Some device of the records signed it, if not the one that is meant.
    | . as $class | if [$v.expect // "ok", (if $v.id == "prekey-neg-05" then "ok" else empty end),
        # With another first byte it is no identity.
        (if $v.id | IN("identity-neg-04", "identity-neg-05") then "unsupported" else empty end)] | index($class)
      then empty else "\($v.id // $v.name): \($class)" end' shown >wrong
  diff /dev/null wrong
  is "$(wc -l <shown)" "$(($(wc -l <files) / 2 - $(grep -c ': empty$' err)))"
  jq -r '.[].identity_hash' "$VECTORS/keys.json" | sort >want
  jq -r 'select(.error | not).values.identity_hash // empty' shown | sort | diff want -
  jq -r '.positive[].timestamp' "$VECTORS/prekey.json" | sort >want
  jq -r 'select(.checks[0].ok and .input != "./prekey-neg-05.bin").fields[] | select(.field == "time").seconds' shown |
    sort | diff want -
}

# ---- damage ----

# truncations FORMAT: at every length.
truncations() {
  local size length escaped
  escaped=$(sed 's/../\\x&/g' "base.$1.hex")
  size=$((${#escaped} / 4))
  mkdir cut
  for ((length = 1; length < size; length++)); do
    printf -v name cut/%03d $length
    printf %b "${escaped:0:4*length}" >"$name"
  done
  expect 65 imsg-inspect -j -E "$1" -i bob.json -R alice.jsonl cut/*
  errors_are $((size - 1))
  is "$(grep -cE '^imsg-inspect: error: "cut/[0-9]+": at byte [0-9]+: ' err)" $((size - 1))
  is "$(wc -l <out)" $((size - 1))
  # Every byte that is there is shown, and nothing is said of the message.
  jq -r 'select(.error.offset > .length or .verdict or .values
    or ([.fields[].length] | add) != .length) | "\(.length) bytes"' out >wrong
  diff /dev/null wrong
}
@test "a pair payload cut at any length is shown up to there, 65" { truncations pair; }
@test "a pair-ec payload cut at any length is shown up to there, 65" { truncations pair-ec; }

# flips FORMAT: every fifth bit, so that every byte has one. tests/unit/t-flips.c flips all of them.
flips() {
  local hex escaped bit bits at byte count=0
  hex=$(<"base.$1.hex")
  escaped=$(sed 's/../\\x&/g' "base.$1.hex")
  bits=$((4 * ${#hex}))
  mkdir flip
  [ "$1" = pair ] || bits=$((bits - 8)) # the sender's version, which is not signed
  for ((bit = 0; bit < bits; bit += 5)); do
    at=$((bit / 8))
    printf -v byte '\\x%02x' $((16#${hex:2*at:2} ^ 128 >> bit % 8))
    printf -v name flip/%04d $bit
    printf %b "${escaped:0:4*at}$byte${escaped:4*at+4}" >"$name"
    count=$((count + 1))
  done
  expect 65 imsg-inspect -j -E "$1" -i bob.json -R alice.jsonl flip/*
  is "$(wc -l <out)" $count
  jq -r 'if .error then 65 else .verdict.status end | tostring' out | sort -u | xargs >statuses
  is "$(<statuses)" "1 65"
  jq -r 'select((.error | not) and ([.checks[].ok] | all)) | .input' out >wrong
  diff /dev/null wrong
}
@test "a flipped bit in a pair payload: 65 or 1, and the byte or the check that it is" { flips pair; }
@test "a flipped bit in a pair-ec payload: 65 or 1, and the byte or the check that it is" { flips pair-ec; }

@test "an envelope, a record, an entry and an identity cut anywhere or with a damaged byte: shown up to there" {
  local file size at text
  new_user dora
  cp .local/share/imsg/directory/"$(imsg-lookup --path dora@example.com)" entry.json
  head -n 1 envelopes.jsonl >envelope.json
  mkdir cut damaged
  for file in envelope.json bob.jsonl entry.json bob.json; do
    text=$(<$file)
    size=${#text}
    for ((at = 1; at < size; at += 1 + size / 100)); do
      printf %s "${text:0:at}" >cut/$file.$at
      printf '%s~%s' "${text:0:at}" "${text:at+1}" >damaged/$file.$at
    done
  done
  expect 65 imsg-inspect -i bob.json -R alice.jsonl cut/*
  find cut -type f | wc -l >count
  errors_are "$(<count)"
  is "$(grep -c ': at byte [0-9]*: ' err)" "$(<count)"
  run ! grep -q 'PRIVATE KEY' out
  imsg-inspect -j -i bob.json -R alice.jsonl damaged/* >out 2>err || is $? 65
  is "$(wc -l <out)" "$(<count)"
  run ! grep -q 'PRIVATE KEY' out
  # In what nothing covers, a byte may change: names, times and the like.
  [ "$(jq -r 'select(.error or .verdict.status == 1).input' out | wc -l)" -gt $(($(<count) * 8 / 10)) ]
}

@test "random bytes of any length, also behind the first bytes of each form, break nothing" {
  local length start n=0
  head -c 300000 /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 -out random 2>/dev/null
  mkdir random.d
  for start in '' '\x02' '\x02\x00\xa0' '\x0a' '\x0a\x20' '\x30\x81\xf6' '\x1f\x8b\x08\x00' 'bplist00' '<?xml' '{' \
    '{"imsg":"message/1"' '{"imsg":"envelope/1","payload":"'; do
    for length in 1 3 31 109 160 1000 20000; do
      printf -v name random.d/%03d $((n += 1))
      { printf %b "$start"; tail -c +$((length * 3 + n)) random | head -c $length; } >"$name"
    done
  done
  expect 65 imsg-inspect -i bob.json -R alice.jsonl random.d/*
  is "$(grep -cE '^"random\.d/[0-9]+"( line 1)?: ' out)" $n
  # Nothing of it reaches the terminal as it is.
  run ! grep -qaP '[\x00-\x09\x0b-\x1f\x7f]' out
  run ! grep -qaP '[\x00-\x09\x0b-\x1f\x7f]' err
}

@test "what is missing from the first 100 bytes of a payload is said" {
  head -c 100 base.pair >short
  expect 65 imsg-inspect short
  err_has 'imsg-inspect: error: "short": at byte 1: body length '
  grep -qE '^ +3 +97 +body' out
  head -c 100 base.pair-ec >short
  expect 65 imsg-inspect short
  err_has 'imsg-inspect: error: "short": at byte 1: protobuf field 1 of 212 bytes exceeds the 97 bytes left'
  grep -qE '^ +3 +97 +payload ' out
  : >empty
  expect 65 imsg-inspect empty
  err_has 'imsg-inspect: error: "empty": empty'
  no_out
  expect 65 imsg-inspect </dev/null
  echo 'what is this' | expect 65 imsg-inspect
  err_has 'at byte 13: text ends where neither hexadecimal nor base64 can end'
  echo 'what is this?' | expect 65 imsg-inspect
  err_has 'at byte 12: text that is neither JSON nor hexadecimal nor base64'
  printf '02 00 zz' | expect 65 imsg-inspect
}

# ---- forms of input ----

@test "a payload in hexadecimal, in base64, in lines and in upper case is the same payload" {
  local format
  for format in pair pair-ec; do
    imsg-inspect -j -i bob.json -R alice.jsonl base.$format | jq 'del(.input, .encoding)' >want
    expect 0 imsg-inspect -j -i bob.json -R alice.jsonl base.$format.hex
    is "$(shown .encoding)" hex
    jq 'del(.input, .encoding)' out | diff want -
    fold -w 64 base.$format.hex | tr a-f A-F | expect 0 imsg-inspect -j -i bob.json -R alice.jsonl -
    jq 'del(.input, .encoding)' out | diff want -
    base64 base.$format >text
    expect 0 imsg-inspect -j -i bob.json -R alice.jsonl text
    is "$(shown .encoding)" base64
    jq 'del(.input, .encoding)' out | diff want -
    expect 0 imsg-inspect -j -E $format -i bob.json -R alice.jsonl text
    jq 'del(.input, .encoding)' out | diff want -
  done
}

@test "-E takes a payload for what it says" {
  expect 65 imsg-inspect -j -E pair base.pair-ec
  is "$(shown '.kind + " " + .error.status')" "pair unsupported"
  expect 65 imsg-inspect -j -E pair-ec base.pair
  is "$(shown .kind)" pair-ec
  expect 64 imsg-inspect -E rsa base.pair
}

@test "several files and several lines: a damaged one does not lose the others, and the first failure is the status" {
  sed 's/"id"/"id/' envelopes.jsonl | head -n 1 >lines
  cat envelopes.jsonl bob.jsonl >>lines
  expect 65 imsg-inspect -j base.pair lines missing base.pair-ec
  is "$(shown '[.input, .line, .kind, .error.status] | map(tostring) | join(" ")')" "base.pair null pair null
lines 1 envelope/1 malformed
lines 2 envelope/1 null
lines 3 envelope/1 null
lines 4 device/1 null
base.pair-ec null pair-ec null"
  err_has 'imsg-inspect: error: "lines": line 1: at byte '
  err_has 'imsg-inspect: error: "missing": '
  errors_are 2
  expect 66 imsg-inspect missing lines
  { echo '# a comment'; cat bob.jsonl; } >lines
  expect 65 imsg-inspect -j lines
  is "$(shown '"\(.line) \(.kind)"')" "1 json
2 device/1"
}

@test "documents spread over lines are taken whole, one or several in a file" {
  jq . bob.jsonl >pretty
  expect 0 imsg-inspect -j pretty
  is "$(shown '"\(.line) \(.kind)"')" "null device/1"
  # What is at an offset is there.
  shown '.fields[] | select(.field == "name") | "\(.offset) \(.length)"' >place
  read -r offset length <place
  is "$(tail -c +$((offset + 1)) pretty | head -c "$length")" '"bob"'
  jq . bob.jsonl carol.jsonl envelopes.jsonl >pretty
  expect 0 imsg-inspect -j pretty
  is "$(shown '"\(.line) \(.kind)"' | cut -d' ' -f2 | xargs)" "device/1 device/1 envelope/1 envelope/1"
  is "$(shown '.line' | tail -n 1)" "$(grep -n '^{' pretty | tail -n 1 | cut -d: -f1)"
  # A damaged one in the middle ends where the next begins.
  { jq . bob.jsonl | sed 's/"limit"/"limit/'; jq . carol.jsonl; } >pretty
  expect 65 imsg-inspect -j pretty
  is "$(shown '"\(.kind) \(.error.status)"')" "device/1 malformed
device/1 null"
}

@test "each proof of a record is checked, and said to be valid or not" {
  as carol imsg-keygen -n c carol@example.com +15551234567 >carol.jsonl
  expect 0 imsg-inspect -j carol.jsonl
  is "$(shown '[.checks[] | select(.name == "proof") | .handle, .ok] | join(" ")')" \
    "mailto:carol@example.com true tel:+15551234567 true"
  is "$(shown .note)" null
  jq -c '.proofs[1] = .proofs[0]' carol.jsonl >bad.jsonl
  expect 1 imsg-inspect -j bad.jsonl
  is "$(shown '[.checks[] | select(.name == "proof") | .ok] | join(" ")')" "true false"
  is "$(shown .verdict.text)" \
    "imsg-open and imsg-register refuse it: the proof of tel:+15551234567 does not verify"
  expect 1 imsg-inspect bad.jsonl
  grep -q '^  proof tel:+15551234567 .* no ' out
  jq -c '.proofs += .proofs' carol.jsonl >bad.jsonl
  expect 1 imsg-inspect -j bad.jsonl
  is "$(shown .verdict.text)" "imsg-open and imsg-register refuse it: 4 proofs of 2 handles"
  # A record without proofs is one of a real client's keys.
  jq -c 'del(.proofs)' carol.jsonl >bare.jsonl
  expect 0 imsg-inspect -j bare.jsonl
  is "$(shown .note)" "no proofs: for --raw only"
  # In an entry also the account.
  as carol imsg-register -q carol.jsonl
  as carol imsg-keygen -y | as carol imsg-register -q
  expect 0 imsg-inspect -j ".local/share/imsg/directory/$(imsg-lookup --path carol@example.com)"
  is "$(shown '[.checks[] | select(.name == "proof" or .name == "account") | .name, .device, .ok] | join(" ")')" \
    "account 0 true proof 0 true proof 0 true"
}

@test "a message whose sender's record does not verify is refused, and its steps are shown all the same" {
  jq -c 'del(.proofs)' alice.jsonl >bare.jsonl
  head -n 1 envelopes.jsonl >one
  expect 1 imsg-inspect -j -i bob.json -R bare.jsonl one
  is "$(shown '[.checks[] | select(.ok | not) | .name] | join(" ")')" sender_record
  is "$(shown '.verdict.text | startswith("imsg-open refuses it: refused (sender_record: device ")')" true
  shown .values.plaintext | grep -q .
  # with the genuine record as well, that one is used
  cat bare.jsonl alice.jsonl >both.jsonl
  expect 0 imsg-inspect -j -i bob.json -R both.jsonl one
}

@test "a validator of another version is unsupported, and what the signature says is shown" {
  payload() { { head -c -1 base.bin && printf "$1"; } >version; }
  unhex <"base.pair-ec.hex" >base.bin
  payload '\015'
  expect 0 imsg-inspect -j -E pair-ec -i bob.json -R alice.jsonl version
  payload '\144'
  expect 65 imsg-inspect -j -E pair-ec -i bob.json -R alice.jsonl version
  is "$(shown '[.checks[] | select(.ok | not) | .name] | join(" ")')" validator_version
  is "$(shown '.checks[] | select(.name == "signature").ok')" true
  is "$(shown .verdict.text)" \
    "imsg-open refuses it: unsupported (validator_version: validator of version 64, not 0c to 63)"
  expect 65 imsg-inspect -j -E pair-ec version
  expect 65 imsg-open -i bob.json --raw -E pair-ec -R alice.jsonl --from alice@example.com version
}

# ---- envelopes ----

@test "an envelope without keys is shown, and what was not checked is said" {
  expect 0 imsg-inspect -j envelopes.jsonl
  is "$(shown .note | sort -u)" "signature: not checked, give -R RECORDS; not opened: give -i IDENTITY"
  is "$(shown '.plaintext, .verdict' | sort -u)" null
  is "$(head -n 1 out | jq -r .values.name)" "$(name_of "$(head -n 1 envelopes.jsonl)")"
  # The payload inside, with offsets of its own.
  head -n 1 envelopes.jsonl | jq -r .payload | base64 -d >payload
  imsg-inspect -j payload | jq -c .fields >want
  head -n 1 out | jq -c '.fields[] | select(.field == "payload").fields' | diff want -
  # A payload that is none takes nothing from the envelope's name.
  head -n 1 envelopes.jsonl | jq -c '.payload = "AAAA"' >broken
  expect 65 imsg-inspect -j broken
  is "$(jq -r .values.name out)" "$(name_of "$(cat broken)")"
}

@test "an envelope with keys: every step, the message, and the verdict; one for another device is left" {
  expect 0 imsg-inspect -j -i bob.json -R alice.jsonl envelopes.jsonl
  head -n 1 out >first
  jq -e '.verdict == {status: 0, text: "imsg-open accepts it"} and ([.checks[].ok] | all)
    and ([.checks[].name] == ["to_token", "to", "sender", "validator_version", "validator_device", "validator_prekey", "validator_sender",
      "signature", "inner", "message", "header_id", "header_from", "header_time", "header_to", "header_stream"])
    and .plaintext.kind == "message/1" and .counter == 0
    and (.plaintext.fields[] | select(.field == "content") | .value == "hello\nworld\n")' first
  tail -n 1 out >out.2
  jq -e '.note == "not opened: sealed for another device" and (has("verdict") or has("plaintext") | not)
    and (.values | keys == ["name", "replay_key"])' out.2
  expect 0 imsg-inspect -i bob.json -R alice.jsonl envelopes.jsonl
  grep -qx '  hello' out
  grep -qx 'verdict: imsg-open accepts it' out
}

@test "the default identity opens too, if there is one; if it cannot be read that is said, and all else is shown" {
  mkdir bob
  cp bob.json bob/identity.json
  expect 0 as bob imsg-inspect -j -R alice.jsonl base.pair
  is "$(shown .verdict.status)" 0
  chmod 644 bob/identity.json
  expect 77 as bob imsg-inspect -j -R alice.jsonl base.pair base.pair-ec
  errors_are 1
  is "$(shown '.kind + " " + .note' | tail -n 1)" "pair-ec not opened: give -i IDENTITY"
  # It is not even looked at for what it does not open.
  expect 0 as bob imsg-inspect bob.jsonl
  expect 66 imsg-inspect -i missing bob.jsonl
  no_out
}

@test "a retired prekey opens, and that it is retired is said" {
  local hex
  jq -r '.negative[] | select(.id == "pair-ec-neg-51") | .recipient_prekey_pkcs8_pem' "$VECTORS/pair-ec.json" >new.pem
  vector_payload pair-ec pair-ec-neg-51 >payload
  umask 077
  jq -c --rawfile pem new.pem '.retired = [{prekey: .keys.prekey, retired: "2026-11-25T00:00:00Z"}]
    | .keys.prekey = $pem' bob.json >kept.json
  expect 0 imsg-inspect -j -i kept.json -R alice.jsonl payload
  is "$(shown .retired)" 2026-11-25T00:00:00Z
  is "$(shown .values.prekey_x)" "$(jq -r .bob.prekey_x "$VECTORS/keys.json")"
  expect 0 imsg-inspect -i kept.json -R alice.jsonl payload
  grep -qx 'opened with a prekey retired: 2026-11-25T00:00:00Z' out
}

@test "a forged sender, a changed header, another's token: which check it is" {
  head -n 1 envelopes.jsonl >good
  jq -c '.from = "mailto:mallory@example.com"' good >forged
  expect 1 imsg-inspect -j -i bob.json -R all.jsonl forged
  check_is sender false
  is "$(shown .verdict.status)" 1
  # A record that claims both, for mallory's key: the signature is not by it.
  jq -c '.from_token = $token' --arg token "$(jq -r .token mallory.jsonl)" forged >signed
  expect 1 imsg-inspect -j -i bob.json -R all.jsonl signed
  check_is sender true
  check_is signature false
  grep -q 'imsg-open refuses it: bad-signature' out
  local change name
  while read -r name change; do
    jq -c "$change" good >changed
    expect 1 imsg-inspect -j -i bob.json -R all.jsonl changed
    check_is "$name" false
    check_is signature true
    is "$(shown "[.checks[] | select(.ok | not).name] | join(\" \")")" "$name"
    shown .verdict.text | grep -q "imsg-open refuses it: refused ($name: "
    expect 1 imsg-open -i bob.json -R all.jsonl changed
  done <<'END'
header_id .id = "00000000-0000-4000-8000-000000000000"
header_time .time = "2026-11-24T00:00:00Z"
END
  jq -c '.to = "mailto:carol@example.com"' good >changed
  expect 1 imsg-inspect -j -i bob.json -R all.jsonl changed
  check_is to false
  jq -c '.handles += ["mailto:other@example.com"]' bob.json >other.json
  chmod 600 other.json
  jq -c '.to = "mailto:other@example.com"' good >changed
  expect 1 imsg-inspect -j -i other.json -R all.jsonl changed
  check_is header_to false
  jq -c '.from_token = .to_token' good >changed
  expect 1 imsg-inspect -j -i bob.json -R all.jsonl changed
  check_is sender false
  jq -c '.format = "pair"' good >changed
  expect 65 imsg-inspect -i bob.json -R all.jsonl changed
  err_has 'pair payload: at byte 0: '
  # Damage in the payload shows without a key.
  jq -c '.payload |= .[:200]' good >changed
  expect 65 imsg-inspect -j changed
  is "$(shown '.error.status, .error.offset, .fields[-1].fields[1].length' | xargs)" "malformed 1 147"
  err_has 'pair-ec payload: at byte 1: protobuf field 1 of '
}

@test "without a record of the sender all but the signature is still shown" {
  expect 0 imsg-inspect -j -i bob.json base.pair
  is "$(shown .note)" "signature: not checked, give -R RECORDS"
  is "$(shown '.values.plaintext')" "$(jq -r '.positive[-1].plaintext_hex' "$VECTORS/pair.json")"
  is "$(shown '[.checks[].name] | join(" ")')" "oaep rsa_plain"
  expect 0 imsg-inspect -j -i bob.json base.pair-ec
  is "$(shown '.values.plaintext')" "$(jq -r '.positive[-1].plaintext_hex' "$VECTORS/pair-ec.json")"
  is "$(shown .counter)" "$(jq -r '.positive[-1].counter' "$VECTORS/pair-ec.json")"
  # Records, but none of them: refused, as imsg-open does.
  expect 1 imsg-inspect -j -i bob.json -R /dev/null base.pair-ec
  shown .verdict.text | grep -q 'no record given has a key for pair-ec'
  # The signature of pair needs no private key.
  expect 0 imsg-inspect -j -R alice.jsonl base.pair
  check_is signature true
  expect 1 imsg-inspect -j -R carol.jsonl base.pair
  check_is signature false
  # With the key of another device it is clear, too.
  expect 1 imsg-inspect -j -i carol.json base.pair
  check_is oaep false
  expect 1 imsg-inspect -j -i carol.json base.pair-ec
  check_is validator_device false
}

# ---- documents ----

@test "a device record: its keys decoded, token and prekey checked" {
  expect 0 imsg-inspect -j bob.jsonl
  check_is token true
  check_is prekey_signature true
  is "$(shown .values.identity_hash)" "$(jq -r .bob.identity_hash "$VECTORS/keys.json")"
  is "$(shown '.fields[] | select(.field == "device_key").value')" "$(jq -r .bob.device_x "$VECTORS/keys.json")"
  is "$(shown '.fields[] | select(.field == "identity").fields[] | select(.field == "rsa_n").value')" \
    "$(jq -r .bob.rsa_n "$VECTORS/keys.json")"
  is "$(shown '.fields[] | select(.field == "prekey").fields[] | select(.field == "time").value')" \
    "$(jq -r '.bob.prekey_record[-16:]' "$VECTORS/keys.json")"
  # A token that is not the key's, a member of the wrong type, a prekey by another device.
  jq -c '.token = (.token | explode | reverse | implode)' bob.jsonl >changed
  expect 65 imsg-inspect changed
  err_has token
  jq -c '.limit = "much"' bob.jsonl >changed
  expect 65 imsg-inspect changed
  err_has limit
  grep -qE ' device_key +[0-9a-f]{30}' out
  jq -c --slurpfile carol carol.jsonl '.prekey = $carol[0].prekey' bob.jsonl >changed
  expect 1 imsg-inspect -j changed
  check_is prekey_signature false
  shown .verdict.text | grep -q '^imsg-seal refuses it: '
}

@test "a directory entry: the JWS decoded, its signature checked, offsets right at each level" {
  local file offset length
  new_user dora
  file=.local/share/imsg/directory/$(imsg-lookup --path dora@example.com)
  expect 0 imsg-inspect -j "$file"
  check_is signature true
  check_is prekey_signature true
  is "$(shown .account)" "$(as dora imsg-keygen -F | awk '/^account/ { print $2 }')"
  # cut FILE ROW: the bytes a row speaks of.
  cut_row() {
    jq -r "$2 | \"\\(.offset) \\(.length)\"" row >place
    read -r offset length <place
    dd if="$1" bs=1 skip="$offset" count="$length" status=none
  }
  cp out row
  cut_row "$file" '.fields[] | select(.field == "payload")' | tr -d '"' | tr -- -_ +/ >text
  { cat text; head -c $(((4 - $(wc -c <text) % 4) % 4)) <<<====; } | base64 -d >payload
  is "$(shown .values.payload_sha256)" "$(sha256sum payload | cut -d' ' -f1)"
  local in='.fields[] | select(.field == "payload").fields[]'
  is "$(cut_row payload "$in | select(.field == \"handle\")")" '"mailto:dora@example.com"'
  is "$(cut_row payload "$in | select(.field == \"seq\")")" 1
  local device="$in | select(.field == \"devices\").fields[0].fields[]"
  is "$(cut_row payload "$device | select(.field == \"name\")")" '"dora"'
  cut_row payload "$device | select(.field == \"prekey\")" | tr -d '"' | base64 -d >prekey
  local prekey_x="$device | select(.field == \"prekey\").fields[] | select(.field == \"prekey_x\")"
  cut_row prekey "$prekey_x" | basenc --base16 -w0 >x
  is "$(tr A-F a-f <x)" "$(shown "$prekey_x.value")"
  is "$(tr A-F a-f <x)" "$(as dora imsg-inspect -j dora/identity.json | jq -r .values.prekey_x)"
  # Another signature; the payload changed; cut short.
  jq -c '.signature |= "AAAA" + .[4:]' "$file" >changed
  expect 1 imsg-inspect -j changed
  check_is signature false
  shown .verdict.text | grep -q '^imsg-lookup refuses it'
  jq -c '.payload |= "e" + .[1:-1] + "A"' "$file" >changed
  expect 1 imsg-inspect -j changed
  jq -c 'del(.signature)' "$file" >changed
  expect 65 imsg-inspect -j changed
  is "$(shown .kind)" jws
}

@test "an identity shows its private keys with --secrets only, in no form" {
  local view name
  jq -r '.keys[]' bob.json | grep -v -e ----- -e '^$' >pem
  jq -r '.bob | .signing_d, .device_d, .prekey_d' "$VECTORS/keys.json" >scalars
  jq -r '.keys[]' bob.json | grep -v -e ----- -e '^$' | head -c 30 | basenc --base16 >hexes
  for view in '' -j --hex; do
    # shellcheck disable=SC2086 # no word for none
    expect 0 imsg-inspect $view bob.json
    run ! grep -qFf pem out
    run ! grep -qFf scalars out
    run ! grep -qiFf hexes out
    run ! grep -q 'PRIVATE' out
  done
  grep -q '^hex dump left out' out
  expect 0 imsg-inspect -j bob.json
  for name in signing_pub rsa_n identity identity_hash device_x prekey_x prekey_record; do
    is "$(shown .values.$name)" "$(jq -r .bob.$name "$VECTORS/keys.json")"
  done
  expect 0 imsg-inspect -j --secrets bob.json
  for name in signing_d device_d prekey_d; do
    is "$(shown .values.$name)" "$(jq -r .bob.$name "$VECTORS/keys.json")"
  done
  is "$(shown '.fields[] | select(.field == "keys").fields[0].value')" "$(jq -r .keys.encryption bob.json)"
  # Damaged, with another type, with the keys elsewhere, as bare PEM: still not.
  jq -c . bob.json | head -c -20 >short
  sed 's,identity/1,identity/x,' bob.json >renamed
  jq -c '{a: .keys, b: [.keys.device]}' bob.json >moved
  jq -r .keys.device bob.json >key.pem
  for name in short renamed moved key.pem; do
    for view in '' -j --hex '-E pair'; do
      # shellcheck disable=SC2086 # no word for none
      expect 65 imsg-inspect $view $name
      [ "$name $view" = "key.pem -E pair" ] || run ! grep -qFf pem out
    done
  done
}

@test "an encrypted identity asks for the passphrase with --secrets only" {
  echo secret >passphrase
  mkdir dora
  as dora imsg-keygen -q -p --passphrase-file passphrase dora@example.com >dora.jsonl
  expect 0 imsg-inspect -j dora/identity.json
  shown .note | grep -q 'encrypted: --secrets asks'
  expect 0 imsg-inspect -j --secrets --passphrase-file passphrase dora/identity.json
  is "$(shown '.values.device_d | length')" 64
  echo wrong >passphrase
  expect 77 imsg-inspect -j --secrets --passphrase-file passphrase dora/identity.json
}

@test "descriptor, message, opened message, prekey record, public identity and pin are known" {
  head -c 1000 /dev/zero >photo.jpg
  imsg-attach put photo.jpg >descriptor
  expect 0 imsg-inspect -j descriptor
  is "$(shown '.kind, (.fields[] | select(.field == "key").value | length)' | xargs)" "attachment/1 64"
  jq -c '.size = -1' descriptor >changed
  expect 65 imsg-inspect -j changed
  head -n 1 envelopes.jsonl | imsg-open -q -i bob.json -R alice.jsonl -j >opened
  expect 0 imsg-inspect -j opened
  is "$(shown '.kind, (.fields[] | select(.field == "header").fields[] | select(.field == "from").meaning)')" \
    "opened/1
sender's handle"
  { jq -c .header opened; printf 'caf\303\251 \377'; } >message
  expect 0 imsg-inspect -j message
  is "$(shown '.fields[-1] | "\(.field) \(.length) \(.value) \(.hex)"')" "content 7 636166c3a920ff true"
  jq -r .prekey bob.jsonl | base64 -d >prekey
  expect 0 imsg-inspect -j prekey
  is "$(shown .note)" "signature: not checked, give -R RECORDS"
  expect 0 imsg-inspect -j -R all.jsonl prekey
  is "$(shown .values.device_x)" "$(jq -r .bob.device_x "$VECTORS/keys.json")"
  expect 1 imsg-inspect -j -R carol.jsonl prekey
  check_is prekey_signature false
  jq -r .identity bob.jsonl | expect 0 imsg-inspect -j
  is "$(shown '.kind, .length, .values.identity_hash' | xargs)" \
    "public-identity 249 $(jq -r .bob.identity_hash "$VECTORS/keys.json")"
  new_user dora
  imsg-lookup -q dora@example.com >/dev/null
  imsg-lookup --pins | expect 0 imsg-inspect -j
  is "$(shown .kind)" pin/1
  echo '{"some":["thing",{"else":null}]}' | expect 65 imsg-inspect
  err_has 'no document known here'
  grep -qE '^ +17 +13 +\[1\]' out
}

# ---- bodies of real clients ----

have() { # FEATURE: was it built with it
  case $1 in
    zlib) printf '\037\213' | imsg-inspect 2>&1 | grep -q 'built without zlib' && skip "built without zlib" ;;
    plist)
      echo '<?xml version="1.0"?><plist><true/></plist>' | imsg-inspect 2>&1 | grep -q 'built without libplist' &&
        skip "built without libplist"
      ;;
  esac
  true
}

@test "a gzip'd binary property list is shown as JSON with its keys, in a payload and alone" {
  local format
  have zlib
  have plist
  for format in pair pair-ec; do
    vector_payload $format $format-pos-11 >payload
    expect 0 imsg-inspect -j -i bob.json -R alice.jsonl payload
    is "$(shown '[.plaintext.kind, .plaintext.plaintext.kind] | join(" ")')" "gzip bplist"
    shown .plaintext.plaintext >inside
    jq -e '.body.t == .summary.text and (.body.t | length) > 10 and .body.p == .summary.participants
      and .body.p == ["mailto:alice@example.com", "mailto:bob@example.com"] and .body.r == .summary.after' inside
    jq -r '.positive[] | select(.id | endswith("pos-11")).plaintext_hex' "$VECTORS/$format.json" | unhex >body.gz
    expect 0 imsg-inspect -j body.gz
    shown .plaintext | diff inside -
    gzip -dc body.gz >body
    expect 0 imsg-inspect -j body
    is "$(shown .body.t)" "$(jq -r .body.t inside)"
    expect 0 imsg-inspect body.gz
    grep -q '"text": "' out
  done
}

@test "cut and damaged bodies: where, and what is left" {
  have zlib
  have plist
  jq -r '.positive[] | select(.id == "pair-pos-11").plaintext_hex' "$VECTORS/pair.json" | unhex >body.gz
  gzip -dc body.gz >body
  head -c 100 body.gz >short
  expect 65 imsg-inspect -j short
  err_has 'gzip data ends too early'
  is "$(shown .plaintext.kind)" bplist
  { head -c 60 body.gz; printf 'xxxxx'; tail -c +66 body.gz; } >damaged
  expect 65 imsg-inspect damaged
  head -c 100 body >short
  expect 65 imsg-inspect -j short
  is "$(shown '.error.offset | type')" number
  local at escaped
  escaped=$(basenc --base16 -w0 <body | sed 's/../\\x&/g')
  mkdir damaged.d
  for ((at = 8; at < ${#escaped} / 4; at++)); do
    printf %b "${escaped:0:4*at}\\xff${escaped:4*at+4}" >damaged.d/$at
  done
  imsg-inspect -j damaged.d/* >out 2>err || is $? 65
  is "$(wc -l <out)" $((at - 8))
  # In a payload that is right: the payload is accepted, the damage is said.
  imsg-seal --raw -E pair -i alice.json -R bob.jsonl short >payload
  expect 65 imsg-inspect -j -i bob.json -R alice.jsonl payload
  is "$(shown '.verdict.status, .plaintext.error.status' | xargs)" "0 malformed"
  errors_are 1
}

@test "bodies that would unfold without end are cut" {
  have zlib
  have plist
  head -c 67108864 /dev/zero | gzip -1 >bomb.gz
  expect 65 imsg-inspect -j bomb.gz
  err_has 'gzip data grows over 8388608 bytes: cut there'
  [ "$(wc -c <out)" -lt 20000 ]
  # Arrays that hold the next one twice each: 30 of them are 2^30 objects, in 200 bytes.
  local i n objects offsets
  for n in 30 40; do
    objects='' offsets=''
    for ((i = 0; i < n; i++)); do
      printf -v objects '%sa2%02x%02x' "$objects" $((i + 1)) $((i + 1))
      printf -v offsets '%s%04x' "$offsets" $((8 + 3 * i))
    done
    printf -v offsets '%s%04x' "$offsets" $((8 + 3 * n))
    printf -v objects '%s1001%s0000000000000201%016x0000000000000000%016x' "$objects" "$offsets" $((n + 1)) \
      $((8 + 3 * n + 2))
    { printf bplist00; unhex <<<"$objects"; } >laughs
    expect 65 imsg-inspect laughs
    [ $n -eq 40 ] || err_has 'unfolds to more than'
  done
  err_has 'nested over 32 deep'
  # One that holds itself; deep nesting in XML; gzip in gzip.
  { printf bplist00; printf "a10008%012x0101%016x%016x%016x" 0 1 0 10 | unhex; } >itself
  expect 65 imsg-inspect itself
  err_has 'holds itself'
  { echo '<?xml version="1.0"?><plist>'; yes '<array>' | head -n 200000; } >deep
  expect 65 imsg-inspect deep
  err_has 'nested over 32 deep'
  echo hello >nest
  for i in 1 2 3 4 5 6 7 8; do gzip -c nest >nest.gz; mv nest.gz nest; done
  expect 0 imsg-inspect nest
  grep -q 'packed more than 4 times' out
}

@test "what is larger than its form can be is not taken apart: millions of rows would fill the memory" {
  zeros() { yes "$1" | head -n 600000 | tr -d '\n'; }
  { printf '{"imsg":"envelope/1","x":['; zeros 0,; printf '0]}'; } >document
  { printf '{"imsg":"message/1","x":['; zeros 0,; printf '0]}\n'; } >body
  zeros $'\1\2' | tr '\1\2' '\n\0' >payload
  local input
  for input in document body payload; do
    expect 65 imsg-inspect -j $input
    jq -e '.fields | map(.field) | index("unreadable")' out
    jq -e '.fields | length < 3' out
  done
}

@test "a NUL in a property list is shown, or refused where it would end the program" {
  have plist
  # {"a": "c<NUL>d"}, then {"a<NUL>b": "c<NUL>d"}.
  { printf bplist00; printf '%s%012x0101%016x%016x%016x' d10102516163006300000064080b0d 0 3 0 20 | unhex; } >list
  expect 0 imsg-inspect -j list
  is "$(jq -c .body out)" '{"a":"c\u0000d"}'
  { printf bplist00; printf '%s%012x0101%016x%016x%016x' d101025361006253630064080b0f 0 3 0 19 | unhex; } >list
  expect 65 imsg-inspect list
  err_has 'at byte 11: object 1 is no key: no string, or it holds a NUL'
  printf '<?xml version="1.0"?><plist><dict><key>a&#x00;b</key><true/></dict></plist>' >list
  expect 65 imsg-inspect list
  err_has 'at byte 40: a NUL in XML'
}

@test "attributes of files embedded in a real message's XML are shown by name" {
  have plist
  cat >body <<'END'
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>t</key><string>look ￼</string>
<key>gid</key><string>6E2D1C3A-0000-4000-8000-000000000000</string>
<key>n</key><string>family</string>
<key>p</key><array><string>mailto:alice@example.com</string><string>tel:+15551234567</string></array>
<key>x</key><string>&lt;html>&lt;body>&lt;FILE name="a &amp;amp; b.jpg" width='100'
 mmcs-url="https://example.com/x?a=1&amp;amp;b=2" file-size="1234"
 decryption-key="00ab"/>&lt;FILENAME/>&lt;FILE name="c.heic">&lt;/FILE>&lt;/body>&lt;/html></string>
<key>data</key><data>AAEC</data><key>when</key><date>2026-11-24T03:20:00Z</date><key>yes</key><true/>
</dict></plist>
END
  expect 0 imsg-inspect -j body
  is "$(shown .kind)" plist
  is "$(shown '.summary.attachments | length')" 2
  is "$(shown '.summary.attachments[0] | to_entries[] | "\(.key)=\(.value)"')" \
    'name=a & b.jpg
width=100
mmcs-url=https://example.com/x?a=1&b=2
file-size=1234
decryption-key=00ab'
  is "$(shown '.summary | .group, .group_name, .participants[1]' | xargs)" \
    "6E2D1C3A-0000-4000-8000-000000000000 family tel:+15551234567"
  is "$(shown '.body | .data.data, .when, .yes' | xargs)" "AAEC 2026-11-24T03:20:00Z true"
}

# ---- the view ----

@test "--hex dumps the bytes as xxd has them" {
  expect 0 imsg-inspect --hex base.pair.hex
  grep -E '^  [0-9a-f]{8}  ' out | sed -E 's/^  [0-9a-f]{8} (.*) \|.*/\1/' | tr -d ' \n' >dump
  diff <(tr -d '\n' <base.pair.hex) dump
  expect 64 imsg-inspect --hex -j base.pair
}

@test "colour is for terminals only, and not with NO_COLOR or on a dumb one" {
  local view="imsg-inspect bob.jsonl"
  coloured() { grep -q $'\033' out; }
  TERM=xterm expect 0 script -qec "$view" /dev/null </dev/null
  coloured
  TERM=xterm NO_COLOR=1 expect 0 script -qec "$view" /dev/null </dev/null
  run ! coloured
  TERM=dumb expect 0 script -qec "$view" /dev/null </dev/null
  run ! coloured
  TERM=xterm expect 0 imsg-inspect bob.jsonl
  run ! coloured
  TERM=xterm expect 0 script -qec "$view -j" /dev/null </dev/null
  run ! coloured
}

@test "on a narrow terminal the meanings stand below, and long values are cut" {
  TERM=dumb expect 0 script -qec "stty cols 80; imsg-inspect -i bob.json -R alice.jsonl base.pair" /dev/null </dev/null
  tr -d '\r' <out >view
  # Steps have a line of their own for the value; nothing in the table is wider than the terminal.
  run ! grep -qE '^.{150}' view
  grep -qx ' *02: the "pair" frame' view
  grep -q '…$' view
}

@test "what comes from outside is escaped, in JSON on a terminal too" {
  local harmful='[\x00-\x09\x0b-\x1f\x7f\x{9b}\x{202e}]'
  export LC_ALL=C.UTF-8
  printf '{"imsg":"device/1","na\\u001b[31mme":"\\u001b[2J\xe2\x80\xae","x":"\302\233\177"}' >evil
  grep -qaP "$harmful" evil
  expect 65 imsg-inspect evil
  run ! grep -qaP "$harmful" out
  expect 65 script -qec 'imsg-inspect -j evil 2>err' /dev/null </dev/null
  tr -d '\r' <out >shown
  run ! grep -qaP "$harmful" shown
  imsg-inspect -j evil 2>/dev/null | jq -S . >want || true
  jq -S . shown | diff want -
  printf '\033]0;x\007' | imsg-seal --raw -E pair -i alice.json -R bob.jsonl >payload
  expect 0 imsg-inspect -i bob.json -R alice.jsonl payload
  run ! grep -qaP '[\x00-\x09\x0b-\x1f\x7f]' out
}

@test "-j begins with the same members in the same order, and every row has offset, length and field" {
  imsg-inspect -j -i bob.json -R alice.jsonl base.pair base.pair-ec envelopes.jsonl bob.json bob.jsonl >shown
  jq -e -s 'all(.[]; .imsg == "inspection/1" and (keys_unsorted[0:2] == ["imsg", "input"]))' shown
  jq -e -s 'all(.[] | .. | objects | select(has("field"));
    (.offset | type) == "number" and (.length | type) == "number" and (.field | type) == "string")' shown
  jq -e -s 'all(.[].checks[]?; (.name | type) == "string" and (.ok | type) == "boolean")' shown
  jq -e -s 'all(.[].values[]?; test("^([0-9a-f]{2})*$"))' shown
  # Only members that the man page names.
  jq -r '.. | objects | select(has("field") or has("imsg") or has("name")) | select(has("body") | not) | keys[]' shown |
    sort -u >members
  while read -r member; do
    grep -qE "^\.It Li (.* )?$member( |$)" "$ROOT/docs/man/imsg-inspect.1" ||
      { echo "$member is not documented"; return 1; }
  done <members
}

@test "the man page explains every value, every check and every field that has a meaning, under its form" {
  # Lines "SECTION NAME": what the page has, and what the table of meanings has.
  awk '/^\.Sh / { section = $2 } /^\.Ss / { section = $2 }
    /^\.It Li / { for (i = 3; i <= NF; i++) if ($i != "," && $i != "Li") print section, $i }' \
    "$ROOT/docs/man/imsg-inspect.1" | sort -u >explained
  sed -n 's/^    {"\([^"]*\)", "\([^"]*\)", ".*/\1 \2/p' "$ROOT/cmd/inspect/meaning.c" "$ROOT"/lib/format/*.c |
    sed -E 's/^value /VALUES /; s/^check /CHECKS /; s/^\* /FIELDS /; s/^jws-header[^ ]*/jws/; s,^([a-z]*/1)\.[^ ]*,\1,
      s/^(gzip|bplist|plist|text|bytes) /Bodies /' | sort -u >table
  [ "$(wc -l <table)" -gt 150 ]
  comm -13 explained table >missing
  diff /dev/null missing
}

# ---- the rest of the contract ----

@test "a closed or full output is 74, wrong options are 64" {
  not_under_valgrind 'it puts /dev/null in the place of what is closed'
  expect 74 bash -c 'imsg-inspect base.pair >&-'
  expect 74 bash -c 'imsg-inspect -j base.pair base.pair >/dev/full'
  expect 64 imsg-inspect -R - -
  expect 64 imsg-inspect -i - </dev/null
  expect 64 imsg-inspect -i bob.json -i bob.json base.pair
  expect 64 imsg-inspect --no-such-option
  expect 0 imsg-inspect -j -R - base.pair <alice.jsonl
  check_is signature true
  expect 77 bash -c 'chmod 644 bob.json; imsg-inspect -i bob.json base.pair'
  expect 0 imsg-inspect --allow-insecure-key -i bob.json -R alice.jsonl base.pair
}

@test "the network is never touched" {
  can_strace
  strace -f -e trace=%network -o trace imsg-inspect -i bob.json -R alice.jsonl envelopes.jsonl base.pair >/dev/null
  run ! grep -E '^[0-9]+ +[a-z]+\(' trace
}

@test "imsg-open's hint after a refusal is a command that shows why" {
  head -n 1 envelopes.jsonl | jq -c '.id = "00000000-0000-4000-8000-000000000000"' >changed
  expect 1 imsg-open -i bob.json -R alice.jsonl changed
  err_has 'imsg-open: hint: imsg-inspect -i bob.json -R alice.jsonl changed shows why'
  sed -n 's/^imsg-open: hint: \(.*\) shows why$/\1/p' err >advice
  [ -s advice ]
  expect 1 sh -c "$(cat advice)"
  grep -q 'verdict: imsg-open refuses it: refused (header_id: the header says ' out
  mkdir 'a folder'
  cp changed 'a folder/it'\''s'
  expect 1 imsg-open -i bob.json -R carol.jsonl -R alice.jsonl "a folder/it's"
  sed -n 's/^imsg-open: hint: \(.*\) shows why$/\1/p' err >advice
  expect 1 sh -c "$(cat advice)"
  grep -q 'verdict: imsg-open refuses it: refused (header_id' out
  vector_payload pair pair-neg-40 >payload
  expect 1 imsg-open -i bob.json -R alice.jsonl --raw -E pair --from alice@example.com payload
  err_has 'imsg-open: hint: imsg-inspect -i bob.json -R alice.jsonl -E pair payload shows why'
  expect 1 imsg-open -i bob.json -R alice.jsonl --raw -E pair --from alice@example.com <payload
  err_has 'imsg-open: hint: imsg-inspect -i bob.json -R alice.jsonl -E pair shows why'
  # Where the sender was looked up, the command looks up too.
  new_user dora
  echo hi | as dora imsg-seal -q -R bob.jsonl | jq -c '.id = "00000000-0000-4000-8000-000000000000"' >looked-up
  expect 1 imsg-open -q -i bob.json looked-up
  err_has 'hint: imsg-lookup mailto:dora@example.com | imsg-inspect -i bob.json -R - looked-up shows why'
  sed -n 's/^imsg-open: hint: \(.*\) shows why$/\1/p' err >advice
  expect 1 sh -c "$(cat advice)"
  grep -q 'verdict: imsg-open refuses it: refused (header_id' out
  # Not where the reason is said already.
  expect 1 imsg-open -i bob.json -R /dev/null changed
  run ! grep -q 'shows why' err
}
