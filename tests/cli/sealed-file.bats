#!/usr/bin/env bats
# Sealed files: imsg-seal -s and imsg-open on what it made, as streams, and everything that can be wrong with one.
# shellcheck disable=SC2030,SC2031,SC2094 # every test is a subshell; that input = output is refused is tested
bats_require_minimum_version 1.5.0
load common
load vectors

CHUNK=1048576
SEALED=$((CHUNK + 80)) # a chunk with its tag and signature

# alice with her phone; bob, whose old device offers "pair" only; carol, who offers "pair-ec" only; dave. small is from
# alice to bob, large likewise in three chunks.
setup_file() {
  setup_common
  new_user alice
  new_device phone alice alice@example.com
  new_user bob
  as old imsg-keygen -n old bob@example.com >/dev/null
  as carol imsg-keygen -n carol carol@example.com >/dev/null
  umask 077
  restrict pair old/identity.json >identity && mv identity old/identity.json
  restrict pair-ec carol/identity.json >identity && mv identity carol/identity.json
  as old imsg-keygen -y | as bob imsg-register -q
  as carol imsg-keygen -y | as carol imsg-register -q
  new_user dave
  records_of alice phone bob old carol dave
  for user in alice bob carol dave; do
    as $user imsg-lookup -q alice@example.com bob@example.com carol@example.com >/dev/null
  done
  head -c $((3 * CHUNK + 1)) /dev/urandom >random
  head -c $((2 * CHUNK + 777)) random >content
  printf 'hello\n' >plain
  seal -R bob.jsonl content >large
  seal -R bob.jsonl plain >small
  keep_base
}
setup() {
  setup_common
  ln -s "$BATS_FILE_TMPDIR/base/random" "$BATS_FILE_TMPDIR/base/content" "$BATS_FILE_TMPDIR/base/large" .
  (cd "$BATS_FILE_TMPDIR/base" && cp -a .local alice phone bob old carol dave ./*.jsonl plain small "$T")
}
teardown() { teardown_common; }

seal() { as alice imsg-seal -q -s "$@"; }
open() { as bob imsg-open -q -R alice.jsonl "$@"; }

# head_of FILE: its lines. body_of FILE: what follows them. chunk FILE N: the N-th, from 1.
head_of() { head -n "$(grep -an -m1 '^{"imsg":"stream/' "$1" | cut -d: -f1)" "$1"; }
body_of() { tail -c +$(($(head_of "$1" | wc -c) + 1)) "$1"; }
chunk() { body_of "$1" | dd iflag=fullblock bs=$SEALED skip=$(($2 - 1)) count=1 status=none; }
stream_line() { head_of "$1" | tail -n 1; }
envelopes() { head_of "$1" | head -n -1; }

# refused STATUS BYTES FILE [CONTENT]: opening ends so and gives that many bytes, the first of CONTENT; with -o it gives
# none, and the file is as it was, with nothing beside it.
refused() {
  local got=0 before
  open "$3" >out 2>err || got=$?
  [ $got -eq "$1" ] || { echo "status $got, not $1"; cat err; return 1; }
  if [ "$2" -eq 0 ]; then
    no_out
  else
    [ "$(stat -c %s out)" -eq "$2" ] || { echo "$(stat -c %s out) bytes out, not $2"; return 1; }
    cmp -n "$2" out "${4:-content}"
  fi
  errors_are 1
  echo before >kept
  before=$(shopt -s dotglob && echo *)
  expect "$1" open -o kept "$3"
  no_out
  [ "$(<kept)" = before ]
  [ "$(shopt -s dotglob && echo *)" = "$before" ] || { ls -A; return 1; }
}

# ---- there and back ----

@test "content of every size around the edges of chunks comes back, by pipes and by files" {
  for size in 0 1 $((CHUNK - 1)) $CHUNK $((CHUNK + 1)) $((2 * CHUNK - 1)) $((2 * CHUNK)) $((2 * CHUNK + 1)) \
    $((3 * CHUNK - 1)) $((3 * CHUNK)) $((3 * CHUNK + 1)); do
    head -c "$size" random >part
    seal -R bob.jsonl <part >sealed
    # The lines, and for each chunk 80 bytes more than the content.
    chunks=$(((size + CHUNK - 1) / CHUNK))
    [ "$(body_of sealed | wc -c)" -eq $((size + 80 * (chunks ? chunks : 1))) ]
    open <sealed | cmp - part
    expect 0 seal -R bob.jsonl -o file part
    no_out
    expect 0 open -o result file
    no_out
    cmp result part
    rm result
  done
}

@test "the lines are envelopes, and one that says how the rest is sealed" {
  expect 0 seal -R bob.jsonl -R carol.jsonl plain
  [ "$(head_of out | jq -r .imsg | tr '\n' ' ')" = "envelope/1 envelope/1 stream/1 " ]
  [ "$(stream_line out | jq -c 'del(.commitment)')" = "$(jq -nc --arg id "$(jq -r .id <(envelopes out) | sort -u)" \
    '{imsg: "stream/1", id: $id, cipher: "aes-256-gcm", chunk: 1048576}')" ]
  [ "$(stream_line out | jq -c 'keys_unsorted | last')" = '"commitment"' ]
  mv out sealed
  # The commitment is HKDF of the header's key, by openssl.
  as bob imsg-open -q -R alice.jsonl --raw -E pair-ec --from alice@example.com <(envelopes sealed |
    jq -r --arg token "$(head -n 1 bob.jsonl | jq -r .token)" 'select(.to_token == $token).payload' | base64 -d) >header
  key=$(jq -r .stream.key header | base64 -d | xxd -p -c 32)
  salt=$(jq -r .id header | tr -d -)
  [ "$(openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt "hexkey:$key" -kdfopt "hexsalt:$salt" \
    -kdfopt 'info:imsg stream/1 commitment' HKDF | tr -d ':\n' | tr A-F a-f)" = "$(stream_line sealed | jq -r .commitment)" ]
  # No two are alike, and nothing of the content is readable.
  seal -R bob.jsonl plain >other
  run ! cmp -s <(body_of other) <(body_of small)
  run ! grep -q hello out
}

@test "reads and writes split at odd places change nothing" {
  head -c $((3 * CHUNK - 5)) random >part
  for size in 977 4099 65537 1048577; do
    dd if=part bs=$size status=none | as alice imsg-seal -q -s -R bob.jsonl | dd bs=1009 status=none |
      open | dd bs=$size status=none | cmp - part
  done
  # Where lines end and chunks begin: the head byte by byte.
  { head_of small | dd bs=1 status=none; body_of small | dd bs=1 status=none; } | open | cmp - plain
}

@test "several people and devices, formats mixed, and one's own other device" {
  seal -r bob@example.com -r carol@example.com content >sealed
  [ "$(envelopes sealed | jq -r '.to_token + " " + .format' | sort)" = "$({
    jq -r '.token + " pair-ec"' bob.jsonl carol.jsonl phone.jsonl
    jq -r '.token + " pair"' old.jsonl
  } | sort)" ]
  for device in phone bob old carol; do
    expect 0 as $device imsg-open -q sealed
    cmp out content
  done
  expect 1 as dave imsg-open -q sealed
  no_out
  err_has "no envelope for this device"
  errors_are 1
  # Sealed for many, opened by records alone too; --no-self leaves out the phone.
  expect 0 as old imsg-open -q -R alice.jsonl sealed
  seal --no-self -r bob@example.com plain >sealed
  [ "$(envelopes sealed | wc -l)" -eq 2 ]
}

@test "who can do one format only seals files that both kinds of keys verify" {
  umask 077
  for kind in pair pair-ec; do
    mkdir "$kind"
    restrict $kind alice/identity.json >$kind/identity.json
    as $kind imsg-keygen -y >$kind.jsonl
    as $kind imsg-seal -q -s -R bob.jsonl content >sealed
    expect 0 as bob imsg-open -q -R $kind.jsonl sealed
    cmp out content
  done
  expect 0 seal -E pair -R bob.jsonl plain
  [ "$(envelopes out | jq -r .format)" = pair ]
  mv out sealed
  expect 0 open sealed
  cmp out plain
}

@test "the limit of a device is none for a sealed file" {
  jq -c '.limit = 700' bob.jsonl >narrow.jsonl
  seal -R narrow.jsonl content >sealed
  open sealed | cmp - content
}

@test "a sealed file has type, group, attachments and the message it answers, as a message has" {
  as alice imsg-attach put plain >descriptor
  as bob imsg-seal -q -R alice.jsonl plain >lines
  as alice imsg-open -q -j -R bob.jsonl lines >opened
  expect 0 seal -T application/x-tar -g family -a descriptor -r bob@example.com content
  mv out sealed
  expect 0 open -j -o result sealed
  cmp result content
  jq -e --slurpfile a descriptor '.imsg == "opened/1" and .from == "mailto:alice@example.com" and .sent == false
    and .header.type == "application/x-tar" and .header.group.name == "family" and .header.attachments == $a
    and (.header | has("stream") | not) and (has("content") or has("content_base64") | not)' out
  jq -r .header.group.id out >id
  as alice imsg-seal -q -g family -r bob@example.com plain >lines
  open -j lines | jq -r .header.group.id | cmp - id
  expect 0 seal --reply opened content
  mv out sealed
  expect 0 open -j -o result sealed
  jq -e --arg id "$(jq -r .id opened)" '.header.reply_to == $id' out
  # The type by the beginning, where none is given.
  seal -R bob.jsonl content >sealed
  open -j -o result sealed | jq -e '.header.type == "application/octet-stream"'
  seal -R bob.jsonl plain >sealed
  open -j -o result sealed | jq -e '.header.type == "text/plain; charset=utf-8"'
}

@test "the sender and the time are noted when all is verified, and not before" {
  expect 0 as bob imsg-open -R alice.jsonl small
  grep -qE '^imsg-open: from mailto:alice@example.com, 20' err
  head -c -1 small >short
  expect 1 as bob imsg-open -R alice.jsonl short
  without grep -q 'from mailto' err
}

@test "-j needs a file for the content, and one for each sealed file" {
  expect 64 open -j small
  no_out
  errors_are 1
  as alice imsg-seal -q -R bob.jsonl plain >lines
  echo before >file
  expect 64 open -j -o file lines small
  expect 64 open -j -o file small lines
  expect 64 open -j -o file small small
  no_out
  [ "$(cat file)" = before ]
  # Nothing of a sealed file that is refused goes into JSON.
  head -c -1 small >short
  expect 1 open -j -o file short
  no_out
}

@test "several sealed files come out one after another, and one refused does not stop the others" {
  expect 0 open small large small
  cat plain content plain | cmp - out
  head -c -1 small >short
  expect 1 open short large
  cmp out content
  errors_are 1
  expect 1 open -o file short large
  [ ! -e file ]
  expect 0 open -o file small large
  cat plain content | cmp - file
}

@test "a message in lines after a sealed file of another input" {
  as alice imsg-seal -q -R bob.jsonl plain >lines
  expect 0 open lines small lines
  cat plain plain plain | cmp - out
}

@test "a directory is asked for the sender, and pins" {
  expect 0 as bob imsg-open -q small
  cmp out plain
  expect 75 as bob imsg-open -q -d missing small
  no_out
  jq -c 'select(.name != "alice")' alice.jsonl >none.jsonl
  expect 1 as bob imsg-open -q -R carol.jsonl small
  no_out
}

@test "--from takes those named, and refuses the others before a chunk is opened" {
  expect 0 open --from alice@example.com small
  cmp out plain
  expect 1 open --from carol@example.com small
  no_out
  errors_are 1
  err_has 'not expected (--from)'
  expect 1 open --from carol@example.com -o file small
  [ ! -e file ]
}

@test "--verify-first writes nothing of a file that is not whole" {
  expect 0 open --verify-first large
  cmp out content
  expect 0 open --verify-first <large
  cmp out content
  expect 0 open --verify-first small large
  cat plain content | cmp - out
  expect 0 open --verify-first -o result small
  cmp result plain
  head -c -1 large >short
  refused 1 $((2 * CHUNK)) short
  expect 1 open --verify-first short
  no_out
  errors_are 1
  # A file of which something was read already.
  { echo first; cat large; } >prefixed
  { read -r line; open --verify-first >out; } <prefixed
  [ "$line" = first ]
  cmp out content
  # What can be read once only is a wrong use, and so far as messages go there is nothing to read twice.
  expect 64 open --verify-first < <(cat large)
  no_out
  errors_are 1
  as alice imsg-seal -q -R bob.jsonl plain >lines
  expect 0 open --verify-first < <(cat lines)
  cmp out plain
}

# ---- all or none ----

@test "who cannot be reached is named, and nothing is sealed for anybody" {
  echo before >file
  expect 67 seal -r bob@example.com -r nobody@example.com plain
  no_out
  err_has nobody@example.com
  expect 67 seal -r bob@example.com -r nobody@example.com -o file plain
  [ "$(cat file)" = before ]
  expect 67 seal -r bob@example.com -r nobody@example.com -o new plain
  [ ! -e new ]
  { cat bob.jsonl; echo '{"imsg":"device/1"}'; } >records
  expect 65 seal -R records plain
  no_out
  expect 65 seal -R records -o file plain
  [ "$(cat file)" = before ]
}

@test "a device whose prekey is not signed, or that lacks the format, leaves nothing for the others" {
  echo before >file
  jq -c --slurpfile c carol.jsonl '.prekey = $c[0].prekey' bob.jsonl >bad.jsonl
  expect 1 seal -R carol.jsonl -R bad.jsonl plain
  no_out
  errors_are 1
  expect 1 seal -R carol.jsonl -R bad.jsonl -o file plain
  expect 1 seal -E pair -R bob.jsonl -R carol.jsonl -o file plain
  expect 1 seal -E pair -R bob.jsonl -R carol.jsonl -o new plain
  no_out
  [ "$(cat file)" = before ]
  [ ! -e new ]
  expect 66 seal -R /dev/null -o new plain
  [ ! -e new ]
}

# ---- outputs ----

@test "a terminal gets text, and binary only with -o -" {
  export IMSG_HOME=$T/bob
  expect 0 script -qec 'imsg-open -q -R alice.jsonl small' /dev/null </dev/null
  [ "$(tr -d '\r' <out)" = hello ]
  expect 64 script -qec 'imsg-open -q -R alice.jsonl large' /dev/null </dev/null
  [ "$(wc -c <out)" -lt 300 ]
  head -c 100 random >part
  as alice imsg-seal -q -s -R bob.jsonl part >sealed
  expect 0 script -qec 'stty raw -echo; imsg-open -q -R alice.jsonl -o - sealed' /dev/null </dev/null
  cmp out part
  export IMSG_HOME=$T/alice
  expect 64 script -qec 'imsg-seal -q -s -R bob.jsonl plain' /dev/null </dev/null
  without grep -q envelope/1 out
}

@test "a character that stands across the edge of a chunk is still text" {
  { head -c $((CHUNK - 1)) /dev/zero | tr '\0' x; printf '\303\274\n'; } >text
  seal -R bob.jsonl text >sealed
  IMSG_HOME=$T/bob expect 0 script -qec 'stty raw -echo; imsg-open -q -R alice.jsonl sealed' /dev/null </dev/null
  cmp out text
}

@test "a file that begins as text stays harmless to a terminal: all sequences of two bytes" {
  { head -c $CHUNK /dev/zero | tr '\0' x
    awk 'BEGIN { for (i = 0; i < 65536; i++) printf "%04x0a", i }' | xxd -r -p; } >text
  seal -R bob.jsonl text >sealed
  export IMSG_HOME=$T/bob
  expect 0 script -qec 'stty raw -echo; imsg-open -q -R alice.jsonl sealed' /dev/null </dev/null
  [ "$(wc -c <out)" -gt $((CHUNK + 65536 * 3)) ]
  iconv -f UTF-8 -t UTF-8 out >utf8
  LC_ALL=C.UTF-8 run ! grep -qaP '[\x00-\x08\x0b-\x1f\x7f-\x{9f}]' utf8
  expect 0 script -qec 'stty raw -echo; imsg-open -q -R alice.jsonl --raw-terminal sealed' /dev/null </dev/null
  cmp text out
  quality 'A sequence of two bytes in a text on a terminal: no control character but newline and tab comes out' 65536
}

@test "output that cannot be written is 74 and one line" {
  not_under_valgrind 'it puts /dev/null in the place of what is closed'
  for file in small large; do
    IMSG_HOME=$T/bob expect 74 sh -c "imsg-open -q -R alice.jsonl $file >/dev/full"
    errors_are 1
    IMSG_HOME=$T/bob expect 74 sh -c "imsg-open -q -R alice.jsonl $file >&-"
    errors_are 1
    expect 74 open -o /dev/full $file
    errors_are 1
  done
  for file in plain content; do
    IMSG_HOME=$T/alice expect 74 sh -c "imsg-seal -q -s -R bob.jsonl $file >/dev/full"
    errors_are 1
    IMSG_HOME=$T/alice expect 74 sh -c "imsg-seal -q -s -R bob.jsonl $file >&-"
    errors_are 1
    expect 74 seal -R bob.jsonl -o /dev/full $file
    errors_are 1
  done
  expect 73 seal -R bob.jsonl -o no/such/folder plain
  expect 73 open -o no/such/folder small
}

@test "a full disk is 74 and one line, and leaves no file and the old one as it was" {
  can_mount
  mkdir disk
  fill() {
    mount -t tmpfs -o size=1536k none disk || return
    echo before >disk/file
    seal -R bob.jsonl -o disk/file content 2>err.1
    echo $? >status
    seal -R bob.jsonl -o disk/new content 2>err.2
    echo $? >>status
    open -o disk/file large 2>err.3
    echo $? >>status
    open -o disk/new large 2>err.4
    echo $? >>status
    ls -A disk >names
    cat disk/file >after
  }
  export -f fill seal open as
  with_mounts bash -c fill
  [ "$(paste -s -d ' ' status)" = "74 74 74 74" ]
  wc -l err.? | awk '$2 != "total" && $1 != 1 { exit 1 }' || { cat err.?; false; }
  [ "$(cat names)" = file ]
  [ "$(cat after)" = before ]
}

@test "a reader that goes away is 74 and one line" {
  (open large || echo $? >status) 2>err | head -c 10 | cmp - <(head -c 10 content)
  [ "$(cat status)" -eq 74 ]
  errors_are 1
  (seal -R bob.jsonl content || echo $? >status) 2>err | head -c 10 >/dev/null
  [ "$(cat status)" -eq 74 ]
  errors_are 1
}

@test "a writer that goes away leaves a cut file: 1, and with -o none" {
  (head -c $((SEALED + 5000)) large; exit 3) | { open >out 2>err || echo $? >status; }
  [ "$(cat status)" -eq 1 ]
  cmp out <(head -c $CHUNK content)
  errors_are 1
  (head -c $((SEALED + 5000)) large; exit 3) | { open -o new 2>err || echo $? >status; }
  [ ! -e new ]
}

@test "killed on the way there is no file" {
  mkfifo in
  local signal pid
  for signal in TERM KILL; do
    IMSG_HOME=$T/alice imsg-seal -q -s -R bob.jsonl -o new <in &
    pid=$!
    exec 7>in
    head -c $((CHUNK + 1)) random >&7
    kill -$signal $pid
    wait $pid || true
    exec 7>&-
    [ ! -e new ]
  done
}

@test "ended by a signal, it leaves no temporary file, and killed none that others can read" {
  mkfifo in
  local signal pid got
  for signal in HUP TERM KILL; do
    IMSG_HOME=$T/alice imsg-seal -q -s -R bob.jsonl -o new <in 7>&- &
    pid=$!
    exec 7>in
    head -c $((2 * CHUNK)) random >&7 # more than a pipe holds: the first chunk has been read
    kill -$signal $pid
    got=0
    wait $pid || got=$?
    [ "$got" -eq $((128 + $(kill -l $signal))) ]
    exec 7>&-
    [ ! -e new ]
    if [ $signal = KILL ]; then
      [ -z "$(find . -maxdepth 1 -name '.new*' -perm /077)" ]
    else
      run ! compgen -G '.new*'
    fi
  done
}

@test "an output that is also an input is refused" {
  cp small same
  expect 64 open -o same same
  expect 64 open -o same <same
  expect 64 seal -R bob.jsonl -o plain plain
  cmp same small
}

@test "an input that cannot be read is 66 and nothing is sealed" {
  expect 66 seal -R bob.jsonl missing
  no_out
  mkdir folder
  expect 66 seal -R bob.jsonl folder
  expect 66 seal -R bob.jsonl -o new missing
  [ ! -e new ]
  expect 66 open missing
}

# ---- as a stream ----

@test "a chunk comes out as soon as more is known to follow, while the input is open" {
  mkfifo in mid
  as alice imsg-seal -q -s -R bob.jsonl <in >mid &
  local pid=$!
  exec 7>in 8<mid
  head -c $((CHUNK + 1)) random >&7
  for _ in 1 2; do
    read -r -t 60 line <&8
    printf '%s\n' "$line"
  done >sealed
  timeout 240 head -c $SEALED <&8 >>sealed
  exec 7>&-
  cat <&8 >>sealed
  wait $pid
  exec 8<&-
  open sealed | cmp - <(head -c $((CHUNK + 1)) random)

  as bob imsg-open -q -R alice.jsonl <in >mid &
  pid=$!
  exec 7>in 8<mid
  head -c -81 sealed >&7 # the whole first chunk and …
  tail -c 81 sealed | head -c 1 >&7
  timeout 240 head -c $CHUNK <&8 | cmp - <(head -c $CHUNK random)
  tail -c 80 sealed >&7
  exec 7>&-
  cat <&8 | cmp - <(head -c $((CHUNK + 1)) random | tail -c 1)
  wait $pid
  exec 8<&-
}

@test "memory stays below 12 MiB whatever the size, both ways" {
  [ -z "${VALGRIND:-}${SAN:-}" ] || skip "sanitizers and valgrind take memory of their own"
  [ -x /usr/bin/time ] || skip "/usr/bin/time is not here"
  truncate -s 64M zeros
  export IMSG_HOME=$T/alice
  /usr/bin/time -f %M -o used imsg-seal -q -s -R bob.jsonl zeros >sealed
  [ "$(cat used)" -le 12288 ] || { cat used; false; }
  export IMSG_HOME=$T/bob
  /usr/bin/time -f %M -o used imsg-open -q -R alice.jsonl sealed | cmp - zeros
  [ "$(cat used)" -le 12288 ] || { cat used; false; }
  /usr/bin/time -f %M -o used imsg-open -q -R alice.jsonl -o result sealed
  [ "$(cat used)" -le 12288 ] || { cat used; false; }
  /usr/bin/time -f %M -o used imsg-open -q -R alice.jsonl --verify-first sealed >result
  [ "$(cat used)" -le 12288 ] || { cat used; false; }
}

@test "any number of threads makes and reads the same file" {
  for jobs in 1 2 7; do
    seal --jobs $jobs -R bob.jsonl content >sealed
    for other in 1 2 7; do open --jobs $other sealed | cmp - content; done
    head -c -1 large >short
    expect 1 open --jobs $jobs short
    cmp out <(head -c $((2 * CHUNK)) content)
    errors_are 1
  done
}

# ---- damage ----

@test "cut at any place it is refused, and what came out is whole chunks" {
  start=$(head_of large | wc -c) envelope=$(envelopes large | wc -c) all=$(stat -L -c %s large)
  for place in 1 $((envelope / 2)) $((envelope - 2)); do
    head -c "$place" large >short
    refused 65 0 short
  done
  # In the line that follows: that line is named, and also the envelope if the sealed file is not seen to begin.
  for place in $((envelope + 1)) $((envelope + 20)) $((start - 2)); do
    head -c "$place" large >short
    expect 65 open -o new short
    no_out
    err_has '"short": line 2 (cut short): '
    [ ! -e new ]
  done
  # An envelope that belongs to a sealed file, alone; all lines, and nothing after them.
  for place in $((envelope - 1)) $envelope $((start - 1)) $start; do
    head -c "$place" large >short
    refused 1 0 short
  done
  for place in 1 79 80 1000 $((CHUNK - 1)) $CHUNK $((CHUNK + 1)) $((CHUNK + 16)) $((CHUNK + 79)) $SEALED; do
    head -c $((start + place)) large >short
    refused 1 0 short
  done
  for place in $((SEALED + 1)) $((SEALED + 80)) $((2 * SEALED - 1)) $((2 * SEALED)); do
    head -c $((start + place)) large >short
    refused 1 $CHUNK short
  done
  for place in $((start + 2 * SEALED + 1)) $((start + 2 * SEALED + 81)) $((all - 80)) $((all - 64)) $((all - 1)); do
    head -c "$place" large >short
    refused 1 $((2 * CHUNK)) short
  done
}

@test "bytes after the last chunk are refused, a second sealed file too" {
  { cat large; printf x; } >longer
  refused 1 $((2 * CHUNK)) longer
  { cat large; echo; } >longer
  refused 1 $((2 * CHUNK)) longer
  { cat large; chunk large 3; } >longer
  refused 1 $((2 * CHUNK)) longer
  cat large small >longer
  refused 1 $((2 * CHUNK)) longer
  cat small large >longer
  refused 1 0 longer plain
  # The last chunk is full: what follows makes it another.
  head -c $CHUNK random >part
  seal -R bob.jsonl part >full
  { cat full; printf x; } >longer
  refused 1 0 longer part
  seal -R bob.jsonl /dev/null >empty
  { cat empty; printf x; } >longer
  refused 1 0 longer
  { cat empty; body_of empty; } >longer
  refused 1 0 longer
}

@test "chunks in another order, left out or doubled are refused" {
  for order in '2 1 3:0' '1 3 2:1' '3 2 1:0' '1 3:1' '2 3:0' '3:0' '1 1 3:1' '1 2 2 3:2' '1 2:1' '1 2 1:2' \
    '1 1 2 3:1'; do
    { head_of large; for n in ${order%:*}; do chunk large "$n"; done; } >other
    refused 1 $((${order#*:} * CHUNK)) other
  done
}

@test "chunks, lines and envelopes of another file are refused" {
  seal -R bob.jsonl content >second
  { head_of large; body_of second; } >mixed
  refused 1 0 mixed
  { head_of large; chunk large 1; chunk second 2; chunk large 3; } >mixed
  refused 1 $CHUNK mixed
  { head_of large; chunk large 1; chunk large 2; chunk second 3; } >mixed
  refused 1 $((2 * CHUNK)) mixed
  { envelopes second; stream_line large; body_of large; } >mixed
  refused 1 0 mixed
  { envelopes large; stream_line second; body_of large; } >mixed
  refused 1 0 mixed
  { envelopes large; stream_line second; body_of second; } >mixed
  refused 1 0 mixed
  # The same with a file by someone else.
  as carol imsg-seal -q -s -R bob.jsonl content >carols
  cat carol.jsonl >>alice.jsonl
  { head_of carols; body_of large; } >mixed
  refused 1 0 mixed
  { envelopes carols; stream_line large; body_of large; } >mixed
  refused 1 0 mixed
}

@test "a stream line of another cipher, size, version or id is refused" {
  for change in '.cipher = "aes-128-gcm"' '.chunk = 65536' '.chunk = "1048576"' 'del(.id)' 'del(.cipher)' 'del(.chunk)' 'del(.commitment)' '.commitment |= .[2:]' \
    '.imsg = "stream/2"' '.id = "no uuid"'; do
    { envelopes small; stream_line small | jq -c "$change"; body_of small; } >other
    refused 65 0 other plain
  done
  { envelopes small; stream_line small | jq -c '.id = "00000000-0000-4000-8000-000000000000"'; body_of small; } >other
  refused 1 0 other plain
  { envelopes small; stream_line small | jq -c '.commitment |= (if startswith("00") then "01" else "00" end) + .[2:]'
    body_of small; } >other
  refused 1 0 other plain
  { envelopes small; stream_line small; stream_line small; body_of small; } >other
  refused 1 0 other plain
  { stream_line small; envelopes small; body_of small; } >other
  refused 65 0 other plain
  { stream_line small; body_of small; } >other
  refused 65 0 other plain
}

@test "two envelopes for this device are refused, whichever they are" {
  seal -R bob.jsonl content >second
  as alice imsg-seal -q -R bob.jsonl plain >message
  { envelopes large; head_of large; body_of large; } >double
  refused 1 0 double
  { envelopes second; head_of large; body_of large; } >double
  refused 1 0 double
  { envelopes large; envelopes second; stream_line large; body_of large; } >double
  refused 1 0 double
  { envelopes large; cat message; stream_line large; body_of large; } >double
  expect 1 open -o none double
  [ ! -e none ]
  { cat message; head_of large; body_of large; } >double
  expect 1 open double # a message is a message, but then the rest is no sealed file
  cmp out plain
  expect 1 open -o none double
  [ ! -e none ]
  # One for another device is none of one's own.
  as alice imsg-seal -q -R carol.jsonl plain >message
  { cat message; head_of large; body_of large; } >double
  expect 0 open double
  cmp out content
}

@test "an envelope of a sealed file without one, and a sealed file without its envelope" {
  envelopes small >lines
  refused 1 0 lines plain
  { envelopes small; envelopes small; } >lines
  expect 1 open lines
  no_out
  err_has '"lines": line 2: a second envelope of a sealed file'
  as alice imsg-seal -q -R bob.jsonl plain >message
  { envelopes small; cat message; } >lines
  expect 1 open lines
  # An ordinary message, its id in the stream line.
  { cat message; stream_line small | jq -c --arg id "$(jq -r .id message)" '.id = $id'; body_of small; } >lines
  expect 1 open -o none lines
  [ ! -e none ]
  errors_are 1
  seal -R carol.jsonl -R bob.jsonl plain >both
  { envelopes both | head -n 1; stream_line both; body_of both; } >lines
  refused 1 0 lines plain
  err_has "no envelope for this device"
}

# resealed USER RECORDS HEADER: an envelope by USER for bob with this header, in place of that of small.
resealed() {
  as "$1" imsg-seal -q --raw -E pair-ec -R bob.jsonl "$3" >payload
  jq -c --arg payload "$(base64 -w0 payload)" --arg token "$(head -n 1 "$1.jsonl" | jq -r .token)" \
    --arg from "mailto:$1@example.com" '.payload = $payload | .from_token = $token | .from = $from' <(envelopes small)
  stream_line small
  body_of small
}

@test "a co-recipient cannot pass on what he got as his own, nor as the sender's" {
  envelopes small | jq -r .payload | base64 -d >payload
  open --raw -E pair-ec --from alice@example.com payload >header
  grep -q '"stream":{"key":' header
  # This way of making envelopes makes valid ones.
  resealed alice alice.jsonl header >again
  expect 0 open again
  cmp out plain
  # carol, who has key and id, seals the header as hers: the chunks are alice's.
  jq -c '.from = "mailto:carol@example.com"' header >stolen
  resealed carol carol.jsonl stolen >forged
  cat carol.jsonl >>alice.jsonl
  refused 1 0 forged plain
  # Or leaves alice's name on it.
  resealed carol carol.jsonl header >forged
  refused 1 0 forged plain
  # Or, with a record of alice's device key beside his own signing key, makes alice's device his own.
  as mallory imsg-keygen mallory@example.com >mallory.jsonl
  jq -c '.from = "mailto:mallory@example.com"' header >stolen
  as mallory imsg-seal -q --raw -E pair -R bob.jsonl stolen >payload
  {
    jq -c --arg payload "$(base64 -w0 payload)" '.payload = $payload | .format = "pair" | .from = "mailto:mallory@example.com"' \
      <(envelopes small)
    stream_line small
    body_of small
  } >forged
  head -n 1 alice.jsonl | jq -c --slurpfile m mallory.jsonl '.handles = $m[0].handles | .identity = $m[0].identity' >both
  expect 1 as bob imsg-open -R both forged
  no_out
  err_has 'of mailto:mallory@example.com: the proof of '
  # Another key for the same chunks.
  jq -c '.stream.key = (("A" * 43) + "=")' header >other
  resealed alice alice.jsonl other >forged
  refused 1 0 forged plain
  # A key that is none.
  for key in '"AAAA"' null '[]' '7'; do
    jq -c ".stream.key = $key" header >other
    resealed alice alice.jsonl other >forged
    refused 1 0 forged plain
  done
  # No stream in the header.
  jq -c 'del(.stream)' header >other
  resealed alice alice.jsonl other >forged
  expect 1 open -o none forged
  [ ! -e none ]
}

payload_of() { head -n 1 "$1" | jq -r .payload | base64 -d; }
# The last byte of a "pair-ec" payload, its sender's version, is not signed: "flipped" differs from "small" in nothing else.
only_version_differs() {
  cmp -s <(payload_of flipped | head -c -1) <(payload_of small | head -c -1) && ! cmp -s <(payload_of flipped) <(payload_of small)
}

@test "whatever bit of a small one is flipped, not one byte comes out" {
  # shellcheck disable=SC2207 # words of two digits
  bytes=($(xxd -p -c1 small))
  [ ${#bytes[@]} -gt 500 ]
  bytes=("${bytes[@]/#/\\x}")
  # All of them in the deep run: else one in 67, which meets every position of a bit.
  IFS=
  for ((bit = 0; bit < 8 * ${#bytes[@]}; bit += DEEP ? 1 : 67)); do
    byte=${bytes[bit / 8]}
    printf -v "bytes[bit / 8]" '\\x%02x' $((16#${byte:2} ^ (1 << (bit % 8))))
    printf %b "${bytes[*]}" >flipped
    bytes[bit / 8]=$byte
    status=0
    open flipped >out 2>err || status=$?
    [ $status -ne 0 ] || ! only_version_differs || continue
    [ $status -eq 1 ] || [ $status -eq 65 ] || { echo "bit $bit: status $status"; cat err; return 1; }
    [ ! -s out ] || { echo "bit $bit: $(wc -c <out) bytes out"; return 1; }
  done
  printf %b "${bytes[*]}" | cmp - small
  unset IFS
  quality 'A flipped bit of a sealed file: refused, nothing out' $((8 * ${#bytes[@]} / (DEEP ? 1 : 67)))
}

@test "a flipped bit in a later chunk leaves the chunks before it" {
  start=$(head_of large | wc -c)
  for place in 0 500000 $((CHUNK + 3)) $((CHUNK + 30)); do
    for n in 1 2 3; do
      [ $n = 3 ] && place=$((place > 777 ? place - CHUNK + 777 : place))
      [ $place -ge 0 ] || continue
      at=$((start + (n - 1) * SEALED + place))
      cp -L large flipped
      printf '%b' "\\x$(printf %x $((0x$(xxd -p -s $at -l 1 flipped) ^ 4)))" |
        dd of=flipped bs=1 seek=$at conv=notrunc status=none
      refused 1 $(((n - 1) * CHUNK)) flipped
    done
  done
}

@test "every refusal says the same" {
  head -c -1 small >short
  { cat small; printf x; } >longer
  expect 1 open <short
  mv err short.err
  expect 1 open <longer
  cmp err short.err
  start=$(head_of small | wc -c)
  for place in $start $((start + 10)) $((start + 60)); do
    cp small flipped
    printf '%b' "\\x$(printf %x $((0x$(xxd -p -s "$place" -l 1 flipped) ^ 1)))" |
      dd of=flipped bs=1 seek="$place" conv=notrunc status=none
    expect 1 open <flipped
    cmp err short.err
  done
}

# ---- use ----

@test "what does not go with -s is 64, found before any file is touched" {
  export IMSG_HOME=$T/untouched
  expect 64 imsg-seal -s plain
  expect 64 imsg-seal -s -S -R bob.jsonl plain
  expect 64 imsg-seal -s --raw -E pair -R bob.jsonl plain
  expect 64 imsg-seal -s --each plain
  expect 64 imsg-seal -s --reply opened --receipt read plain
  expect 64 imsg-seal -s -R bob.jsonl plain plain
  expect 64 imsg-open --raw -E pair --from alice@example.com --verify-first small
  expect 64 imsg-open --verify-first=yes small
  [ ! -e untouched ]
  unset IMSG_HOME
  expect 0 as alice imsg-seal --quiet --sealed-file -R bob.jsonl plain
  [ "$(head_of out | wc -l)" -eq 2 ]
}
