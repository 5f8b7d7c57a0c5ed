#!/usr/bin/env bats
# imsg-seal --each: a message for each line of JSON, many in one process.
# shellcheck disable=SC2030,SC2031 # every test is a subshell
bats_require_minimum_version 1.5.0
load common

# alice with her phone; bob; carol.
setup_file() {
  setup_common
  new_user alice
  new_device phone alice alice@example.com
  as bob imsg-keygen -n bob bob@example.com +15551234567 | as bob imsg-register -q
  new_user carol
  records_of alice phone bob carol
  for user in alice bob carol; do
    as $user imsg-lookup -q alice@example.com bob@example.com carol@example.com +15551234567 >/dev/null
  done
  keep_base
}
setup() { setup_base; }
teardown() { teardown_common; }

each() { as alice imsg-seal --each "$@"; }
open() { as bob imsg-open -q "$@"; }
# headers FILE: the headers in it, as bob opens them.
headers() { open -j "$1" | jq -c .header; }

# ---- a line ----

@test "a line is sealed for everybody in \"to\", and for one's own other devices" {
  jq -nc '{to: ["bob@example.com", "mailto:carol@example.com"], content: "grüße"}' >in
  expect 0 each in
  mv out lines
  [ "$(jq -r '.to + " " + .to_token' lines | sort)" = "$(for user in bob carol phone; do
    echo "mailto:${user/phone/alice}@example.com $(jq -r .token $user.jsonl)"
  done | sort)" ]
  [ "$(jq -r .id lines | sort -u | wc -l)" -eq 1 ]
  for user in bob carol phone; do [ "$(as $user imsg-open -q lines)" = grüße ]; done
  headers lines | jq -e '.to == ["mailto:bob@example.com", "mailto:carol@example.com"]
    and .type == "text/plain; charset=utf-8" and .from == "mailto:alice@example.com"'
  expect 0 each --no-self <in
  [ "$(wc -l <out)" -eq 2 ]
}

@test "it is the message that imsg-seal makes with options, id and time apart" {
  jq -nc '{to: ["bob@example.com"], content: "hello\n", type: "text/markdown"}' >in
  each in >one
  printf 'hello\n' | as alice imsg-seal -r bob@example.com -T text/markdown >two
  for file in one two; do headers $file | jq -c 'del(.id, .time)' >$file.header; done
  cmp one.header two.header
  [ "$(open one)" = "$(open two)" ]
}

@test "content is text or base64, NUL bytes and nothing too" {
  head -c 3000 /dev/urandom >random
  {
    jq -nc '{to: ["bob@example.com"], content: ""}'
    jq -nc '{to: ["bob@example.com"]}'
    jq -nc '{to: ["bob@example.com"], content: "a\u0000b\n"}'
    jq -nc --arg c "$(base64 -w0 random)" '{to: ["bob@example.com"], content_base64: $c}'
    jq -nc '{to: ["bob@example.com"], content_base64: ""}'
  } >in
  expect 0 each --no-self in
  mv out lines
  open lines | cmp - <(printf 'a\0b\n' && cat random)
  [ "$(headers lines | jq -r '.type // "none"' | tr '\n' ' ')" = \
    "none none text/plain; charset=utf-8 application/octet-stream none " ]
}

@test "unknown members mean nothing, and blank lines are skipped" {
  printf '\n{"imsg":"message/1","id":7,"from":"x","future":{"a":[]},"to":["bob@example.com"],"content":"a"}\n\n' |
    each --no-self >lines
  [ "$(open lines)" = a ]
  # The last line needs no newline.
  printf '{"to":["bob@example.com"],"content":"b"}' | each --no-self >lines
  [ "$(open lines)" = b ]
  expect 0 each </dev/null
  no_out
  [ ! -s err ]
}

@test "a device is sealed for once, whatever names its owner is called by" {
  jq -nc '{to: ["bob@example.com", "BOB@example.com", "tel:+15551234567", "+1 555 123-4567"], content: "a"}' >in
  as bob imsg-keygen -y | as bob imsg-register -q
  expect 0 each --no-self in
  [ "$(wc -l <out)" -eq 1 ]
  mv out lines
  headers lines | jq -e '.to == ["mailto:bob@example.com", "tel:+15551234567"]'
}

@test "a named group has the id that -g gives it, whatever id comes with the name" {
  jq -nc '{to: ["bob@example.com", "carol@example.com"], content: "a", group: {name: "team"}}' | each >lines
  as alice imsg-seal -q -g team -r carol@example.com -r bob@example.com /dev/null >other
  [ "$(headers lines | jq -c .group)" = "$(headers other | jq -c .group)" ]
  id=00000000-0000-4000-8000-00000000000a
  jq -nc --arg id $id '{to: ["bob@example.com", "carol@example.com"], content: "a", group: {name: "team", id: $id}}' | each >lines
  [ "$(headers lines | jq -c .group)" = "$(headers other | jq -c .group)" ]
}

@test "answers and receipts" {
  id=00000000-0000-4000-8000-00000000000a
  {
    jq -nc --arg id $id '{to: ["bob@example.com"], content: "yes", reply_to: $id}'
    jq -nc --arg id $id '{to: ["bob@example.com"], receipt: {of: $id, what: "read"}}'
    jq -nc --arg id $id '{to: ["bob@example.com"], receipt: {of: $id, what: "delivered"}}'
  } | each --no-self >lines
  headers lines >got
  jq -e --arg id $id '.reply_to == $id and (has("receipt") | not)' <(sed -n 1p got)
  jq -e --arg id $id '.receipt == {of: $id, what: "read"} and (has("reply_to") or has("type") | not)' <(sed -n 2p got)
  jq -e --arg id $id '.receipt == {of: $id, what: "delivered"}' <(sed -n 3p got)
}

@test "attachments are descriptors, beside the content" {
  echo one >one.txt
  echo two >two.txt
  as alice imsg-attach put one.txt two.txt >descriptors
  jq -sc '{to: ["bob@example.com"], content: "look", attachments: .}' descriptors | each --no-self >lines
  headers lines | jq -e --slurpfile a descriptors '.attachments == $a'
  mkdir got
  open -j lines | as bob imsg-attach get -q -o got >/dev/null
  cmp one.txt got/one.txt
  cmp two.txt got/two.txt
}

# ---- bad lines ----

# bad STATUS TEXT: the line on stdin, between two good ones: they are sealed, it is reported with its number.
bad() {
  {
    printf '%s\n' '{"to":["bob@example.com"],"content":"before\n"}'
    cat
    printf '%s\n' '{"to":["bob@example.com"],"content":"after\n"}'
  } >in
  expect "$1" each --no-self in
  errors_are 1
  err_has "imsg-seal: error: \"in\": line 2"
  err_has "$2"
  mv out lines
  [ "$(open lines | tr '\n' ' ')" = "before after " ]
}

@test "bad lines are reported with their numbers, and the others are sealed" {
  local id=00000000-0000-4000-8000-00000000000a cases n line
  cases=(
    'JSON' 'no JSON'
    'JSON' '{"to":["bob@example.com"],"content":"cut'
    'JSON' '[]'
    'JSON' '{"to":["bob@example.com"],"content":"a"}{}'
    '"to"' '{}'
    '"to"' '{"to":[],"content":"a"}'
    '"to"' '{"to":"bob@example.com","content":"a"}'
    '"to"' '{"to":["bob@example.com",7],"content":"a"}'
    '"to"' '{"to":["bob"],"content":"a"}'
    'twice' '{"to":["bob@example.com"],"to":["bob@example.com"],"content":"a"}'
    '"content"' '{"to":["bob@example.com"],"content":7}'
    '"content"' '{"to":["bob@example.com"],"content":null}'
    'content_base64 are both' '{"to":["bob@example.com"],"content":"a","content_base64":"YQ=="}'
    'base64' '{"to":["bob@example.com"],"content_base64":"YQ"}'
    '"type"' '{"to":["bob@example.com"],"content":"a","type":1}'
    '"group"' '{"to":["bob@example.com"],"content":"a","group":"team"}'
    '"name"' '{"to":["bob@example.com"],"content":"a","group":{}}'
    '"reply_to"' '{"to":["bob@example.com"],"content":"a","reply_to":"yes"}'
    '"receipt"' '{"to":["bob@example.com"],"receipt":"read"}'
    '"of"' '{"to":["bob@example.com"],"receipt":{"what":"read"}}'
    'seen' "{\"to\":[\"bob@example.com\"],\"receipt\":{\"of\":\"$id\",\"what\":\"seen\"}}"
    'attachment' '{"to":["bob@example.com"],"attachments":["photo.jpg"]}'
    'attachment' '{"to":["bob@example.com"],"attachments":[{"imsg":"attachment/1"}]}'
    'UTF-8' $'{"to":["bob@example.com"],"content":"\377"}'
  )
  for ((n = 0; n < ${#cases[@]}; n += 2)); do
    printf '%s\n' "${cases[n + 1]}" "{\"to\":[\"bob@example.com\"],\"content\":\"$n\\n\"}"
  done >in
  expect 65 each --no-self in
  for ((n = 0; n < ${#cases[@]}; n += 2)); do
    line=$(grep -F "imsg-seal: error: \"in\": line $((n + 1)): " err)
    [[ $line == *"${cases[n]}"* ]] || { echo "line $((n + 1)): not \"${cases[n]}\" but $line"; return 1; }
  done
  errors_are $((${#cases[@]} / 2))
  mv out lines
  open lines | cmp - <(seq 0 2 $((${#cases[@]} - 2)))
}

@test "a line of more than 1 MiB, and one that ends with the input, are bad lines as well" {
  bad 65 '' < <(head -c 1100000 /dev/zero | tr '\0' x; echo)
  printf '{"to":["bob@example.com"],"content":"a"}\n{"to":["bob@exam' >in
  expect 65 each --no-self in
  errors_are 1
  err_has 'line 2'
  mv out lines
  [ "$(open lines)" = a ]
}

@test "content over the limit is that line's failure, and the hint is one that helps here" {
  head -c 20000 /dev/zero | tr '\0' x >long
  bad 65 'content too long' < <(jq -Rc '{to: ["bob@example.com"], content: .}' long)
  err_has '-S sends it'
  without grep -q 'sealed file' err
  head -c 70000 /dev/zero | tr '\0' x >longer
  bad 65 'content too long' < <(jq -Rc '{to: ["bob@example.com"], content: .}' longer)
}

@test "who has no account is named with the line, and the other lines and recipients are sealed for" {
  bad 67 nobody@example.com <<<'{"to":["nobody@example.com"],"content":"a"}'
  jq -nc '{to: ["nobody@example.com", "bob@example.com"], content: "a"}' >in
  expect 67 each --no-self in
  errors_are 1
  mv out lines
  headers lines | jq -e '.to == ["mailto:nobody@example.com", "mailto:bob@example.com"]'
  # The status is that of the first failure.
  printf '%s\n' '{"to":["nobody@example.com"]}' 'no JSON' >in
  expect 67 each in
  errors_are 2
  no_out
  printf '%s\n' 'no JSON' '{"to":["nobody@example.com"]}' >in
  expect 65 each in
  jq -nc '{to: ["bob@example.com"], content: "a"}' >in
  expect 75 each -d missing in
  no_out
}

@test "without keys nothing is sealed: one line, not one for each" {
  printf '{"to":["bob@example.com"]}\n%.0s' 1 2 3 >in
  expect 66 each -i missing in
  errors_are 1
  chmod 644 alice/identity.json
  expect 77 each in
  errors_are 1
  no_out
}

# ---- records ----

@test "-R gives the records of the handles, and no directory is asked" {
  rm -r .local alice/pins.json
  {
    jq -nc '{to: ["bob@example.com"], content: "to bob\n"}'
    jq -nc '{to: ["carol@example.com"], content: "to carol\n"}'
    jq -nc '{to: ["carol@example.com", "bob@example.com"], content: "to both\n"}'
    jq -nc '{to: ["dave@example.com"], content: "to dave\n"}'
    jq -nc '{to: ["+15551234567"], content: "to a number\n"}'
  } >in
  expect 67 each -R bob.jsonl -R carol.jsonl in
  errors_are 1
  err_has 'line 4: '
  err_has 'dave@example.com has no device in the records given'
  mv out lines
  [ "$(jq -r .to lines | tr '\n' ' ')" = "mailto:bob@example.com mailto:carol@example.com mailto:carol@example.com \
mailto:bob@example.com tel:+15551234567 " ]
  [ "$(open -R alice.jsonl lines | tr '\n' ,)" = "to bob,to both,to a number," ]
  [ "$(as carol imsg-open -q -R alice.jsonl lines | tr '\n' ,)" = "to carol,to both," ]
  [ ! -e alice/pins.json ]
  [ ! -e .local ]
}

@test "-E, -i, --jobs and --no-self are as without --each" {
  printf '{"to":["bob@example.com"],"content":"%s"}\n' a b >in
  expect 0 each -E pair --no-self --jobs 3 -i alice/identity.json in
  [ "$(jq -r .format out | tr '\n' ' ')" = "pair pair " ]
  jq -c 'del(.identity)' carol.jsonl >ec.jsonl
  jq -nc '{to: ["carol@example.com", "bob@example.com"], content: "a"}' >in
  expect 1 each -E pair -R ec.jsonl -R bob.jsonl in
  err_has "line 1: device"
  [ "$(jq -r .to out)" = mailto:bob@example.com ]
}

# ---- many ----

@test "many messages come out in order, whole, each counted once" {
  seq 1000 | jq -c '{to: [if . % 3 == 0 then "carol@example.com" else "bob@example.com" end], content: "\(.)\n"}' >in
  expect 0 each in
  [ ! -s err ]
  mv out lines
  [ "$(wc -l <lines)" -eq 2000 ] # the phone has a copy of each
  as phone imsg-open -q lines | cmp - <(seq 1000)
  open lines | cmp - <(seq 1000 | awk '$1 % 3')
  as carol imsg-open -q lines | cmp - <(seq 3 3 1000)
  # Envelopes of one message stand together, and no id is there twice.
  [ "$(jq -r .id lines | uniq -c | awk '$1 == 2' | wc -l)" -eq 1000 ]
  [ "$(jq -r .id lines | sort -u | wc -l)" -eq 1000 ]
  [ "$(counts alice)" = '333 667 1000' ]
  # And goes on where it stood.
  jq -nc '{to: ["carol@example.com"]}' | each --no-self >/dev/null
  [ "$(counts alice)" = '334 667 1000' ]
}

@test "the counter inside each message is its own" {
  seq 6 | jq -c '{to: ["bob@example.com"], content: "\(.)"}' | each --no-self >lines
  while read -r line; do
    printf '%s\n' "$line" >one
    as bob imsg-inspect -R alice.jsonl -j one | jq -c '[.. | objects | select(.field? == "counter") | .value] | first'
  done <lines | cmp - <(seq 0 5)
}

@test "any number of threads gives the same order" {
  seq 60 | jq -c '{to: ["bob@example.com", "carol@example.com"], content: "\(.)\n"}' >in
  sed -i '7s/.*/no JSON/; 31s/bob/nobody/' in
  for jobs in 1 2 7; do
    expect 65 each --jobs $jobs in
    jq -r .to_token out >order.$jobs
    cp err err.$jobs
    mv out lines
    open lines | cmp - <(seq 60 | sed '7d; 31d')
  done
  cmp order.1 order.2
  cmp order.1 order.7
  cmp err.1 err.2
  cmp err.1 err.7
}

@test "a round is full of devices before it is full of messages" {
  for n in $(seq 20); do imsg-keygen -o "many.$n" many@example.com; done >devices
  seq 250 | jq -c '{to: ["many@example.com"], content: "\(.)"}' >in
  expect 0 each -R devices in
  [ "$(wc -l <out)" -eq 5000 ]
  [ "$(jq -r .id out | uniq -c | awk '$1 == 20' | wc -l)" -eq 250 ]
  jq -r .to_token out >order
  tokens=$(jq -r .token devices)
  for _ in $(seq 250); do printf '%s\n' "$tokens"; done | cmp - order
}

# ---- as a stream ----

@test "what was asked for comes out while the producer waits" {
  mkfifo in mid
  IMSG_HOME=$T/alice imsg-seal -q --each --no-self <in >mid &
  local pid=$!
  exec 7>in 8<mid
  for word in one two; do
    printf '{"to":["bob@example.com"],"content":"%s"}\n' $word >&7
    read -r -t 60 line <&8
    [ "$(printf '%s\n' "$line" | open)" = $word ]
  done
  # Half a line is no line yet; a bad one is no reason to wait either.
  printf '{"to":["bob@example.com"],"con' >&7
  printf 'tent":"three"}\nno JSON\n{"to":["bob@example.com"],"content":"four"}\n' >&7
  for word in three four; do
    read -r -t 60 line <&8
    [ "$(printf '%s\n' "$line" | open)" = $word ]
  done
  exec 7>&-
  local status=0
  wait $pid || status=$?
  exec 8<&-
  [ $status -eq 65 ]
}

@test "answers to what was opened, in one pipeline" {
  seq 40 | jq -c '{to: ["alice@example.com"], content: "question \(.)"}' | as bob imsg-seal -q --each --no-self >lines
  as alice imsg-open -q -j lines |
    jq -c '{to: [.from], content: ("re: " + .content + "\n"), reply_to: .id}' | each --no-self >answers
  open answers | cmp - <(seq 40 | sed 's/^/re: question /')
  [ "$(headers answers | jq -r .reply_to)" = "$(as alice imsg-open -q -j lines | jq -r .id)" ]
}

@test "a message opened is passed on with its group, type and attachments by changing \"to\"" {
  printf 'a\0b' >bytes
  as alice imsg-attach put bytes >descriptor
  as bob imsg-attach put -q bytes >/dev/null
  as bob imsg-seal -q -r alice@example.com -T text/x-odd -a descriptor bytes >lines
  as alice imsg-open -q -j lines | jq -c '.header + {content, to: ["carol@example.com"]}' | each --no-self >onward
  as carol imsg-open -q -j onward >opened
  jq -e --slurpfile a descriptor '.content == "a\u0000b" and .from == "mailto:alice@example.com"
    and .header.type == "text/x-odd" and .header.attachments == $a' opened
}

# ---- -S and -o ----

@test "-S sends what is over a limit through the store, and the rest as it is" {
  head -c 30000 /dev/zero | tr '\0' x >long
  {
    jq -nc '{to: ["bob@example.com"], content: "short"}'
    jq -Rc '{to: ["bob@example.com"], content: ., type: "text/x-long"}' long
    jq -nc '{to: ["bob@example.com"], content: "last"}'
  } >in
  expect 0 each -S --no-self in
  mv out lines
  headers lines >got
  [ "$(jq -c 'has("attachments")' got | tr '\n' ' ')" = "false true false " ]
  open -j lines | sed -n 2p >second
  jq -e '.content == "" and .header.attachments[0].type == "text/x-long"' second
  mkdir got.d
  as bob imsg-attach get -q -o got.d second >/dev/null
  cmp got.d/* <(head -c 30000 long)
  expect 64 each --store .local/share/imsg/store in
}

@test "-o has what could be sealed when all is done, and nothing when the run broke off" {
  printf '%s\n' '{"to":["bob@example.com"],"content":"a"}' 'no JSON' '{"to":["bob@example.com"],"content":"b"}' >in
  expect 65 each --no-self -o result in
  no_out
  [ "$(open result)" = ab ]
  cp result keep
  expect 66 each -i missing -o result in
  expect 66 each -o result missing
  cmp result keep
  head -n 1 in >good
  expect 73 each -o no/such/folder good
  errors_are 1
  expect 64 each -o in in
  mkfifo fifo
  IMSG_HOME=$T/alice imsg-seal -q --each -o new <fifo &
  local pid=$!
  exec 7>fifo
  cat in >&7
  kill -KILL $pid
  wait $pid || true
  exec 7>&-
  [ ! -e new ]
}

@test "output that cannot be written is 74, one line, and ends the run" {
  seq 600 | jq -c '{to: ["bob@example.com"], content: "\(.)"}' >in
  IMSG_HOME=$T/alice expect 74 sh -c 'imsg-seal --each in >/dev/full'
  errors_are 1
  IMSG_HOME=$T/alice expect 74 sh -c 'imsg-seal --each in >&-'
  errors_are 1
  expect 74 each -o /dev/full in
  errors_are 1
  (each in || echo $? >status) 2>err | head -n 1 >/dev/null
  [ "$(cat status)" -eq 74 ]
  errors_are 1
}

@test "an identity from stdin or with a passphrase, and stdin has one owner" {
  jq -nc '{to: ["bob@example.com"], content: "a"}' >in
  expect 0 each -i - in <alice/identity.json
  expect 64 each -i - <alice/identity.json
  expect 64 each -R - <bob.jsonl
  expect 0 each -R - in <bob.jsonl
  echo secret >pass
  as locked imsg-keygen -q -p --passphrase-file pass -n locked locked@example.com >/dev/null
  expect 0 as locked imsg-seal -q --each --passphrase-file pass -R bob.jsonl in
  [ "$(wc -l <out)" -eq 1 ]
  # No passphrase is asked for before there is a line.
  expect 0 as locked imsg-seal --each -R bob.jsonl </dev/null
}

@test "what does not go with --each is 64, found before any file is touched" {
  export IMSG_HOME=$T/untouched
  for option in '-r bob@example.com' '-a file' '-T text/plain' '-g team' -s '--reply file' '--raw -E pair' \
    '--reply file --receipt read'; do
    # shellcheck disable=SC2086 # an option and its argument
    expect 64 imsg-seal --each $option in
    no_out
  done
  expect 64 imsg-seal --each in in
  [ ! -e untouched ]
}
