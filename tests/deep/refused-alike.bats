#!/usr/bin/env bats
# 10,000 mauled messages, half of each format, that look right without a key (tests/unit/t-mauled.c): whoever watches
# imsg-open refuse them sees the same each time. COUNT: another number of each format.
bats_require_minimum_version 1.5.0
load ../cli/common

setup_file() {
  setup_common
  (umask 077 && mkdir bob)
  "${BUILD:-$ROOT/build}/unit/t-mauled" --write bob $((${COUNT:-5000} * 3)) >lines
  for format in pair pair-ec; do
    mkdir $format
    grep "\"format\":\"$format\"" lines | head -n "${COUNT:-5000}" | (cd $format && split -a 5 -d -l 1 - m)
    [ "$(find $format -type f | wc -l)" -eq "${COUNT:-5000}" ]
  done
  keep_base
}
setup() {
  in_memory
  setup_base
  export IMSG_HOME=$T/bob
}
teardown() { teardown_common; }

@test "one text, one status, no output" {
  local file got count=0
  for file in pair/* pair-ec/*; do
    got=0
    imsg-open -R bob/alice.jsonl "$file" >out 2>err || got=$?
    if [ $got -ne 1 ] || [ -s out ] || [ "$(<err)" != "imsg-open: error: \"$file\": line 1: refused
imsg-open: hint: imsg-inspect -R bob/alice.jsonl $file shows why" ]; then
      echo "$file: status $got: $(cat out err)"
      cat "$file"
      return 1
    fi
    count=$((count + 1))
  done
  quality 'A mauled message given to imsg-open: status 1, one text, no output' $count
}

# sequences FILE: of a trace, for each message the names and results of the calls from its opening to the next one's. The
# first and the last are left out: the keys are loaded, and the program ends. How much is read is the sender's choice.
# OpenSSL asks for its process at each random number, renews its blinding every 32 uses of an RSA key, and its generator
# now and then; memory is taken where it ran out, and a thread waits for another by chance.
sequences() {
  awk '/openat\(.*"pair[^"]*\/m/ && !/O_PATH/ { if (n++ > 1) print calls; calls = "" }
    { sub(/^[0-9]+ +/, ""); name = $0; sub(/\(.*/, "", name); result = $0; sub(/.* = /, "", result); sub(/ .*/, "", result) }
    name ~ /^(brk|mmap|munmap|madvise|futex|getrandom)$/ { next }
    name == "getpid" { result = ""; if (last == name) next }
    name == "read" && result > 0 { result = "some" }
    { calls = calls name " " result "; "; last = name }' "$1"
}

@test "one sequence of system calls for each format" {
  can_strace
  local format part tried=0
  for format in pair pair-ec; do
    : >seen
    find $format -type f | sort | xargs -n 1000 >parts
    while read -r -a part; do
      expect 1 strace -f -qq -o trace imsg-open -R bob/alice.jsonl "${part[@]}"
      no_out
      sequences trace >>seen
    done <parts
    tried=$((tried + $(wc -l <seen)))
    [ "$(wc -l <seen)" -ge $((${COUNT:-5000} * 9 / 10)) ]
    sort seen | uniq -c >kinds
    [ "$(wc -l <kinds)" -eq 1 ] || { echo "$format:"; cat kinds; return 1; }
    grep -q 'openat .*read some.*write' kinds
  done
  quality 'A mauled message given to imsg-open: the system calls are the same, for each format' $tried
}
