#!/usr/bin/env bats
# A device that stands in the entries of two account keys: neither keeps the other's messages from it.
bats_require_minimum_version 1.5.0
load common

# alice's device has two handles. Her own account key signs the entry of the one, mallory's that of the other, with the
# record that alice once gave away; gone is that other handle, in `moved`, where alice's device has it no more.
setup_file() {
  setup_common
  as alice imsg-keygen -n laptop alice@example.com gone@example.com >alice.jsonl
  new_user bob
  new_user mallory
  cut_to 0 | as alice imsg-register -q
  cut_to 1 | as mallory imsg-register -q
  umask 077
  mkdir moved
  jq '.handles = .handles[:1]' alice/identity.json >moved/identity.json
  keep_base
}
setup() { setup_base; }
teardown() { teardown_common; }

# cut_to N: alice's record with one of its handles.
cut_to() { jq -c --argjson n "$1" '.handles = [.handles[$n]] | .proofs = [.proofs[$n]]' alice.jsonl; }
seal() { as bob imsg-seal -q --no-self "$@"; }

@test "one account key: sealed once; two: once for each, and each opens" {
  echo hello | seal -r alice@example.com -r gone@example.com >two
  [ "$(jq -r .to two)" = $'mailto:alice@example.com\nmailto:gone@example.com' ]
  [ "$(jq -r .to_token two | sort -u | wc -l)" -eq 1 ]
  expect 0 as alice imsg-open -q two
  [ "$(cat out)" = $'hello\nhello' ]
  # The same handle twice, and a record of the same handle.
  echo hello | seal -r alice@example.com -r alice@example.com -R <(cut_to 0) >one
  [ "$(wc -l <one)" -eq 1 ]
  # Both handles in entries of one key.
  as carol imsg-keygen -n laptop carol@example.com carla@example.com | as carol imsg-register -q
  echo hello | seal -r carol@example.com -r carla@example.com >one
  [ "$(wc -l <one)" -eq 1 ]
  # Records that the user gives are his own choice.
  echo hello | seal -R <(cut_to 0; cut_to 1) >one
  [ "$(wc -l <one)" -eq 1 ]
}

@test "another's entry that lists a device keeps no message from it" {
  for order in '-r gone@example.com -r alice@example.com' '-r alice@example.com -r gone@example.com'; do
    # shellcheck disable=SC2086 # two options
    echo hello | seal $order >lines
    expect 0 as moved imsg-open -q lines
    [ "$(cat out)" = hello ]
  done
}

@test "nor a sealed file" {
  head -c 2000000 /dev/urandom >content
  for order in '-r gone@example.com -r alice@example.com' '-r alice@example.com -r gone@example.com'; do
    # shellcheck disable=SC2086
    seal -s $order content >sealed
    for who in moved alice; do
      expect 0 as $who imsg-open -q -o result sealed
      cmp content result
      rm result
    done
  done
}
