#!/usr/bin/env bats
# A server that is there only most of the time: nothing is lost, nothing comes twice.
load common
load flaky
setup() { setup_common; }
teardown() {
  flaky_stop
  serve_teardown
}

@test "with 30 % of all requests failing, every message arrives, and once" { flaky_messages 200; }

@test "entries are changed, each time once, with 30 % of all requests failing" {
  flaky_start 30
  for i in $(seq 12); do
    as "u$i" imsg-keygen "u$i@example.com" >record
    expect 0 as "u$i" imsg-register -q --retry-for 120 record
  done
  for i in $(seq 12); do
    as u1 imsg-keygen --rotate >record
    expect 0 as u1 imsg-register -q --retry-for 120 record
  done
  expect 0 imsg-lookup -q --retry-for 120 u1@example.com
  jq -c . record | cmp - <(jq -c . out)
  [ "$(jq -r '.payload | gsub("-"; "+") | gsub("_"; "/") | @base64d | fromjson.seq' "data/directory/$(imsg-lookup --path u1@example.com)")" -eq 13 ]
}

@test "attachments go and come whole, with 30 % of all requests failing" {
  flaky_start 30
  new_user alice
  mkdir got
  for i in $(seq 12); do
    head -c 700000 /dev/urandom >"file$i"
    expect 0 as alice imsg-attach put --retry-for 120 "file$i"
    cp out put.d
    expect 0 as alice imsg-attach get --retry-for 120 -o got put.d
    cmp "file$i" "got/file$i"
  done
}
