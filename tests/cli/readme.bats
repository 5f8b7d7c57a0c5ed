#!/usr/bin/env bats
# README.md is run: its console block with the output it shows, and its recipes one after another.
load common
load serve
setup() {
  setup_common
  not_under_valgrind "the other files call all of this"
}
teardown() {
  [ -z "${RECEIVER:-}" ] || kill -- "-$RECEIVER" 2>/dev/null || true
  serve_teardown
}

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
  # Those for several machines have a test of their own.
  grep -l IMSG_SERVER recipe.* | xargs rm
  last=$(grep -cx -e --- all)
  for n in $(seq 0 "$last"); do
    [ ! -e "recipe.$n" ] || bash -eu -o pipefail "recipe.$n" >"out.$n"
  done
  cmp backup.tar backup.out
  printf '%s\n' notes.txt photo.jpg | cmp - out.1
  cmp photo.jpg got/photo.jpg
  grep -qx hello "out.$((last - 1))"
}

@test "the recipe for two machines runs" {
  # The line that starts the server, but on loopback; there it would register everybody.
  line=$(sed -n 's/^    imsg-serve //p' "$ROOT/README.md")
  line=${line/-l :8443 --origin https:\/\/server.example:8443/}
  [ "$line" = '--self-signed -D data ' ]
  serve_start --register invite
  another=$(imsg-serve invite -D data)
  blocks sh | awk '/^---$/ { n++; next } { print > ("recipe." n + 0) }'
  # machine USER CODE: that user's commands, with the server's words.
  machine() {
    mkdir "$1"
    sed "s|https://server.example:8443|$URL|; s|sha256//PIN|$PIN|; s|CODE|$2|" \
      "$(grep -l "^imsg-keygen $1@" recipe.*)" >"$1/commands"
  }
  machine bob "$INVITE"
  machine alice "$another"
  (cd bob && HOME=$T/bob exec setsid bash -eu -o pipefail commands >said 2>notes 3>&-) &
  RECEIVER=$!
  until_metric imsg_long_polls 1
  (cd alice && HOME=$T/alice bash -eu -o pipefail commands)
  end=$((SECONDS + 30))
  until grep -qx 'hello from afar' bob/said; do
    [ $SECONDS -lt $end ] || { cat bob/notes; false; }
    sleep 0.05
  done
  grep -F 'from mailto:alice@example.com' bob/notes
}
