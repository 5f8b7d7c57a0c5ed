#!/usr/bin/env bats
# Secrets marked undefined (tests/unit/t-ct.c): valgrind reports every branch and every index that depends on one.
load common
setup() { setup_common; }
teardown() { teardown_common; }

@test "no branch on what a private key gave, from unwrapping to the tag compare" {
  [ -z "${SAN:-}" ] || skip "sanitizers and valgrind do not go together"
  not_under_valgrind "t-ct itself is, already"
  command -v valgrind >/dev/null || skip "valgrind is not here"
  cd "$ROOT"
  valgrind -q --error-exitcode=9 --leak-check=no "${BUILD:-$ROOT/build}/unit/t-ct" >"$T/out" 2>"$T/err" ||
    { cat "$T/out" "$T/err"; false; }
  [ "$(grep -c '^ok' "$T/out")" -ge 10 ]
}
