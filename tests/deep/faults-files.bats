#!/usr/bin/env bats
# Every point of what tests/cli/faults.bats takes a sample of, with every error that the call can end in: attachments and keys.
load ../cli/common
load ../cli/faults
setup_file() { faults_setup_file; }
setup() { faults_setup; }
teardown() { cd /; rm -rf "${ALL:-$T}"; }

@test "imsg-attach get, every point" { faults get all all; }
@test "imsg-attach put, every point" { faults put all all; }
@test "imsg-keygen, every point" { faults keygen all all; }
@test "imsg-keygen --rotate, every point" { faults rotate all all; }
