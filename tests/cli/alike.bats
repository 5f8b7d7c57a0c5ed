#!/usr/bin/env bats
# Whatever the reason, a refusal looks the same from outside: text, status, output, and the system calls made.
load common
load vectors
setup() {
  setup_common
  can_strace
  vector_identity bob all >bob.json
  vector_identity alice all >alice.json
  chmod 600 bob.json alice.json
  imsg-keygen -y -i alice.json >alice.jsonl
}
teardown() { teardown_common; }

# refusal FORMAT ID: that vector's payload to imsg-open; leaves calls, text and output in ID.*.
refusal() {
  local got=0
  jq -r --arg id "$2" '.negative[] | select(.id == $id).envelope_hex' "$VECTORS/$1.json" | unhex >payload
  strace -f -o trace imsg-open --raw -E "$1" -i bob.json -R alice.jsonl --from alice@example.com payload \
    >"$2.out" 2>"$2.err" || got=$?
  [ "$got" -eq 1 ]
  [ ! -s "$2.out" ]
  # getpid: the random generator asks it each time it is used, and a draw out of range is drawn again. The sanitizers'
  # allocator never takes a freed block again at once, so what it maps hangs on the sizes of all that came before.
  sed -E 's/^[0-9]+ +//; s/\(.*//' trace | grep -vxE "getpid${SAN:+|mmap|munmap|madvise}" >"$2.calls"
  [ "$(wc -l <"$2.calls")" -gt 20 ]
}

# alike FORMAT ID...: all of them against the first.
alike() {
  local format=$1 first=$2 id
  shift
  for id; do refusal "$format" "$id"; done
  for id; do
    diff "$first.err" "$id.err"
    diff "$first.calls" "$id.calls"
  done
}

@test "pair: bad tag, OAEP failure, another key's block, bad signature" {
  alike pair pair-neg-40 pair-neg-53 pair-neg-51 pair-neg-36
}

@test "pair-ec: damage inside, bad signature, another device, another prekey" {
  alike pair-ec pair-ec-neg-62 pair-ec-neg-54 pair-ec-neg-52 pair-ec-neg-31
}
