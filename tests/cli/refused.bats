#!/usr/bin/env bats
# What imsg-open refuses: nothing comes out, the status is 1 or 65, and a refusal does not say more than that.
bats_require_minimum_version 1.5.0
load common
load vectors

# alice and phone, two devices of one handle; bob, who has two handles; carol. Each device's record is in NAME.jsonl.
# A good envelope from alice to bob in each format, and the header inside it.
setup_file() {
  setup_common
  as alice imsg-keygen alice@example.com >alice.jsonl
  as phone imsg-keygen alice@example.com >phone.jsonl
  as bob imsg-keygen bob@example.com +15551234567 >bob.jsonl
  as carol imsg-keygen carol@example.com >carol.jsonl
  echo secret >plain
  as alice imsg-seal -R bob.jsonl plain >good
  as alice imsg-seal -E pair -R bob.jsonl plain >good.pair
  as bob imsg-open -j -R alice.jsonl good | jq -c .header >header
  keep_base
}
setup() { setup_base; }
teardown() { teardown_common; }

open() { as bob imsg-open -R alice.jsonl "$@"; }

# rejects STATUS FILE [OPTION...]: that status, one error line, not one byte of output.
rejects() {
  local status=$1
  shift
  expect "$status" open "$@" && no_out && errors_are 1
}

# all_bad STATUS N FILE: each of its N lines is an error, the first of that status.
all_bad() {
  expect "$1" open "$3" && no_out && errors_are "$2"
  [ "$(grep -o 'line [0-9]*' err | sort -u | wc -l)" -eq "$2" ]
}

# The refusal that says nothing.
silent() {
  rejects 1 "$1" && diff - err <<END
imsg-open: error: "$1": line 1: refused
imsg-open: hint: imsg-inspect -R alice.jsonl $1 shows why
END
}

# forge FILE [FORMAT]: the good envelope around a plaintext (FILE) of one's own, sealed and signed by alice.
forge() {
  as alice imsg-seal --raw -E "${2:-pair-ec}" -R bob.jsonl "$1" | base64 -w0 >payload
  jq -c --rawfile payload payload --arg format "${2:-pair-ec}" '.payload = $payload | .format = $format' good
}

# ---- bits ----

# flips FORMAT: every 11th bit, so that each of the eight is met. tests/unit/t-payload.c flips all of them.
flips() {
  local hex escaped bit bits at byte got
  printf x >content
  as alice imsg-seal --raw -E "$1" -R bob.jsonl content >payload
  expect 0 open --raw -E "$1" --from alice@example.com payload
  cmp content out
  hex=$(basenc --base16 -w0 payload)
  escaped=$(escape_hex <<<"x$hex")
  escaped=${escaped#x}
  [ ${#hex} -gt 200 ]
  export IMSG_HOME=$T/bob
  bits=$((4 * ${#hex}))
  [ "$1" = pair ] || bits=$((bits - 8)) # the sender's version, which is not signed
  for ((bit = 0; bit < bits; bit += 11)); do
    at=$((bit / 8)) got=0
    printf -v byte '\\x%02x' $((16#${hex:2*at:2} ^ 1 << bit % 8))
    printf %b "${escaped:0:4*at}$byte${escaped:4*at+4}" >flipped
    imsg-open -R alice.jsonl --raw -E "$1" --from alice@example.com flipped >out 2>err || got=$?
    if [[ $got != 1 && $got != 65 ]] || [ -s out ]; then
      echo "bit $bit: status $got: $(cat out err)"
      return 1
    fi
  done
}

@test "a pair payload with one bit flipped is refused" { flips pair; }
@test "a pair-ec payload with one bit flipped is refused" { flips pair-ec; }

# ---- one visible refusal ---- of bare payloads: raw.bats, with the vectors of every class

@test "a refusal of an envelope looks the same, whatever is wrong with what is inside" {
  local format
  for format in pair pair-ec; do
    # What is good opens: the forgeries below differ from it in one thing each.
    cat header plain >inside
    forge inside $format >line
    expect 0 open line
    cmp plain out
    # a plaintext that is no message: a property list, say
    printf 'bplist00\320\b' >inside
    forge inside $format >line
    silent line
    # sealed for another device
    as alice imsg-seal --raw -E $format -R carol.jsonl plain | base64 -w0 >payload
    jq -c --rawfile payload payload --arg format $format '.payload = $payload | .format = $format' good >line
    silent line
    # signed by another device
    as phone imsg-seal --raw -E $format -R bob.jsonl plain | base64 -w0 >payload
    jq -c --rawfile payload payload --arg format $format '.payload = $payload | .format = $format' good >line
    silent line
  done
  # one format's payload called the other
  jq -c '.format = "pair"' good >line
  rejects 65 line
  jq -c '.format = "pair-ec"' good.pair >line
  rejects 65 line
}

@test "a message header that does not parse is refused, never taken for another kind of content" {
  local inside count=0
  jq -c 'def bad: del(.id), del(.from), del(.to), del(.time), (.to = []), (.id = 7), (.id |= ascii_upcase + "A"),
      (.time = "2026-11-24 03:20:00"), (.type = 5), (.reply_to = "x"), (.receipt = {}), (.group = {id: .id}),
      (.receipt = {of: .id, what: "eaten"}), (.attachments = [{}]), (.attachments = {}), (.imsg = "message/2"),
      (.x = [[[[[[[[1]]]]]]]]);
    bad' header >headers
  sed 's/"from"/"id":"x",&/' header >>headers # twice
  while read -r inside; do
    printf '%s\nsecret' "$inside" >inside
    as alice imsg-seal --raw -E pair-ec -R bob.jsonl inside | base64 -w0
    echo
    count=$((count + 1))
  done <headers >payloads
  # and two without their newline
  for inside in "$(<header)" "$(head -c 40 header)"; do
    printf %s "$inside" >inside
    as alice imsg-seal --raw -E pair-ec -R bob.jsonl inside | base64 -w0
    echo
    count=$((count + 1))
  done >>payloads
  [ $count -eq 20 ]
  jq -Rc --slurpfile good good '. as $payload | $good[0] | .payload = $payload' payloads >lines
  all_bad 1 20 lines
  [ "$(grep -c 'line [0-9]*: refused$' err)" -eq 20 ]
}

@test "the header of a sealed file is refused outside one" {
  { jq -c '.stream = {key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}' header && cat plain; } >inside
  forge inside >line
  silent line
}

@test "unknown members of header and envelope are no reason to refuse" {
  { jq -c '.new = {a: [1]}' header && cat plain; } >inside
  forge inside | jq -c '.extra = [[[[[[["deep enough"]]]]]]]' >line
  expect 0 open line
  cmp plain out
}

# ---- the envelope against the header ----

@test "id, time and sender of the envelope are those of the header" {
  jq -c '.id = "00000000-0000-4000-8000-000000000000"' good >line
  silent line
  jq -c '.time = "2020-01-01T00:00:00Z"' good >line
  silent line
  # alice's device claims a second handle of hers: in the record, but not in the header
  record_for alice mailto:alice@example.com mailto:chief@example.com >two.jsonl
  jq -c '.from = "mailto:chief@example.com"' good >line
  expect 1 as bob imsg-open -R two.jsonl line
  no_out
  err_has '"line": line 1: refused'
}

@test "an envelope sent on to another own handle is refused; one to a handle that is not one's own is for somebody else" {
  jq -c '.to = "tel:+15551234567"' good >line
  silent line
  for to in mailto:carol@example.com mailto:alice@example.com; do
    jq -c --arg to $to '.to = $to' good >line
    rejects 1 line
    err_has "no envelope for this device (token $(jq -r .token bob.jsonl | cut -c1-4)…; there are for $to)"
    # beside one's own it is passed over
    cat line good line >lines
    expect 0 open lines
    cmp plain out
  done
  # a handle of the header, but another reader's
  { jq -c '.to += ["mailto:carol@example.com"]' header && cat plain; } >inside
  forge inside >line
  expect 0 open line
  jq -c '.to = "mailto:carol@example.com"' line >other
  rejects 1 other
}

# ---- the sender ----

@test "the record of another device with the sender's handle does not verify" {
  expect 1 as bob imsg-open -R phone.jsonl good
  no_out
  err_has "sender mailto:alice@example.com has no device $(jq -r .token alice.jsonl | head -c 8)"
  # nor does it if the envelope says so
  jq -c --arg token "$(jq -r .token phone.jsonl)" '.from_token = $token' good >line
  expect 1 as bob imsg-open -R phone.jsonl -R alice.jsonl line
  no_out
  err_has '"line": line 1: refused'
  # with both, the right one is found by its token
  expect 0 as bob imsg-open -R phone.jsonl -R alice.jsonl good
}

# Mallory signs a "pair" message of his own, in an envelope that says it is from alice's token.
mallory_writes() {
  [ -e mallory ] || as mallory imsg-keygen mallory@example.com >mallory.jsonl
  jq -c --arg from "$1" '.from = $from' header >inside
  cat plain >>inside
  as mallory imsg-seal --raw -E pair -R bob.jsonl inside | base64 -w0 >payload
  jq -c --rawfile payload payload --arg from "$1" '.payload = $payload | .format = "pair" | .from = $from' good >line
}
# not_proven RECORD: the message is refused by the record's name, with status 1.
not_proven() {
  expect 1 as bob imsg-open -R "$1" line
  no_out
  errors_are 1
  err_has "$2"
}

@test "a record with one's own signing key beside another's device key verifies nothing" {
  local token
  token=$(jq -r .token alice.jsonl)
  for from in mailto:mallory@example.com mailto:alice@example.com; do
    mallory_writes "$from"
    # alice's public keys, and mallory's identity; no proof, alice's proof, mallory's proof
    jq -cn --slurpfile a alice.jsonl --slurpfile m mallory.jsonl --arg from "$from" \
      '$a[0] + {handles: [$from], identity: $m[0].identity} | del(.proofs), ., .proofs = $m[0].proofs' >false.jsonl
    for n in 1 2 3; do
      sed -n ${n}p false.jsonl >one.jsonl
      not_proven one.jsonl "(token ${token:0:8}…) of $from: "
    done
    # beside the genuine record it is passed over
    cat false.jsonl alice.jsonl >both.jsonl
    expect 0 as bob imsg-open -R both.jsonl good
    cmp plain out
  done
}

@test "another's whole record under one's own handle verifies nothing" {
  jq -c '.from = "mailto:mallory@example.com"' good >line
  jq -c '.handles = ["mailto:mallory@example.com"]' alice.jsonl >false.jsonl
  not_proven false.jsonl "the proof of mailto:mallory@example.com does not verify"
  jq -c 'del(.proofs)' alice.jsonl >none.jsonl
  expect 1 as bob imsg-open -R none.jsonl good
  no_out
  err_has 'no proof of mailto:alice@example.com'
  # a bare payload says nothing of who sent it: there the record needs none
  as alice imsg-seal --raw -E pair-ec -R bob.jsonl plain >payload
  expect 0 as bob imsg-open --raw -E pair-ec -R none.jsonl --from alice@example.com payload
  cmp plain out
}

@test "a group's id is that of its participants" {
  as carol imsg-keygen -y >carol.jsonl
  as alice imsg-seal -g lunch -R bob.jsonl -R carol.jsonl plain >lunch
  expect 0 as bob imsg-open -R alice.jsonl -j lunch
  group=$(jq -c .header.group out)
  # carol is not in it; she is, but alice is not; the group of another name; a receipt
  jq -c --argjson group "$group" '.group = $group' header >inside
  cat plain >>inside
  forge inside >line
  silent line
  jq -c --argjson group "$group" '.to += ["mailto:carol@example.com"] | .group = $group' header >inside
  cat plain >>inside
  forge inside >line
  expect 0 open line
  jq -c --argjson group "$group" '.to += ["mailto:dave@example.com"] | .group = $group' header >inside
  forge inside >line
  silent line
  jq -c --argjson group "$group" '.to += ["mailto:carol@example.com"] | .group = $group | .group.name = "dinner"' header >inside
  forge inside >line
  silent line
  jq -c --argjson group "$group" '.to += ["mailto:carol@example.com"] | .group = $group | .receipt = {of: .id, what: "read"}' \
    header >inside
  forge inside >line
  silent line
}

@test "without a record of the sender a message is refused" {
  expect 1 as bob imsg-open -R carol.jsonl good
  no_out
  err_has "sender mailto:alice@example.com has no device"
  : >none.jsonl
  expect 1 as bob imsg-open -R none.jsonl good
  no_out
  # nor does a record with the right token speak for a handle it does not hold
  jq -c '.handles = ["mailto:other@example.com"]' alice.jsonl >other.jsonl
  expect 1 as bob imsg-open -R other.jsonl good
  no_out
}

@test "a sender who names somebody else is refused, with the own token and with the other's" {
  jq -c '.from = "mailto:carol@example.com"' good >line
  expect 1 as bob imsg-open -R alice.jsonl -R carol.jsonl line
  no_out
  jq -c --arg token "$(jq -r .token carol.jsonl)" '.from = "mailto:carol@example.com" | .from_token = $token' good >line
  expect 1 as bob imsg-open -R alice.jsonl -R carol.jsonl line
  no_out
  # a header that names carol, signed by alice
  { jq -c '.from = "mailto:carol@example.com"' header && cat plain; } >inside
  forge inside | jq -c '.from = "mailto:carol@example.com"' >line
  expect 1 as bob imsg-open -R alice.jsonl -R carol.jsonl line
  no_out
}

@test "a message that claims to come from the reader himself is refused" {
  local token
  token=$(jq -r .token bob.jsonl)
  jq -c --arg token "$token" '.from = .to | .from_token = $token' good >line
  silent line
  { jq -c '.from = .to[0]' header && cat plain; } >inside
  forge inside | jq -c --arg token "$token" '.from = .to | .from_token = $token' >line
  silent line
  jq -c --arg token "$token" '.from_token = $token' good >line
  rejects 1 line
}

@test "--from refuses everybody else before any key is used" {
  expect 1 open --from carol@example.com good
  no_out
  err_has "from mailto:alice@example.com, who is not expected"
  expect 0 open --from carol@example.com --from ALICE@example.com good
}

# ---- not for this device ----

@test "that an envelope is for another device is said plainly, with the tokens" {
  local own other
  own=$(jq -r .token bob.jsonl)
  other=$(jq -r .token carol.jsonl)
  jq -c --arg token "$other" '.to_token = $token' good >line
  rejects 1 line
  err_has "imsg-open: error: \"line\": no envelope for this device (token ${own:0:4}…; there are for ${other:0:4}…)"
  as alice imsg-seal -R carol.jsonl -R phone.jsonl plain >lines
  rejects 1 lines
  err_has "there are for ${other:0:4}…, $(jq -r .token phone.jsonl | head -c 4)…)"
  # with one for this device the others are nothing to speak of
  cat lines good >all
  expect 0 open all
  cmp plain out
  errors_are 0
}

@test "a hundred envelopes for others are named by a few tokens" {
  jq -c 'range(100; 200) as $i | .to_token = "\($i)" + "0" * 61' good >lines
  rejects 1 lines
  err_has ', …)'
  [ "$(wc -c <err)" -lt 300 ]
}

# ---- 65: what shows without a key ----

@test "a line cut short is malformed, and said to be cut short" {
  local size
  for size in 1 20 $(($(wc -c <good) / 2)) $(($(wc -c <good) - 2)); do
    head -c "$size" good >line
    rejects 65 line
    err_has '"line": line 1 (cut short): '
  done
  # only the newline is missing: everything was there
  head -c -1 good >line
  expect 0 open line
  cmp plain out
}

@test "members that are missing, of the wrong type or of the wrong form are malformed" {
  jq -c '. as $good | ["imsg", "id", "from", "from_token", "to", "to_token", "format", "time", "payload"][] as $member
    | ($good | del(.[$member])), ((7, null, true, [], {}, "", "a\u0000b") as $value | $good | .[$member] = $value)' \
    good >lines
  all_bad 65 72 lines
  [ "$(grep -c refused err)" -eq 0 ]
  jq -c 'def bad: (.id |= ascii_upcase + "0"), (.id = "not-a-uuid"), (.from = "alice@example.com"),
      (.from |= ascii_upcase), (.to = "mailto:BOB@example.com"), (.from_token |= ascii_upcase + ""),
      (.to_token |= .[1:]), (.to_token += "00"), (.time = "2026-11-24T03:20:00+00:00"),
      (.time = "2026-13-01T00:00:00Z"), (.relay = 5), (.relay = "http://relay.example"), (.relay = "/folder");
    bad' good >lines
  all_bad 65 13 lines
}

@test "an unknown format, version or document is malformed" {
  jq -c '(.format = "pair-ex"), (.imsg = "envelope/2"), ["envelope/1"], "envelope/1"' good >lines
  { cat alice.jsonl header && printf 'From: alice\n\377\376\n'; } >>lines
  all_bad 65 8 lines
  err_has 'line 1: envelope: format "pair-ex" is not known'
}

@test "base64 that is bad, or not the one canonical form, is malformed" {
  local pad text
  # a payload whose base64 ends in one =: its last character has two spare bits
  for pad in '' 1234567890123456 12345678901234567890123456789012; do
    { cat header && printf %s "$pad"; } >inside
    forge inside >line
    text=$(jq -r .payload line)
    [[ $text != *[!=]= ]] || break
  done
  [[ $text == *[!=]= ]]
  expect 0 open line
  mv line right
  jq -c 'def bad: .[:-1], . + "=", .[:-1] + "\n=", .[:40] + "\n" + .[40:], " " + ., . + "A", .[1:],
      .[:8] + "-" + .[9:], .[:8] + "*" + .[9:], .[:8] + "====" + .[12:],
      .[:-2] + (.[-2:-1] as $c | "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        | .[index($c) + 1:index($c) + 2]) + "=";
    (.payload | bad) as $bad | .payload = $bad' right >lines
  all_bad 65 11 lines
  [ "$(grep -c base64 err)" -eq 11 ]
}

@test "a member twice is malformed, known or not, outside or deep inside" {
  sed 's/"to":/"to":"mailto:bob@example.com",&/' good >line
  rejects 65 line
  err_has "twice"
  sed 's/"format":/"x":{"y":{"a":1,"b":2,"a":3}},&/' good >line
  rejects 65 line
  sed 's/"format":/"x":{"y":{"a":1,"b":2}},&/' good >line
  expect 0 open line
}

@test "JSON is taken eight levels deep and no deeper" {
  jq -c '.x = ([[[[[[[1]]]]]]], [[[[[[[[1]]]]]]]])' good >line
  expect 65 open line
  cmp plain out
  err_has "deeper than 8"
  { printf '{"x":' && head -c 200000 /dev/zero | tr '\0' '[' && echo; } >line
  rejects 65 line
}

@test "a line over 1 MiB is malformed, and the lines around it are not lost" {
  { head -c 1048577 /dev/zero | tr '\0' ' ' && echo; } >long
  rejects 65 long
  err_has '"long": line 1: longer than 1048576 bytes'
  cat good long good.pair >lines
  expect 65 open lines
  cat plain plain | cmp - out
  err_has 'line 2: longer'
  # at the limit it is taken
  { head -c -1 good && head -c $((1048577 - $(wc -c <good))) /dev/zero | tr '\0' ' ' && echo; } >line
  expect 0 open line
}

@test "a payload over 128 KiB, or of nothing, is malformed" {
  head -c 131073 /dev/zero | base64 -w0 >payload
  jq -c --rawfile payload payload '.payload = $payload' good >line
  rejects 65 line
  err_has "131072"
  jq -c '.payload = ""' good >line
  rejects 65 line
}

@test "a bad record is reported with its line, and the good ones are used" {
  jq -c '(.limit = "16384"), (.token |= .[1:]), (.token = "0" * 64), del(.prekey), (.handles = []),
    (.imsg = "device/2")' carol.jsonl >records
  cat alice.jsonl >>records
  expect 65 as bob imsg-open -R records good
  cmp plain out
  errors_are 6
  [ "$(grep -c '"records": line [1-6]: ' err)" -eq 6 ]
}

# ---- several ----

@test "one bad line does not stop the good ones, and the first failure is the status" {
  jq -c '.time = "2020-01-01T00:00:00Z"' good >bad
  echo '{}' >worse
  cat bad good worse good.pair >lines
  expect 1 open lines
  cat plain plain | cmp - out
  errors_are 2
  err_has '"lines": line 1: refused'
  err_has '"lines": line 3: '
  cat good worse bad good.pair >lines
  expect 65 open lines
  cat plain plain | cmp - out
  # of several files likewise
  expect 1 open bad missing worse good
  cmp plain out
  errors_are 3
  expect 66 open missing bad good
  cmp plain out
}

@test "-o FILE is neither written nor changed if anything failed" {
  local bad
  jq -c '.time = "2020-01-01T00:00:00Z"' good >refused
  echo '{}' >malformed
  jq -c '.to_token |= "0" * 64' good >others
  cp good keep
  for bad in refused malformed others missing; do
    rm -f new
    cp keep result
    expect_failure open -o new good $bad
    [ ! -e new ]
    expect_failure open -o result $bad good
    cmp keep result
  done
  # A bad record too: something was wrong with what the sender was looked for in.
  { echo '{}' && cat alice.jsonl; } >records
  expect 65 as bob imsg-open -R records -o new good
  [ ! -e new ]
  # no temporary file is left either
  [ -z "$(find . -maxdepth 1 -name '*new*' -o -maxdepth 1 -name '.*result*')" ]
  expect 0 open -o result good good.pair
  cat plain plain | cmp - result
}

# Any status but 0, and nothing on stdout.
expect_failure() {
  ! "$@" >out 2>err && [ ! -s out ]
}
