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
