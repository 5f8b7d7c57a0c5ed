#!/usr/bin/env bats
# imsg-seal: for whom, in which format, with what header, within which size, and what it says when it cannot.
# shellcheck disable=SC2030,SC2031,SC2094 # every test is a subshell; that input = output is refused is tested
bats_require_minimum_version 1.5.0
load common
load vectors

# alice with her phone; bob, who has two handles and an old device that offers "pair" only; carol.
setup_file() {
  setup_common
  new_user alice
  new_device phone alice alice@example.com
  as bob imsg-keygen -n bob bob@example.com +15551234567 | as bob imsg-register -q
  as old imsg-keygen -n old bob@example.com >/dev/null
  umask 077
  restrict pair old/identity.json >identity && mv identity old/identity.json
  as old imsg-keygen -y | as bob imsg-register -q
  new_user carol
  records_of alice phone bob old carol
  echo hello >plain
  # Pinned once, so that the notes of first sight are not in every test.
  for user in alice bob carol; do
    as $user imsg-lookup -q alice@example.com bob@example.com carol@example.com >/dev/null
  done
  keep_base
}
setup() { setup_base; }
teardown() { teardown_common; }

seal() { as alice imsg-seal "$@"; }
token() { jq -r .token "$1.jsonl"; }
# header USER FILE: the header of the message in FILE, as USER opens it.
header() { as "$1" imsg-open -q -j "$2" | jq -c .header; }

# ---- the lines ----

@test "an envelope is one compact line with its members in order, each in its one form" {
  local start when
  start=$(date +%s)
  expect 0 seal -r bob@example.com plain
  [ "$(wc -l <out)" -eq 3 ]
  jq -c . out | cmp - out # compact, and no escapes that are not needed
  [ "$(jq -r 'keys_unsorted | join(" ")' out | sort -u)" = \
    "imsg id from from_token to to_token format time payload" ]
  [ "$(jq -r .imsg out | sort -u)" = envelope/1 ]
  [ "$(jq -r .id out | sort -u | wc -l)" -eq 1 ]
  jq -r .id out | grep -qxE '[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}'
  [ "$(jq -r .time out | sort -u | wc -l)" -eq 1 ]
  jq -r .time out | grep -qxE '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z'
  [ "$(jq -r .from out | sort -u)" = mailto:alice@example.com ]
  [ "$(jq -r .from_token out | sort -u)" = "$(token alice)" ]
  while read -r payload; do
    [ "$(base64 -d <<<"$payload" | base64 -w0)" = "$payload" ]
  done < <(jq -r .payload out)
  # The time is that of sealing; time() may be a tick behind date.
  when=$(date -d "$(jq -r .time out | head -n1)" +%s)
  [ $((start - 1)) -le "$when" ] && [ "$when" -le "$(date +%s)" ]
}

@test "every message has an id of its own" {
  for i in 1 2 3; do seal -q -R bob.jsonl plain; done >lines
  [ "$(jq -r .id lines | sort -u | wc -l)" -eq 3 ]
}

@test "the relay of a record goes into its envelope" {
  jq -c '.relay = "https://relay.example:8443"' bob.jsonl >with.jsonl
  expect 0 seal -R with.jsonl -R carol.jsonl plain
  [ "$(head -n1 out | jq -r 'keys_unsorted | join(" ")')" = \
    "imsg id from from_token to to_token format time relay payload" ]
  [ "$(jq -r '.relay // "none"' out | tr '\n' ' ')" = "https://relay.example:8443 none " ]
}

@test "the content arrives byte for byte, and is nowhere in the envelope" {
  head -c 3000 /dev/urandom >content
  expect 0 seal -R bob.jsonl <content
  mv out lines
  as bob imsg-open -q lines | cmp - content
  echo 'a very secret line' | seal -R bob.jsonl - >lines
  jq -r .payload lines | base64 -d | run ! grep -q 'secret\|bob@example.com\|text/plain'
}

@test "the header has its members in order and says who, to whom and when" {
  seal -r bob@example.com plain >lines
  [ "$(header bob lines)" = "$(jq -c --arg token "$(token bob)" 'select(.to_token == $token)
    | {imsg: "message/1", id, from, to: ["mailto:bob@example.com"], time, type: "text/plain; charset=utf-8"}' lines)" ]
}

@test "nothing in is a message of nothing, without a type" {
  seal -R bob.jsonl </dev/null >lines
  expect 0 as bob imsg-open -j lines
  jq -e '.content == "" and (.header | has("type") | not)' out
  : >empty
  seal -R bob.jsonl -T text/x-empty empty >lines
  expect 0 as bob imsg-open -j lines
  jq -e '.content == "" and .header.type == "text/x-empty"' out
}

@test "the type is text where it is UTF-8, else octets, and -T states another" {
  printf 'gr\303\274n' | seal -R bob.jsonl >lines
  [ "$(header bob lines | jq -r .type)" = "text/plain; charset=utf-8" ]
  printf 'gr\374n' | seal -R bob.jsonl >lines
  [ "$(header bob lines | jq -r .type)" = application/octet-stream ]
  printf 'gr\374n' | seal -R bob.jsonl --type 'text/plain; charset=latin-1' >lines
  [ "$(header bob lines | jq -r .type)" = "text/plain; charset=latin-1" ]
  expect 64 seal -R bob.jsonl -T $'\377' plain
}

# ---- for whom ----

@test "-r seals for every device, and for one's own others to oneself" {
  expect 0 seal -r bob@example.com plain
  [ "$(jq -r .to_token out | sort)" = "$(for d in bob old phone; do token $d; done | sort)" ]
  [ "$(jq -r --arg t "$(token phone)" 'select(.to_token == $t).to' out)" = mailto:alice@example.com ]
  [ "$(jq -r --arg t "$(token phone)" 'select(.to_token != $t).to' out | sort -u)" = mailto:bob@example.com ]
  mv out lines
  for device in bob old phone; do
    expect 0 as $device imsg-open lines
    cmp plain out
  done
}

@test "--no-self leaves out one's own devices" {
  expect 0 seal --no-self -r bob@example.com plain
  [ "$(jq -r .to_token out | sort)" = "$(for d in bob old; do token $d; done | sort)" ]
}

@test "several recipients in one message, each named in the header in the order given" {
  seal -r carol@example.com -r BOB@example.com -r mailto:carol@example.com plain >lines
  [ "$(wc -l <lines)" -eq 4 ]
  [ "$(header carol lines | jq -c .to)" = '["mailto:carol@example.com","mailto:bob@example.com"]' ]
}

@test "a device under two handles is sealed for once" {
  seal --no-self -r +15551234567 -r bob@example.com plain >lines
  [ "$(jq -r .to_token lines | sort)" = "$(for d in bob old; do token $d; done | sort)" ]
  [ "$(jq -r --arg t "$(token bob)" 'select(.to_token == $t).to' lines)" = tel:+15551234567 ]
  [ "$(header bob lines | jq -c .to)" = '["tel:+15551234567","mailto:bob@example.com"]' ]
  seal -R bob.jsonl -R bob.jsonl -r bob@example.com --no-self plain >lines
  [ "$(wc -l <lines)" -eq 2 ]
}

@test "a note to oneself is for all one's devices" {
  expect 0 seal -r alice@example.com plain
  [ "$(jq -r .to_token out | sort)" = "$(for d in alice phone; do token $d; done | sort)" ]
  mv out lines
  expect 0 as alice imsg-open lines
  cmp plain out
}

@test "-R asks no directory and pins nothing" {
  rm -r .local alice/pins.json
  cat bob.jsonl carol.jsonl >records
  expect 0 seal -R records plain
  [ ! -s err ]
  [ "$(jq -r .to out | tr '\n' ' ')" = "mailto:bob@example.com mailto:carol@example.com " ]
  [ ! -e .local ]
  [ ! -e alice/pins.json ]
  expect 0 seal -R - plain <records
  [ "$(wc -l <out)" -eq 2 ]
}

@test "a bad record is named with its line and the others are sealed for" {
  { cat bob.jsonl && echo '{"imsg":"device/1"}' && jq -c '.limit = "10"' bob.jsonl && cat carol.jsonl; } >records
  expect 65 seal -R records plain
  [ "$(wc -l <out)" -eq 2 ]
  errors_are 2
  err_has '"records": line 2: '
  err_has '"records": line 3: '
  expect 66 seal -R bob.jsonl -R missing plain
  no_out
  : >none
  expect 66 seal -R none plain
  no_out
}

@test "who has no account is named, the others are sealed for, and the status is 67" {
  expect 67 seal -r nobody@example.com -r bob@example.com plain
  [ "$(wc -l <out)" -eq 3 ]
  errors_are 1
  err_has "mailto:nobody@example.com has no account in directory \"$T/.local/share/imsg/directory\""
  mv out lines
  # The header names everybody who was meant.
  [ "$(header bob lines | jq -c .to)" = '["mailto:nobody@example.com","mailto:bob@example.com"]' ]
}

# ---- own copies ----

# A directory that has an entry for alice by mallory's key, which lists a device of hers and the record in $1.
infiltrate() {
  mkdir other
  as mallory imsg-keygen -n evil alice@example.com | IMSG_DIRECTORY=other as mallory imsg-register -q - "$1"
  cp -r other/imsg .local/share/imsg/directory/
}

@test "a device that does not know its account key makes no own copies, and a note says why" {
  as tablet imsg-keygen -n tablet alice@example.com >tablet.jsonl
  as alice imsg-register -q tablet.jsonl
  expect 0 as tablet imsg-seal -r bob@example.com plain
  [ "$(jq -r .to out | sort -u)" = mailto:bob@example.com ]
  err_has "no copies for your other devices: this device does not know your account key; imsg-keygen -y --account THUMBPRINT names it"
  yes "{\"content\":\"x\",\"to\":[\"mailto:bob@example.com\"]}" | head -n 3 >three
  expect 0 as tablet imsg-seal --each three
  [ "$(grep -c 'no copies' err)" -eq 1 ]
  expect 0 as tablet imsg-seal --no-self -r bob@example.com plain
  [ ! -s err ]
  as tablet imsg-keygen -q -y --account "$(account_of alice)" >tablet.jsonl
  expect 0 as tablet imsg-seal -r bob@example.com plain
  [ "$(jq -r .to out | sort | uniq -c | tr -s ' ' | tr '\n' ';')" = " 2 mailto:alice@example.com; 2 mailto:bob@example.com;" ]
  [ ! -s err ]
}

@test "a directory that adds a device to one's own entry gets no copies for it" {
  as tablet imsg-keygen -n tablet alice@example.com >tablet.jsonl
  infiltrate tablet.jsonl
  # One that knows nothing of its account makes none.
  expect 0 as tablet imsg-seal -r bob@example.com plain
  [ "$(jq -r .to out | sort -u)" = mailto:bob@example.com ]
  err_has "no copies for your other devices"
  # One that knows it refuses the entry; the recipients still get theirs.
  rm phone/pins.json alice/pins.json 2>/dev/null || true
  for device in phone alice; do
    expect 1 as $device imsg-seal -r bob@example.com plain
    [ "$(jq -r .to out | sort -u)" = mailto:bob@example.com ]
    err_has "is one of your handles, but its entry is by account key"
  done
}

@test "an entry that does not list this device gives it no copies" {
  expect 0 as alice imsg-register -q --remove phone
  new_device watch alice alice@example.com
  expect 0 as phone imsg-seal -r bob@example.com plain
  [ "$(jq -r .to out | sort -u)" = mailto:bob@example.com ]
  err_has "no copies for your other devices: the entry of mailto:alice@example.com does not list this device"
}

@test "when nobody can be reached nothing is printed, not even one's own copies" {
  expect 67 seal -r nobody@example.com -r +15550000000 plain
  no_out
  errors_are 2
  expect 67 seal -r nobody@example.com -o file plain
  [ ! -e file ]
}

@test "a recipient whose pinned account key changed is refused, the others are sealed for" {
  mkdir other && IMSG_DIRECTORY=other new_user mallory bob@example.com
  cp -r other/imsg .local/share/imsg/directory/
  expect 1 seal -r bob@example.com -r carol@example.com plain
  [ "$(jq -r .to_token out | sort)" = "$(for d in carol phone; do token $d; done | sort)" ]
  errors_are 1
  err_has "--accept"
}

@test "-R takes records without proofs, but none with a prekey that its device did not sign" {
  jq -c 'del(.proofs)' bob.jsonl >bare.jsonl
  expect 0 seal -R bare.jsonl plain
  [ "$(jq -r .to_token out)" = "$(token bob)" ]
  jq -c --slurpfile c carol.jsonl '.prekey = $c[0].prekey' bob.jsonl >bad.jsonl
  expect 1 seal -R bad.jsonl plain
  no_out
}

@test "without the directory the status is 75" {
  mv .local/share/imsg/directory away
  expect 75 seal -r bob@example.com plain
  no_out
  expect 0 seal -d away -r bob@example.com plain
  IMSG_DIRECTORY=away expect 0 seal -r bob@example.com plain
  expect 75 seal -d nowhere -r bob@example.com plain
}

# ---- formats ----

@test "each device gets the best format that it and the identity offer" {
  seal --no-self -r bob@example.com plain >lines
  [ "$(jq -r --arg t "$(token bob)" 'select(.to_token == $t).format' lines)" = pair-ec ]
  [ "$(jq -r --arg t "$(token old)" 'select(.to_token == $t).format' lines)" = pair ]
  umask 077
  restrict pair alice/identity.json >pair.json
  expect 0 seal -i pair.json -R bob.jsonl -R old.jsonl plain
  [ "$(jq -r .format out | tr '\n' ' ')" = "pair pair " ]
  restrict pair-ec alice/identity.json >pair-ec.json
  expect 1 seal -i pair-ec.json -R old.jsonl -R bob.jsonl plain
  [ "$(jq -r .format out)" = pair-ec ]
  errors_are 1
  err_has "device $(token old | head -c 8)… of mailto:bob@example.com: offers no format that fits"
}

@test "-E forces one format, and who does not offer it is named" {
  expect 0 seal -E pair -r bob@example.com plain
  [ "$(jq -r .format out | sort | uniq -c | tr -s ' ')" = " 3 pair" ]
  mv out lines
  as bob imsg-open lines | cmp - plain
  as phone imsg-open lines | cmp - plain
  expect 1 seal -E pair-ec -r bob@example.com plain
  [ "$(jq -r .format out | tr '\n' ' ')" = "pair-ec pair-ec " ]
  errors_are 1
  expect 1 seal -E pair-ec -R old.jsonl plain
  no_out
}

@test "a record whose prekey is not signed by its device key is refused, in every format" {
  jq -c --slurpfile carol carol.jsonl '.prekey = $carol[0].prekey' bob.jsonl >bad.jsonl
  for format in '' '-E pair' '-E pair-ec'; do
    # shellcheck disable=SC2086 # none or two words
    expect 1 seal $format -R bad.jsonl -R carol.jsonl plain
    [ "$(jq -r .to_token out)" = "$(token carol)" ]
    errors_are 1
    err_has "device $(token bob | head -c 8)… of mailto:bob@example.com: prekey is not signed by the device key"
  done
  expect 1 seal -R bad.jsonl plain
  no_out
  expect 1 seal --raw -E pair -R bad.jsonl plain
  no_out
}

@test "--raw -r takes the one device that offers the format, and no own copies" {
  expect 0 seal --raw -E pair-ec -r bob@example.com plain
  mv out payload
  as bob imsg-open --raw -E pair-ec --from alice@example.com payload | cmp - plain
  expect 64 seal --raw -E pair -r bob@example.com plain
  no_out
  expect 0 seal --raw -E pair -r carol@example.com plain
}

# ---- groups and replies ----

# RFC 4122 §4.3, computed by other means.
group_id() {
  local hash part
  hash=$({
    unhex <<<7e0b3f5c4f0d5d7e9a556d1f6c0a2b11
    for part in "$@"; do printf %08x ${#part} | unhex && printf %s "$part"; done
  } | openssl dgst -sha1 -r)
  printf '%s-%s-5%s-%x%s-%s\n' "${hash:0:8}" "${hash:8:4}" "${hash:13:3}" $((0x${hash:16:1} & 3 | 8)) "${hash:17:3}" \
    "${hash:20:12}"
}

@test "a group has the same id for every member and in every order" {
  seal --no-self -g 'Vier & Co' -r bob@example.com -r carol@example.com plain >one
  seal --no-self -g 'Vier & Co' -r carol@example.com -r bob@example.com -r alice@example.com plain >two
  as carol imsg-seal --no-self -g 'Vier & Co' -r alice@example.com -r bob@example.com plain >three
  seal -g 'Vier & Co' -R carol.jsonl -R bob.jsonl plain >four
  id=$(group_id mailto:alice@example.com mailto:bob@example.com mailto:carol@example.com 'Vier & Co')
  for file in one two three four; do
    [ "$(header bob $file | jq -c .group)" = "{\"id\":\"$id\",\"name\":\"Vier & Co\"}" ]
  done
  # another name or one member less is another group
  seal --no-self -g 'Vier' -r bob@example.com -r carol@example.com plain >five
  seal --no-self -g 'Vier & Co' -r bob@example.com plain >six
  [ "$(for file in one five six; do header bob $file | jq -r .group.id; done | sort -u | wc -l)" -eq 3 ]
  expect 64 seal -g '' -r bob@example.com plain
  expect 64 seal -g $'\377' -r bob@example.com plain
}

@test "--reply answers the sender, and says what it answers" {
  seal -r bob@example.com plain >lines
  as bob imsg-open -q -j lines >opened
  as bob imsg-seal --reply opened plain >answer
  [ "$(jq -r .to_token answer | sort)" = "$(for d in alice phone old; do token $d; done | sort)" ]
  header alice answer >h
  jq -e --slurpfile o opened '.reply_to == $o[0].id and .to == ["mailto:alice@example.com"] and (has("group") | not)' h
  # from stdin, with the content in a file
  as bob imsg-seal --reply - plain <opened >answer
  [ "$(header alice answer | jq -r .reply_to)" = "$(jq -r .id opened)" ]
  # an answer to one's own message, from the copy on another device, goes where that went
  as phone imsg-open -q -j lines >opened
  as phone imsg-seal --reply opened plain >answer
  [ "$(header bob answer | jq -c .to)" = '["mailto:bob@example.com"]' ]
}

@test "--reply to a group goes to all of it, under the same id" {
  seal -g team -r bob@example.com -r carol@example.com plain >lines
  as carol imsg-open -q -j lines >opened
  as carol imsg-seal --reply opened plain >answer
  [ "$(jq -r .to answer | sort -u | tr '\n' ' ')" = "mailto:alice@example.com mailto:bob@example.com " ]
  [ "$(header bob answer | jq -c .group)" = "$(jq -c .header.group opened)" ]
  [ "$(header bob answer | jq -c .to)" = '["mailto:alice@example.com","mailto:bob@example.com"]' ]
  [ "$(header bob answer | jq -r .reply_to)" = "$(jq -r .id opened)" ]
}

@test "--receipt goes to the sender only, and says what happened" {
  seal -g team -r bob@example.com -r carol@example.com plain >lines
  as carol imsg-open -q -j lines >opened
  for what in read delivered; do
    # standard input is not read: there is no content
    echo unread | { as carol imsg-seal --reply opened --receipt $what >answer && cat >rest; }
    [ "$(cat rest)" = unread ]
    [ "$(jq -r .to answer | sort -u)" = mailto:alice@example.com ]
    header alice answer >h
    jq -e --arg what $what --slurpfile o opened '.receipt == {of: $o[0].id, what: $what}
      and (has("reply_to") or has("type") | not)' h
    [ -z "$(as alice imsg-open -q answer)" ]
  done
  expect 64 seal --reply opened --receipt seen
  expect 64 seal --receipt read -r bob@example.com
  expect 64 seal --reply opened --receipt read -g other
}

@test "what is no line of imsg-open -j is no message to answer" {
  : >empty
  echo '{}' >object
  seal -R bob.jsonl plain >lines
  echo '{"imsg":"opened/1","header":{"id":"x"}}' >short
  for file in empty object lines short plain; do
    expect 65 seal --reply $file plain
    no_out
  done
  expect 66 seal --reply missing plain
}

# ---- attachments ----

@test "-a attaches descriptors, in order, beside the content or without it" {
  echo one >one.txt
  echo two >two.txt
  as alice imsg-attach put one.txt two.txt >descriptors
  seal -r bob@example.com -a descriptors plain >lines
  expect 0 as bob imsg-open -j lines
  [ "$(jq -c '.header.attachments[]' out)" = "$(jq -c . descriptors)" ]
  [ "$(jq -r .content out)" = hello ]
  # - is stdin; then the content is the operand's, or there is none
  seal -r bob@example.com -a - plain <descriptors >lines
  expect 0 as bob imsg-open -j lines
  [ "$(jq -r '.content + (.header.attachments | length | tostring)' out)" = $'hello\n2' ]
  as alice imsg-attach put one.txt | seal -r bob@example.com -a - >lines
  expect 0 as bob imsg-open -j lines
  jq -e '.content == "" and (.header.attachments | length) == 1 and (.header | has("type") | not)' out
  mkdir got
  as bob imsg-open -q -j lines | as bob imsg-attach get -o got >/dev/null
  cmp one.txt got/one.txt
}

@test "a bad descriptor seals nothing: without it the message would be another" {
  echo one >one.txt
  as alice imsg-attach put one.txt >descriptor
  { cat descriptor && jq -c 'del(.key)' descriptor; } >descriptors
  expect 65 seal -R bob.jsonl -a descriptors plain
  no_out
  err_has '"descriptors": line 2: '
  : >none
  expect 66 seal -R bob.jsonl -a none plain
  expect 66 seal -R bob.jsonl -a missing plain
  no_out
}

# ---- size ----

# edge USER CONTENT: seal that many bytes for USER's record alone.
edge() {
  head -c "$2" /dev/zero | tr '\0' x >content
  seal -R "$1.jsonl" content
}

@test "pair-ec: the largest content that fits is sealed, one byte more is not" {
  # payload: 3 + length + 34 + 66 + 10, length = multiple of 16 + 4: at most 16373, and there inner is 16256 bytes,
  # of which 1 + 2 + 2 are not plaintext. The header ends with a newline.
  seal -R bob.jsonl plain >lines
  head=$(header bob lines | wc -c)
  expect 0 edge bob $((16251 - head))
  [ "$(jq -r .payload out | base64 -d | wc -c)" -eq 16373 ]
  mv out lines
  as bob imsg-open -q lines | cmp - content
  expect 65 edge bob $((16252 - head))
  no_out
  err_has "over the device's limit of 16384"
  err_has "imsg-seal: hint: -S "
  # a record may state another limit
  jq -c '.limit = 16372' bob.jsonl >less.jsonl
  expect 65 edge less $((16251 - head))
  err_has "limit of 16372"
  jq -c '.limit = 16373' bob.jsonl >just.jsonl
  expect 0 edge just $((16251 - head))
  # without one: 16384
  jq -c 'del(.limit)' bob.jsonl >unsaid.jsonl
  expect 0 edge unsaid $((16251 - head))
  expect 65 edge unsaid $((16252 - head))
}

@test "pair: a device that offers nothing else takes 4096 bytes unless its record says more" {
  [ "$(jq 'has("limit")' old.jsonl)" = false ]
  seal -R old.jsonl plain >lines
  head=$(header old lines | wc -c)
  # payload: 3 + 160 + plaintext - 100 + 1 + signature, and a signature has 72 bytes at most
  expect 0 edge old $((3960 - head))
  jq -r .payload out | base64 -d >payload
  [ "$(wc -c <payload)" -eq $((3 + 160 + 3860 + 1 + 0x$(tail -c +4024 payload | head -c 1 | basenc --base16))) ]
  mv out lines
  as old imsg-open -q lines | cmp - content
  expect 65 edge old $((3975 - head)) # room for 57 bytes of signature: it has about 70
  no_out
  err_has "limit of 4096"
  jq -c '.limit = 20000' old.jsonl >more.jsonl
  expect 0 edge more $((15000 - head))
}

@test "content over one device's limit seals nothing for any, without -S" {
  head -c 5000 /dev/zero >content
  expect 65 seal -r bob@example.com content
  no_out
  errors_are 1
  err_has "content too long"
  expect 0 seal -R bob.jsonl content
  head -c 70000 /dev/zero >content
  expect 65 seal -R bob.jsonl content
  no_out
  err_has "imsg-seal: hint: -S "
}

@test "-S sends content over a limit as an attachment to all devices, with type and name" {
  seq 1100 >numbers.txt # over 4096, under 16384
  expect 0 seal -S -r bob@example.com numbers.txt
  [ "$(wc -l <out)" -eq 3 ]
  mv out lines
  for device in bob old phone; do
    expect 0 as $device imsg-open -j lines
    jq -e '.content == "" and (.header | has("type") | not)' out
    [ "$(jq -r '.header.attachments[] | .name + " " + .type' out)" = "numbers.txt text/plain; charset=utf-8" ]
    mkdir got
    as $device imsg-attach get -o got <out >/dev/null
    cmp numbers.txt got/numbers.txt
    rm -r got
  done
  # what fits is not stored
  expect 0 seal -S -R bob.jsonl numbers.txt
  mv out lines
  as bob imsg-open -q lines | cmp - numbers.txt
}

@test "-S takes content of any length, from stdin too, and its type is that of all of it" {
  # 3 bytes a character: where a message would end, one is cut
  yes $'\342\202\254' | head -n 30000 | tr -d '\n' >euro
  expect 0 seal -S -R bob.jsonl euro
  mv out lines
  as bob imsg-open -q -j lines >opened
  [ "$(jq -c '.header.attachments[] | [.name, .type, .size]' opened)" = '["euro","text/plain; charset=utf-8",90000]' ]
  head -c 300000 /dev/urandom >noise
  seal -S -R bob.jsonl <noise >lines
  as bob imsg-open -q -j lines >opened
  jq -e '.header.attachments[] | (has("name") | not) and .type == "application/octet-stream" and .size == 300000' opened
  mkdir got
  as bob imsg-attach get -o got <opened >/dev/null
  cmp noise got/*
  # a name that is no text is left out
  cp noise $'noise\377'
  expect 0 seal -S -R bob.jsonl $'noise\377'
  as bob imsg-open -q -j <out | jq -e '.header.attachments[] | has("name") | not'
}

@test "--store says where -S stores, and stores nothing alone" {
  head -c 70000 /dev/zero >content
  mkdir shelf
  expect 0 seal -S --store shelf -R bob.jsonl content
  mv out lines
  [ -n "$(find shelf -type f)" ]
  mkdir got
  as bob imsg-open -q -j lines | as bob imsg-attach get --store shelf -o got >/dev/null
  cmp content got/content
  expect 64 seal --store shelf -R bob.jsonl plain
}

@test "attachments over the limit are too much for -S as well, which is then not offered" {
  head -c 70000 /dev/zero >content
  as alice imsg-attach put plain >descriptor
  jq -c 'range(60) as $i | .' descriptor >descriptors
  expect 65 seal -S -R bob.jsonl -a descriptors content
  no_out
  run ! grep -q hint err
}

# ---- counters ----

@test "counters count per device and prekey, and pair takes none" {
  seal -R bob.jsonl -R old.jsonl plain >/dev/null
  seal -R bob.jsonl -R carol.jsonl plain >/dev/null
  seal -E pair -R bob.jsonl plain >/dev/null
  [ "$(counts alice)" = '1 2' ]
  # The place that imsg-formats(5) describes.
  hex() { jq -r ".$1" "$2.jsonl" | base64 -d | basenc --base16 -w0 | tr A-F a-f; }
  prekey=$(hex prekey bob)
  hash=$(printf %s "$(hex device_key alice)$(hex device_key bob)${prekey:4:64}" | xxd -r -p | sha256sum)
  [ "$(xxd -p -c 16 -l 16 -s $((0x${hash:0:8} % 8192 * 128)) alice/counters)" = "${hash:8:24}00000002" ]
  # a new prekey starts anew
  as bob imsg-keygen --rotate >rotated.jsonl
  seal -R rotated.jsonl plain >/dev/null
  [ "$(counts alice)" = '1 1 2' ]
  [ "$(stat -c '%a %s' alice/counters)" = '600 1048576' ]
}

@test "one message takes one count, also when it was sealed again for -S" {
  seq 1100 >numbers.txt
  seal -S -R bob.jsonl -R old.jsonl numbers.txt >/dev/null
  [ "$(counts alice)" = 1 ]
}

@test "a file of counters that is damaged, or cannot be used, never stops sealing" {
  for size in 0 1 1048575 1048577; do
    head -c $size /dev/zero | tr '\0' x >alice/counters
    expect 0 seal -R bob.jsonl plain
    [ ! -s err ]
    [ "$(counts alice)" = 1 ]
  done
  head -c 1048576 /dev/zero | tr '\0' '\377' >alice/counters
  expect 0 seal -R bob.jsonl plain
  mv out lines
  as bob imsg-open -q lines | cmp - plain
  rm alice/counters
  mkdir alice/counters
  expect 0 seal -R bob.jsonl plain
  err_has "/alice/counters\": cannot open"
  err_has "message counters may come again"
  mv out lines
  as bob imsg-open -q lines | cmp - plain
  expect 0 seal -q -R bob.jsonl plain
  [ ! -s err ]
}

# ---- inputs and outputs ----

@test "standard input has one owner" {
  expect 64 seal -R bob.jsonl -a - - <plain
  expect 64 seal -R - <bob.jsonl
  expect 64 seal -R - - <bob.jsonl
  expect 64 seal -R - -R - plain <bob.jsonl
  expect 64 seal -i - -R bob.jsonl <alice/identity.json
  expect 64 seal --reply - <plain
  expect 64 seal --reply - -a - plain <plain
  no_out
  expect 0 seal -i - -R bob.jsonl plain <alice/identity.json
}

@test "an output that is also an input is refused, and stays as it was" {
  as alice imsg-attach put plain >descriptor
  seal -r bob@example.com plain >lines
  as bob imsg-open -q -j lines >opened
  cp alice/identity.json me.json
  ln -s plain link
  sha256sum plain bob.jsonl descriptor opened me.json alice/identity.json >sums
  expect 64 seal -R bob.jsonl -o plain plain
  expect 64 seal -R bob.jsonl -o link plain
  expect 64 seal -R bob.jsonl -o plain <plain
  expect 64 seal -R bob.jsonl -o bob.jsonl plain
  expect 64 seal -R bob.jsonl -a descriptor -o descriptor plain
  expect 64 seal --reply opened -o opened plain
  expect 64 seal -R bob.jsonl -o alice/identity.json plain
  expect 64 seal -i me.json -R bob.jsonl -o me.json plain
  sha256sum --quiet -c sums
}

@test "-o replaces FILE by the complete result, or leaves it as it was" {
  echo before >file
  expect 0 seal -R bob.jsonl -o file plain
  no_out
  as bob imsg-open -q file | cmp - plain
  cp file keep
  head -c 70000 /dev/zero >content
  expect 65 seal -R bob.jsonl -o file content
  expect 66 seal -R bob.jsonl -o file missing
  expect 66 seal -R missing -o file plain
  cmp file keep
  expect 65 seal -R bob.jsonl -o new content
  [ ! -e new ]
  expect 73 seal -R bob.jsonl -o no/such/folder plain
  # - is stdout, and a device stays what it is
  expect 0 seal -R bob.jsonl -o - plain
  [ "$(wc -l <out)" -eq 1 ]
  expect 0 seal -R bob.jsonl -o /dev/null plain
  [ -c /dev/null ]
}

@test "output that cannot be written is 74" {
  not_under_valgrind 'it puts /dev/null in the place of what is closed'
  IMSG_HOME=$T/alice expect 74 sh -c 'imsg-seal -R bob.jsonl plain >&-'
  IMSG_HOME=$T/alice expect 74 sh -c 'imsg-seal -R bob.jsonl plain >/dev/full'
  errors_are 1
  expect 74 seal -R bob.jsonl -o /dev/full plain
}

@test "an input that cannot be read is 66 and nothing is sealed" {
  expect 66 seal -R bob.jsonl missing
  no_out
  err_has '"missing"'
  mkdir folder
  expect 66 seal -R bob.jsonl folder
  expect 66 seal -i missing -R bob.jsonl plain
  IMSG_HOME=$T/nobody expect 66 imsg-seal -R bob.jsonl plain
  err_has "hint: imsg-keygen"
  no_out
}

@test "records from a pipe are read before the identity, which their maker may be writing" {
  for i in 1 2 3; do
    imsg-keygen -o new$i.json new@example.com | imsg-seal -i new$i.json -R - plain >line
    imsg-open -q -i new$i.json line | cmp - plain
  done
}

@test "an encrypted identity seals with its passphrase, given in a file, by descriptor or by the environment" {
  echo sesame >phrase
  echo wrong >wrong
  mkdir locked
  as locked imsg-keygen -q -p --passphrase-file phrase dora@example.com >dora.jsonl
  opens() { as bob imsg-open -q -R dora.jsonl out >got && cmp got plain; }
  expect 0 as locked imsg-seal --passphrase-file phrase -R bob.jsonl plain
  opens
  expect 0 as locked imsg-seal --passphrase-fd 5 -R bob.jsonl plain 5<phrase
  opens
  IMSG_PASSPHRASE_FILE=phrase expect 0 as locked imsg-seal -R bob.jsonl plain
  opens
  expect 77 as locked imsg-seal --passphrase-file wrong -R bob.jsonl plain
  no_out
  expect 64 as locked imsg-seal --passphrase-file phrase --passphrase-fd 5 -R bob.jsonl plain 5<phrase
}

@test "an identity file that others can read is refused, unless that is allowed" {
  cp alice/identity.json me.json
  chmod 644 me.json
  expect 77 seal -i me.json -R bob.jsonl plain
  no_out
  err_has "hint: chmod 600 me.json"
  expect 0 seal --allow-insecure-key -i me.json -R bob.jsonl plain
}

@test "wrong use is 64, found before any file is touched" {
  export IMSG_HOME=$T/untouched
  expect 64 imsg-seal plain
  err_has "no recipient"
  err_has "imsg-seal: hint: imsg-seal --help lists the options"
  expect 64 imsg-seal -r bob plain
  err_has "is a name, not a handle"
  expect 64 imsg-seal -r @ plain
  expect 64 imsg-seal -r +0 plain
  expect 64 imsg-seal -R bob.jsonl plain plain
  expect 64 imsg-seal -R bob.jsonl -E rsa plain
  expect 64 imsg-seal -R bob.jsonl -T a -T b plain
  expect 64 imsg-seal -R bob.jsonl --no-such plain
  expect 64 imsg-seal -R bob.jsonl -Z plain
  expect 64 imsg-seal -R
  no_out
  [ ! -e untouched ]
}

@test "help and version are on stdout, and -- ends the options" {
  expect 0 imsg-seal --help
  for option in -i -d -r -R -a -o -E -T -g --reply --receipt -s --each --jobs -S --store --no-self --raw \
    --passphrase-file --passphrase-fd --allow-insecure-key -q -v -h -V; do
    grep -qE -- "^ +(-., )?${option}[, ]" out || { echo "no $option"; return 1; }
  done
  expect 0 imsg-seal -V
  grep -qxE 'imsg-seal [0-9]+\.[0-9]+\.[0-9]+' out
  cp plain ./-plain
  expect 0 seal -R bob.jsonl -- -plain
  [ "$(wc -l <out)" -eq 1 ]
}

@test "long options are the short ones" {
  as alice imsg-attach put plain >descriptor
  expect 0 seal --quiet --identity alice/identity.json --directory .local/share/imsg/directory \
    --recipient bob@example.com --records carol.jsonl --attach descriptor --format pair --type text/x-y \
    --group team --store-large --output file plain
  [ ! -s err ]
  [ "$(wc -l <file)" -eq 4 ]
  header carol file | jq -e '.type == "text/x-y" and .group.name == "team" and (.attachments | length) == 1'
  expect 0 seal --verbose -R bob.jsonl plain
}
