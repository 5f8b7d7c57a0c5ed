#!/usr/bin/env bats
# Every point of what tests/cli/faults.bats takes a sample of, with every error that the call can end in: push and pull.
load ../cli/common
load ../cli/faults
setup_file() { faults_setup_file; }
setup() { faults_setup; }
teardown() { cd /; rm -rf "${ALL:-$T}"; }

@test "imsg-pull, every point" { faults pull all all; }
@test "imsg-push, every point" { faults push all all; }
