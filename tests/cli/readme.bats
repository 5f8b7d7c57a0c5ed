#!/usr/bin/env bats
# README.md is run: its console block with the output it shows, and its recipes one after another.
load common
setup() {
  setup_common
  not_under_valgrind "the other files call all of this"
}
teardown() { teardown_common; }

# blocks LANGUAGE: the fenced blocks of that language, a line "---" after each.
blocks() {
  awk -v lang="$1" '$0 == "```" lang { on = 1; next } $0 == "```" && on { on = 0; print "---"; next } on' "$ROOT/README.md"
}

@test "the pipeline at the top prints what it says" {
  blocks console | sed '$d' >block
  grep -c '^\$ ' block
  sed -n 's/^\$ //p' block >script
  # Notes carry keys and times of their own run: compared is what goes to standard output.
  grep -v -e '^\$ ' -e '^imsg-' block >want
  bash -eu -o pipefail script >got 2>notes
  cmp want got
  # Each note shown is one that was made, up to its first key or time.
  grep '^imsg-' block | sed -E 's/ (account key|2026-).*/ \1/; s/2026-/20/' | sort >shown
  sed -E 's/ (account key|20[0-9]{2}-).*/ \1/; s/20[0-9]{2}-/20/' notes | sort >made
  diff shown made
}

@test "the recipes run" {
  new_user alice
  mv alice .config-imsg
  mkdir -p .config && mv .config-imsg .config/imsg
  new_user bob
  echo notes >notes.txt
  head -c 50000 /dev/urandom >photo.jpg
  head -c 3000000 /dev/urandom >backup.tar
  blocks sh >all
  [ "$(grep -c '^---$' all)" -ge 4 ]
  # One shell a block, as a reader would paste it.
  awk '/^---$/ { n++; next } { print > ("recipe." n + 0) }' all
  n=0
  while [ -e "recipe.$n" ]; do
    bash -eu -o pipefail "recipe.$n" >"out.$n"
    n=$((n + 1))
  done
  cmp backup.tar backup.out
  printf '%s\n' notes.txt photo.jpg | cmp - out.1
  cmp photo.jpg got/photo.jpg
  grep -qx hello "out.$((n - 1))"
}
