#!/usr/bin/env bats
# What tests/cli/flaky.bats does, with as many messages as make a rare fault likely.
load ../cli/common
load ../cli/flaky
setup() { setup_common; }
teardown() {
  flaky_stop
  serve_teardown
}

@test "10,000 messages with 30 % of all requests failing" {
  flaky_messages 10000
  cat flaky.counts >&3
  quality 'A message through a server of which 30 % of the answers are wrong: in the inbox once' 10000
}
