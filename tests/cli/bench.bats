#!/usr/bin/env bats
# The benchmarks run, each row and all together, on tiny work. What they measure is not looked at.

load common

setup() {
  setup_common
  [ -z "${SAN:-}${VALGRIND:-}" ] || skip "nothing to measure in such a build"
  for peer in age gpg minisign gnuplot; do
    command -v $peer >/dev/null || skip "$peer is not installed"
  done
  build_folder
  env -u MAKEFLAGS -u MAKELEVEL make -s -C "$ROOT" BUILD="$(from_root "$OWN_BUILD")" bench-programs >log 2>&1 || { cat log; false; }
  export PROGRAMS=$OWN_BUILD/bench STATIC_BIN=$BIN OUT=$T/results WORK=$T DISK=$T
  export PAIRS=1 REPEAT=1 DEVICES=3 MESSAGES=5 LOOP=2 WAITING=3 FILE_SIZE=1500000 GROWTH_DEVICES=10 GROWTH_BYTES=65536
}
teardown() { teardown_common; }

@test "every row of the benchmarks runs, and the table, the page and the plot are written" {
  printf '# Speed\n\n<!-- bench -->\nold\n<!-- end of bench -->\nafter\n' >page.md
  expect 0 env DOC="$T/page.md" PLOT="$T/plot.svg" sh "$ROOT/tests/bench/run"
  for row in $(sh "$ROOT/tests/bench/run" --list); do
    grep -q "^| $row | .* MiB\|^| $row | .* / " results/table.md || { echo "no $row"; cat "$T/out" results/table.md; false; }
  done
  without grep 'cannot run' results/table.md
  without grep -x old page.md
  grep -q '^| seal-1k ' page.md
  tail -n 1 page.md | grep -x after
  grep -q '<svg' plot.svg
  ls -d imsg-bench.* 2>/dev/null && false
  :
}

@test "one row alone leaves the page as it is; a row that cannot run says so and fails; an unknown one is 64" {
  printf '<!-- bench -->\nold\n<!-- end of bench -->\n' >page.md
  expect 0 env DOC="$T/page.md" sh "$ROOT/tests/bench/run" keygen
  grep -x old page.md
  [ "$(grep -c '^| [a-z0-9-]* | .* | .* |' results/table.md)" -eq 2 ] # the heading and the row
  mkdir broken
  printf '#!/bin/sh\nexit 3\n' >broken/imsg-open
  cp "$BIN/imsg-seal" "$BIN/imsg-keygen" broken/
  chmod +x broken/imsg-open
  expect 1 env STATIC_BIN="$T/broken" sh "$ROOT/tests/bench/run" open-1k
  grep -F 'open-1k: cannot run: pairs: ' "$T/out"
  grep -F '| open-1k |' results/table.md | grep -F 'cannot run'
  expect 64 sh "$ROOT/tests/bench/run" nothing-of-the-sort
}
