#!/usr/bin/env bats
# Every point of what tests/cli/faults.bats takes a sample of, with every error that the call can end in: registration.
load ../cli/common
load ../cli/faults
setup_file() { faults_setup_file; }
setup() { faults_setup; }
teardown() { cd /; rm -rf "${ALL:-$T}"; }

@test "imsg-register for the first time, every point" { faults register all all; }
@test "imsg-register of another device, every point" { faults update all all; }
