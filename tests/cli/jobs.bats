#!/usr/bin/env bats
# --jobs: whatever the number of threads, what comes out is the same, in the same order, and so are the reports.
# shellcheck disable=SC2030,SC2031,SC2094 # every test is a subshell; one file is read twice
bats_require_minimum_version 1.5.0
load common

setup_file() {
  setup_common
  new_user alice
  new_user bob
  new_user carol
  records_of alice bob carol
  for user in alice bob; do as $user imsg-lookup -q alice@example.com bob@example.com carol@example.com >/dev/null; done
  keep_base
}
setup() { setup_base; }
teardown() { teardown_common; }

# messages USER NUMBERS: one for bob from USER for each number on stdin.
messages() { jq -c '{to: ["bob@example.com"], content: "\(.)\n"}' | as "$1" imsg-seal -q --each -R bob.jsonl; }
open() { as bob imsg-open -q -R alice.jsonl "$@"; }

# mixed: 140 lines, and in want.out and want.err what is to come of them.
mixed() {
  local n line
  seq 140 | messages alice >good
  head -n 1 good | jq -c '.to_token = .from_token' >foreign
  : >want.out
  : >want.err
  n=0
  while read -r line; do
    n=$((n + 1))
    case $((n % 7)) in
      1) # the payload of another message: the header says so
        jq -c --argjson other "$(sed -n "$((n % 140 + 1))p" good)" '.payload = $other.payload' <<<"$line"
        echo "line $n: refused" >>want.err
        ;;
      3)
        case $((n % 3)) in
          0) echo 'no JSON' ;;
          1) echo "${line%\"*}" ;;
          2) echo "$line{}" ;;
        esac
        echo "line $n: malformed" >>want.err
        ;;
      5) cat foreign ;;
      6) # a sender without a record
        jq -c '.from = "mailto:carol@example.com"' <<<"$line"
        echo "line $n: sender" >>want.err
        ;;
      *)
        printf '%s\n' "$line"
        echo $n >>want.out
        ;;
    esac
  done <good >mixed
}

@test "imsg-open reports a long mixed file in order, with the right line numbers, whatever the number" {
  mixed
  [ "$(wc -l <mixed)" -eq 140 ]
  for jobs in 1 2 7; do
    expect 1 open --jobs $jobs mixed
    cmp out want.out
    grep ': error: ' err | sed -E 's/^imsg-open: error: "mixed": (line [0-9]+): (refused|sender)?.*/\1: \2/
      s/: $/: malformed/' | diff want.err -
    cp err err.$jobs
    expect 1 open --jobs $jobs -j mixed
    jq -r .content out | grep . | cmp - want.out
    cmp err err.$jobs
    # From a pipe, in pieces.
    dd if=mixed bs=4099 status=none | expect 1 open --jobs $jobs
    cmp out want.out
  done
  cmp err.1 err.2
  cmp err.1 err.7
  echo before >file
  expect 1 open --jobs 7 -o file mixed
  [ "$(cat file)" = before ]
}

@test "many senders, more than are kept, in any order" {
  for n in $(seq 20); do
    new_user "u$n"
    seq "$n" 20 100 | messages "u$n" >"from.$n"
  done
  # Line k of each in turn: 20 senders, one after another, five times.
  paste -d'\n' from.* >lines
  [ "$(wc -l <lines)" -eq 100 ]
  for jobs in 1 2 7; do
    expect 0 as bob imsg-open -q --jobs $jobs lines
    [ "$(wc -l <out)" -eq 100 ]
    sort -n out | cmp - <(seq 100)
    cp out out.$jobs
  done
  cmp out.1 out.2
  cmp out.1 out.7
}

@test "imsg-seal seals for many devices in the order of the records, whatever the number" {
  for n in $(seq 12); do imsg-keygen -o "device.$n" many@example.com; done >devices
  jq -r .token devices >tokens
  for jobs in 1 2 7; do
    expect 0 as alice imsg-seal --jobs $jobs -R devices <alice.jsonl
    jq -r .to_token out | cmp - tokens
    expect 0 as alice imsg-seal --jobs $jobs -s -R devices <alice.jsonl
    head -n 12 out | jq -r .to_token | cmp - tokens
    mv out sealed
    for n in 1 6 12; do
      expect 0 imsg-open -q -i device.$n -R alice.jsonl sealed
      cmp out alice.jsonl
    done
  done
}

@test "a device at fault among many is named, the others keep their order" {
  for n in $(seq 12); do imsg-keygen -o "device.$n" many@example.com; done >devices
  # The prekey of another device at the fifth and the ninth.
  jq -c --slurpfile bob bob.jsonl 'if input_line_number == 5 or input_line_number == 9
    then .prekey = $bob[0].prekey else . end' devices >records
  sed '5d; 9d' devices | jq -r .token >tokens
  for jobs in 1 2 7; do
    expect 1 as alice imsg-seal --jobs $jobs -R records <alice.jsonl
    jq -r .to_token out | cmp - tokens
    errors_are 2
    cp err err.$jobs
  done
  cmp err.1 err.2
  cmp err.1 err.7
}

@test "a number from 1 to 256, else 64" {
  export IMSG_HOME=$T/untouched
  for value in 0 -1 257 1.5 two '' ' 2' 2x 99999999999999999999; do
    expect 64 imsg-seal --jobs "$value" -R bob.jsonl /dev/null
    expect 64 imsg-open --jobs="$value" /dev/null
    no_out
  done
  expect 64 imsg-open --jobs 2 --jobs 2 /dev/null
  expect 64 imsg-seal -R bob.jsonl /dev/null --jobs
  [ ! -e untouched ]
  unset IMSG_HOME
  expect 0 open --jobs 256 /dev/null
  expect 0 as alice imsg-seal --jobs 256 -R bob.jsonl /dev/null
}

@test "where no thread can be started one works alone" {
  seq 30 | messages alice >lines
  head -c 3000000 /dev/zero >content
  as alice imsg-seal -q -s -R bob.jsonl content >sealed
  local user=()
  if [ "$(id -u)" -eq 0 ]; then # whom the limit does not bind
    # Another user, who may go through folders of mode 0700 to where the tools are.
    local go=+dac_override,+dac_read_search
    user=(setpriv --reuid 65534 --clear-groups "--inh-caps=$go" "--ambient-caps=$go")
    chown -R 65534 "$T"
  fi
  without "${user[@]}" prlimit --nproc=1 sh -c 'true | true' 2>/dev/null || skip "processes cannot be limited here"
  export IMSG_HOME=$T/bob
  expect 0 "${user[@]}" prlimit --nproc=1 imsg-open -q --jobs 4 -R alice.jsonl lines
  cmp out <(seq 30)
  expect 0 "${user[@]}" prlimit --nproc=1 imsg-open -q --jobs 4 -R alice.jsonl sealed
  cmp out content
}
