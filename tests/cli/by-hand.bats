#!/usr/bin/env bats
# docs/by-hand.md: every command on the page, and every value it comes to.
load common
load vectors
setup() { setup_common; }
teardown() { teardown_common; }

# same_files FOLDER: lines NAME and x41ab… on stdin; each is a file of that name there, with these bytes.
same_files() {
  local name hex count=0
  mkdir want
  escape_hex >lines
  while read -r name && read -r hex; do
    printf %b "${hex#x}" >"want/$name"
    count=$((count + 1))
  done <lines
  [ $count -ge 13 ]
  diff -r want "$1" | grep -v "^Only in $1: " >others || true
  diff /dev/null others
  rm -r want
}

@test "the page's commands need only what it says" {
  # What stands where a command can stand, but for the page's own functions and the shell's words.
  commands by-hand.md | sed -E "s/'[^']*'//g; s/#.*//; s/[(][(]|[(]([a-z]+ &)/[[/g" |
    grep -oE '(^|[|;{(]|\bdo|\bthen) *[a-z_]+( |$)' |
    sed -E 's/^.*[|;{( ]([a-z_]+) *$/\1/; s/ *$//; s/^ *//' | sort -u >used
  commands by-hand.md | grep -oE '^[a-z_]+\(\)' | tr -d '()' >known
  echo "openssl xxd jq cat head tail tr sed sort wc printf echo mkdir cd" \
    "case esac for while do done if then fi break" | tr ' ' '\n' >>known
  [ "$(wc -l <used)" -gt 15 ]
  grep -vxFf known used >others || true
  diff /dev/null others
}

@test "the commands run, and every file is the vector's value of that name, and imsg-inspect's" {
  local format id from to
  commands by-hand.md >walk
  [ "$(wc -l <walk)" -gt 80 ]
  VECTORS=$VECTORS bash -eu -o pipefail walk >said
  [ "$(grep -cx 'Verified OK' said)" -eq 2 ]
  for format in pair pair-ec; do
    id=$format-pos-12
    jq --arg id $id '.positive[] | select(.id == $id)' "$VECTORS/$format.json" >vector
    from=$(jq -r .sender vector)
    to=$(jq -r .recipient vector)
    (umask 077 && vector_identity "$to" all >to.json && vector_identity "$from" all >from.json)
    imsg-keygen -y -i from.json >from.jsonl
    expect 0 imsg-inspect -j -i to.json -R from.jsonl $format/payload.bin
    # What the vector has, and what imsg-inspect has besides, as files of the same names.
    jq -r '.intermediates + {plaintext: .plaintext_hex} | to_entries[] | .key, "x" + .value' vector | same_files $format
    jq -r '.values | to_entries[] | .key, "x" + .value' out | same_files $format
    jq -e '[.checks[].ok] | all' out
  done
  grep -qx "counter $(jq -r .counter out)" said
}
