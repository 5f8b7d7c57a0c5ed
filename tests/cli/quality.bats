#!/usr/bin/env bats
# The table of docs/quality.md, and what prints it.
load common
setup() { setup_common; }
teardown() { teardown_common; }

@test "what the tests of one file tried is added up, and numbers are grouped" {
  cat >log <<'END'
# t-one
ok 1 - a point
# quality|A thing|1000000|0
# tests/deep/two.bats
# quality|A thing|999|0
# quality|Another|1|0
# quality|A thing|1|2
END
  sh "$ROOT/tests/quality" <log >table
  [ "$(wc -l <table)" -eq 5 ]
  grep -q '^| A thing | 1,000,000 | 0 | 20[0-9-]* | `make check-deep TESTS=t-one` |$' table
  grep -q '^| A thing | 1,000 | 2 | 20[0-9-]* | `make check-deep TESTS=two.bats` |$' table
  grep -q '^| Another | 1 | 0 |' table
}

@test "each row of the table is of a test, each test that tells what it tried has a row, and no failure is known" {
  (cd "$ROOT/tests" && grep -rhoE "(tap_quality\(|quality )[\"'][^\"]*[\"'],? " unit/*.c cli/*.bats cli/*.bash deep/*.bats) |
    sed -E "s/^(tap_quality\(|quality )[\"']//; s/[\"'],? $//" | sort -u >told
  [ "$(wc -l <told)" -gt 10 ]
  sed -n 's/^| \([^|]*\) | [0-9,]* | [0-9]* | 20.*/\1/p' "$ROOT/docs/quality.md" | sort -u >rows
  diff told rows
  without grep -E '^\| [^|]* \| [0-9,]* \| [1-9][0-9]* \| 20' "$ROOT/docs/quality.md"
}
