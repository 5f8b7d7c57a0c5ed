#!/usr/bin/env bats
# Killed or refused at a system call: old state or new state, a right status, nothing lost, nothing twice. A sample of
# the points; tests/deep/faults.bats has all of them.
load common
load faults
setup_file() { faults_setup_file; }
setup() { faults_setup; }
teardown() { cd /; rm -rf "${ALL:-$T}"; }

@test "imsg-pull: no message is lost or in two places" { faults pull 6 5; }
@test "imsg-push: what is not delivered is kept" { faults push 3 4; }
@test "imsg-attach get: a whole file or none" { faults get 3 4; }
@test "imsg-attach put: a whole object or none" { faults put 2 2; }
@test "imsg-keygen: a whole identity or none" { faults keygen 2 2; }
@test "imsg-keygen --rotate: the old identity or the new" { faults rotate 1 1; }
@test "imsg-register, for the first time: an entry that verifies or none" { faults register 3 3; }
@test "imsg-register, another device: the old entry or the new" { faults update 2 2; }
