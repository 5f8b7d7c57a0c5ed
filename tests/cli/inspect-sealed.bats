#!/usr/bin/env bats
# imsg-inspect on sealed files: the lines, the line that begins the binary part, and every chunk.
load common
CHUNK=1048576
WHOLE=1048656 # with tag and signature
setup_file() {
  setup_common
  new_user alice
  new_user bob
  new_user carol
  for user in alice bob carol; do imsg-lookup "$user@example.com" 2>/dev/null >"$user.jsonl"; done
  head -c $((2 * CHUNK + 5)) /dev/urandom >plain
  as alice imsg-seal -q -s -R bob.jsonl -R carol.jsonl plain >sealed
  echo hello | as alice imsg-seal -q -s -R bob.jsonl >small
  keep_base
}
setup() {
  setup_base
  START=$(lines_of sealed)
}
teardown() { teardown_common; }

# lines_of FILE: bytes before the chunks.
lines_of() { grep -abo '"commitment":"[0-9a-f]*"}' "$1" | head -n 1 | cut -d: -f1 | awk '{ print $1 + 81 }'; }
look() { imsg-inspect -i bob/identity.json -R alice.jsonl "$@"; }
# chunk N: that of sealed.
chunk() { tail -c +$((START + $1 * WHOLE + 1)) sealed | head -c $WHOLE; }
lines() { head -c "$START" sealed; }
# of KIND FILTER: of the inspections in out.
of() { jq -rc "select(.kind == \"$1\") | $2" out; }
# The last inspection, which has the verdict.
verdict() { tail -n 1 out | jq -r .verdict.text; }

@test "each chunk is shown with its place, parts, values and checks, and the end says how it would be opened" {
  expect 0 look -j sealed
  [ "$(jq -r .kind out | xargs)" = 'envelope/1 envelope/1 stream/1 chunk chunk chunk sealed-file' ]
  [ "$(of chunk '[.number, .last, .at, .length]' | xargs)" = \
    "[0,false,$START,$WHOLE] [1,false,$((START + WHOLE)),$WHOLE] [2,true,$((START + 2 * WHOLE)),85]" ]
  [ "$(of chunk '[.fields[] | [.offset, .length, .field]]' | tail -n 1)" = \
    '[[0,5,"ciphertext"],[5,16,"tag"],[21,64,"signature"]]' ]
  [ "$(of chunk '.checks | map(.ok) | all' | sort -u)" = true ]
  [ "$(of sealed-file '[.length, .chunks, .content_length]')" = "[$(wc -c <sealed),3,$((2 * CHUNK + 5))]" ]
  [ "$(verdict)" = 'imsg-open accepts it' ]
  # The content of each chunk, its beginning.
  for n in 0 1 2; do
    tail -c +$((n * CHUNK + 1)) plain | head -c 64 | xxd -p -c 64
  done >want
  of chunk .values.content | cmp - want
}

@test "the values are what openssl makes of the file" {
  expect 0 look -j sealed
  id=$(of stream/1 '.values | keys_unsorted | join(" ")')
  [ "$id" = 'stream_key commitment chunk_key' ]
  uuid=$(of stream/1 '.fields[] | select(.field == "id").value' | tr -d -)
  openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt "hexkey:$(of stream/1 .values.stream_key)" \
    -kdfopt "hexsalt:$uuid" -kdfopt info:'imsg stream/1' HKDF | tr -d ':\n' | tr A-F a-f >derived
  [ "$(cat derived)" = "$(of stream/1 .values.chunk_key)" ]
  for n in 0 1; do
    sum=$(chunk $n | head -c $((WHOLE - 64)) | sha256sum | cut -c1-64)
    [ "$(of chunk "select(.number == $n).values.sealed_sha256")" = "$sum" ]
    nonce=$(printf '%022x00' $n)
    [ "$(of chunk "select(.number == $n).values.nonce")" = "$nonce" ]
    covered=$(printf 'imsg stream/1 chunk\n' | xxd -p)$uuid$(of stream/1 .values.commitment)$nonce$sum
    [ "$(of chunk "select(.number == $n).values.chunk_sha256")" = "$(xxd -r -p <<<"$covered" | sha256sum | cut -c1-64)" ]
  done
  # AES-256-GCM is CTR from nonce, 2.
  chunk 1 | head -c 64 | openssl enc -d -aes-256-ctr -K "$(cat derived)" -iv "${nonce}00000002" | xxd -p -c 64 >content
  [ "$(cat content)" = "$(of chunk 'select(.number == 1).values.content')" ]
}

@test "without keys the parts are shown, with the sender's record the signatures are checked" {
  expect 0 imsg-inspect -j sealed
  [ "$(of chunk '.checks[].name' | sort -u)" = chunk_length ]
  [ "$(of chunk '.values.content')" = "$(printf 'null\nnull\nnull')" ]
  of sealed-file .note | grep -q 'give -i IDENTITY.*give -R RECORDS'
  [ "$(verdict)" = null ]
  expect 0 imsg-inspect -j -R alice.jsonl sealed
  [ "$(of chunk '.checks[] | select(.name == "signature").ok')" = "$(printf 'true\ntrue\ntrue')" ]
  expect 0 imsg-inspect -j -i carol/identity.json -R alice.jsonl small
  of sealed-file .note | grep -q 'no envelope for this device'
  # Carol's device has an envelope of the other.
  expect 0 imsg-inspect -j -i carol/identity.json -R alice.jsonl sealed
  [ "$(verdict)" = 'imsg-open accepts it' ]
}

@test "a file that was cut anywhere says where, with the status of damage or of refusal" {
  head -c "$((START - 1))" sealed >part # the newline too
  expect 65 look part
  err_has 'there is no chunk'
  for bytes in 1 40 79; do
    head -c $((START + bytes)) sealed >part
    expect 65 look part
    err_has "at byte $bytes: chunk 0 ends before"
    errors_are 1
  done
  for bytes in 80 81 500000 $((WHOLE - 1)) $((WHOLE + 80)) $((2 * WHOLE + 84)); do
    head -c $((START + bytes)) sealed >part
    expect 1 look -j part
    verdict | grep -q "refuses it at chunk $((bytes / WHOLE))"
  done
  # Between two chunks only the signature tells.
  head -c $((START + WHOLE)) sealed >part
  expect 1 look -j part
  [ "$(of chunk .note)" = 'the signature is that of a chunk which another follows: the file was cut here' ]
  for bytes in 10 $((START - 60)); do
    head -c "$bytes" sealed >part
    expect 65 look part
    errors_are 1
  done
}

@test "chunks that changed places say which they are" {
  { lines; chunk 1; chunk 0; chunk 2; } >swapped
  expect 1 look -j swapped
  [ "$(of chunk '.note')" = "$(printf '%s\n' 'this is chunk 1 of the file' 'this is chunk 0 of the file' null)" ]
  [ "$(of chunk '.verdict.status')" = "$(printf '%s\n' 1 1 null)" ]
  verdict | grep -q 'at chunk 0'
  { cat sealed; echo more; } >longer
  expect 1 look -j longer
  verdict | grep -q 'at chunk 2'
  { lines; chunk 0; tail -c 85 sealed; } >shorter
  expect 1 look -j shorter
  [ "$(of chunk .note | tail -n 1)" = 'this is chunk 2 of the file' ]
}

@test "a changed byte is found in its chunk and nowhere else" {
  for at in 0 $((WHOLE - 70)) $((WHOLE - 1)); do
    cp sealed changed
    printf '\377' | dd of=changed bs=1 seek=$((START + WHOLE + at)) conv=notrunc status=none
    cmp -s sealed changed && continue
    expect 1 look -j changed
    [ "$(of chunk '.verdict.status // 0' | xargs)" = '0 1 0' ]
    verdict | grep -q 'at chunk 1'
  done
}

@test "lines of another file, two envelopes for one device, a header outside" {
  echo other | as alice imsg-seal -q -s -R bob.jsonl >other
  { head -n 1 other; tail -c +$(($(head -n 1 small | wc -c) + 1)) small; } >mixed
  expect 1 look -j mixed
  [ "$(of stream/1 '.checks[] | select(.name == "stream_id").ok')" = false ]
  of stream/1 .verdict.text | grep -q 'stream_id'
  { head -n 1 small; cat small; } >twice
  expect 1 look -j twice
  verdict | grep -q '2 envelopes for this device'
  head -n 1 small >alone
  expect 1 look -j alone
  verdict | grep -q 'header_stream'
  echo hi | as alice imsg-seal -q --no-self -R bob.jsonl >message
  { cat message; tail -n +2 small; } >wrong
  expect 1 look -j wrong
  jq -r 'select(.kind == "envelope/1").verdict.text' out | grep -q 'header_stream'
}

@test "for people: a title for each chunk, and a hex dump of it; a reader that goes away is no error of theirs" {
  expect 0 look small
  grep -qx "\"small\" byte $(lines_of small): chunk 0, the last, 86 bytes (binary)" out
  grep -qx "\"small\": sealed-file, $(wc -c <small) bytes (binary): 1 chunk, 6 bytes of content" out
  [ "$(tail -n 1 out)" = 'verdict: imsg-open accepts it' ]
  expect 0 look --hex small
  [ "$(sed -n '/: chunk 0/,/sealed-file/p' out | grep -c '^  0000')" -eq 6 ]
  got=0
  look sealed 2>err | head -n 3 >out || got=$?
  [ "$(wc -l <out)" -eq 3 ]
  without grep -q 'Broken\|abort' err
}

@test "a file larger than the memory it may take, from a pipe" {
  head -c 40000000 /dev/zero | as alice imsg-seal -q -s -R bob.jsonl >large
  /usr/bin/time -o size -f %M imsg-inspect -j -i bob/identity.json -R alice.jsonl <large >out
  [ "$(of sealed-file '[.chunks, .content_length]')" = '[39,40000000]' ]
  [ "$(verdict)" = 'imsg-open accepts it' ]
  [ "$(cat size)" -lt 65536 ] || [ -n "${VALGRIND:-}${SAN:-}" ]
  # What only begins like one has its limit.
  head -c 20000000 /dev/zero | tr '\0' '{' >much
  expect 65 look much
  err_has 'larger than any input that can be inspected'
}

@test "whatever bytes are changed, it ends with 0, 1 or 65, and with 0 only what imsg-open opens" {
  local size at byte got opened
  size=$(wc -c <small)
  for _ in $(seq 60); do
    cp small changed
    for _ in 1 2 3; do
      at=$(((RANDOM * 32768 + RANDOM) % size))
      byte=$(printf '\\x%02x' $((RANDOM % 256)))
      printf '%b' "$byte" | dd of=changed bs=1 seek=$at conv=notrunc status=none
    done
    head -c $((1 + RANDOM % (size - 1))) changed >beginning
    for input in changed beginning; do
      got=0 opened=0
      look -j "$input" >out 2>err || got=$?
      case $got in 0 | 1 | 65) ;; *) echo "status $got"; xxd $input; cat err; return 1 ;; esac
      jq . out >/dev/null
      as bob imsg-open -q -R alice.jsonl $input >opened 2>>err || opened=$?
      [ $((got == 0)) -eq $((opened == 0)) ] || { echo "inspected $got, opened $opened"; xxd $input; cat err; return 1; }
    done
  done
}
