#!/usr/bin/env bats
# The tools, their man pages and their completions say the same; the examples in the man pages run.
load common
setup() {
  setup_common
  not_under_valgrind "it is about what is written, not what runs"
}
teardown() { teardown_common; }

tools() { (cd "$BIN" && printf '%s\n' imsg-*); }
man_page() { echo "$ROOT/docs/man/$1.1"; }

# Each of these prints the options of TOOL, "-o arg", "--output arg", "--raw", one a line in order, from one source.
from_help() {
  "$1" --help | sed -nE 's/^  (-.), (--[a-z-]+)( [^ ]+)? .*/\1\3\n\2\3/p; s/^      (--[a-z-]+)( [^ ]+)? .*/\1\2/p'
}
with_arg() { sed -E 's/ .+/ arg/' | sort; }
from_man() {
  awk '/^\.It Fl / {
    arg = ""; n = 0
    for (i = 3; i <= NF; i++) {
      if ($i == "Ar") { arg = " " $(i + 1); break }
      if ($i != ",") names[n++] = "-" $i
    }
    for (k = 0; k < n; k++) print names[k] arg
  }' "$(man_page "$1")"
}
from_bash() {
  # The words come from the function as bash would call it; those with an argument are the cases for the word before.
  "$1" --completion bash >piece
  bash -c 'source ./piece; COMP_WORDS=("$1" -); COMP_CWORD=1; "_${1//-/_}"; printf "%s\n" "${COMPREPLY[@]}"' - "$1" >words
  sed -nE 's/^    (--?[a-zA-Z|-]+)\) .*/\1/p' piece | tr '|' '\n' >args
  sed 's/$/ arg/' args
  grep -vxFf args words
}
from_zsh() {
  "$1" --completion zsh | sed -nE "s/^    ('.*)\[.*/\1/p" | sed -E "s/\[.*//; s/[{},']/\n/g" | sed 's/^\*//' |
    grep '^-' | sed -E 's/[+=]+$/ arg/'
}
from_fish() {
  "$1" --completion fish | sed "s/ -d '.*//" | awk '{
    short = long = arg = ""
    for (i = 1; i <= NF; i++) {
      if ($i == "-s") short = "-" $(i + 1)
      if ($i == "-l") long = "--" $(i + 1)
      if ($i == "-r" || $i == "-x") arg = " arg"
    }
    if (short) print short arg
    if (long) print long arg
  }'
}

@test "the options in --help are those in the man page, with the same arguments" {
  for tool in $(tools); do
    from_help "$tool" | sort >want
    [ "$(wc -l <want)" -ge 8 ]
    from_man "$tool" | sort >got
    diff want got || { echo "$tool"; return 1; }
  done
}

@test "the options in the SYNOPSIS are options" {
  for tool in $(tools); do
    from_help "$tool" | sed 's/ .*//' >all
    # In a line of macros only what follows Fl, up to the next macro, is an option.
    sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/p' "$(man_page "$tool")" |
      awk '{ for (i = 1; i <= NF; i++) {
        if ($i ~ /^\.?(Fl|Ar|Op|No|Nm|Cm|Brq)$/) fl = $i ~ /Fl$/
        else if (fl && $i != "|") print "-" $i } fl = 0 }' >used
    [ -s used ]
    ! grep -vxFf all used || { echo "$tool"; return 1; }
  done
}

@test "the options in the bash completion are those in --help" {
  for tool in $(tools); do
    from_help "$tool" | with_arg >want
    from_bash "$tool" | sort >got
    diff want got || { echo "$tool"; return 1; }
  done
}

@test "the options in the zsh completion are those in --help" {
  for tool in $(tools); do
    from_help "$tool" | with_arg >want
    from_zsh "$tool" | sort >got
    diff want got || { echo "$tool"; return 1; }
  done
}

@test "the options in the fish completion are those in --help" {
  for tool in $(tools); do
    from_help "$tool" | with_arg >want
    from_fish "$tool" | sort >got
    diff want got || { echo "$tool"; return 1; }
  done
}

# ---- completions ----

@test "the files in completions/ are what the tools print" {
  sh "$ROOT/tests/make-completions" bash "$BIN" | diff "$ROOT/completions/imsg.bash" -
  sh "$ROOT/tests/make-completions" zsh "$BIN" | diff "$ROOT/completions/_imsg" -
  sh "$ROOT/tests/make-completions" fish "$BIN" | diff "$ROOT/completions/imsg.fish" -
}

# bash_completes WORD...: what bash offers for the last word, one a line. Words are split as readline does, "=" by itself.
bash_completes() {
  bash -c 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    f=$(complete -p "$1"); f=${f#*-F }; "${f%% *}" "$1" "${*: -1}" "${*: -2:1}"
    [ ${#COMPREPLY[@]} -eq 0 ] || printf "%s\n" "${COMPREPLY[@]}"' "$ROOT/completions/imsg.bash" "$@" | sort
}

@test "bash completes options, their values, words and file names" {
  touch 'my photo.jpg' notes.txt
  mkdir folder
  [ "$(bash_completes imsg-seal --rec)" = $'--receipt\n--recipient\n--records' ]
  [ "$(bash_completes imsg-seal -E '')" = $'pair\npair-ec' ]
  [ "$(bash_completes imsg-seal --receipt = r)" = read ]
  [ "$(bash_completes imsg-seal --receipt =)" = $'delivered\nread' ]
  [ "$(bash_completes imsg-attach '')" = $'get\nput' ]
  [ "$(bash_completes imsg-attach put my)" = 'my photo.jpg' ]
  [ "$(bash_completes imsg-attach get -o '')" = folder ]
  [ "$(bash_completes imsg-seal -R no)" = notes.txt ]
  [ -z "$(bash_completes imsg-seal -r no)" ]
  [ -z "$(bash_completes imsg-lookup no)" ]
}

@test "the zsh completion is right by zsh itself" {
  command -v zsh >/dev/null || skip "zsh is not here"
  zsh -n "$ROOT/completions/_imsg"
  # Every tool has its case, and the words that _arguments gets are whole.
  for tool in $(tools); do
    head -n 1 "$ROOT/completions/_imsg" | tr ' ' '\n' | grep -qx -- "$tool"
    zsh -f -c '_arguments() { print -rl -- "$@" }; service=$1; source "$2"' - "$tool" "$ROOT/completions/_imsg" >words
    grep -qxF -- '(-q --quiet)--quiet[say nothing but errors]' words
    from_help "$tool" | sed 's/ .*//' | grep -c . >want
    grep -E '^(\([^)]*\)|\*)?-.*\[' words | grep -c . >got
    diff want got
  done
  grep -qF -- '--expires=[let the entry expire after DAYS]:DAYS: ' "$ROOT/completions/_imsg"
}

@test "fish completes options, their values and words" {
  command -v fish >/dev/null || skip "fish is not here"
  fish -n "$ROOT/completions/imsg.fish"
  # shellcheck disable=SC2016 # for fish to expand
  complete_fish() { fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$ROOT/completions/imsg.fish" "$1" | cut -f 1 | sort; }
  # fish 4 adds what only holds these letters.
  [ "$(complete_fish 'imsg-seal --rec' | grep '^--rec')" = $'--receipt\n--recipient\n--records' ]
  [ "$(complete_fish 'imsg-seal -E ')" = $'pair\npair-ec' ]
  touch notes.txt
  [ "$(complete_fish 'imsg-seal -R no')" = notes.txt ]
  [ -z "$(complete_fish 'imsg-lookup no')" ]
  complete_fish 'imsg-attach ' | grep -qx put
}

# ---- man pages ----

@test "every tool has a man page, and every page and tool that is named is there" {
  for tool in $(tools); do
    [ -e "$(man_page "$tool")" ]
    grep -qxF ".Nm $tool" "$(man_page "$tool")"
    grep -qF ".Xr $tool 1" "$ROOT/docs/man/imsg.7"
    [ "$("$tool" --help | tail -n 1)" = "See $tool(1) for more, imsg(7) for exit statuses." ]
  done
  sed -n 's/^\.Xr \(imsg[a-z-]*\) \([0-9]\).*/\1.\2/p' "$ROOT"/docs/man/* | sort -u >named
  [ "$(wc -l <named)" -ge 10 ]
  while read -r page; do
    [ -e "$ROOT/docs/man/$page" ] || { echo "$page"; return 1; }
  done <named
}

@test "the purpose in --help is that of the man page" {
  for tool in $(tools); do
    "$tool" --help | sed -n '/^$/q; /^usage:/d; /^  /d; p' | sed 's/\.$//' | tr '[:upper:]' '[:lower:]' >want
    sed -n 's/^\.Nd //p' "$(man_page "$tool")" | tr '[:upper:]' '[:lower:]' >got
    diff want got || { echo "$tool"; return 1; }
  done
}

@test "mandoc finds nothing to say" {
  command -v mandoc >/dev/null || skip "mandoc is not here"
  mandoc -T lint -W warning "$ROOT"/docs/man/*
}

@test "groff finds nothing to say" {
  command -v groff >/dev/null || skip "groff is not here"
  groff -mdoc -ww -z "$ROOT"/docs/man/* >said 2>&1
  diff said /dev/null
}

statuses() { sed -n '/^\.Sh EXIT STATUS/,/^\.Sh [^E]/s/^\.It \([0-9].*\)/\1/p' "$1"; }

@test "the exit statuses in imsg(7) are those of the code, and no page has another" {
  sed -n 's/^ *\[IMSG_[A-Z_]*\] = {"[a-z-]*", \([0-9]*\)},$/\1/p' "$ROOT/lib/base/error.c" | sort -nu >code
  [ "$(wc -l <code)" -ge 14 ]
  statuses "$ROOT/docs/man/imsg.7" >table
  diff code table
  for tool in $(tools); do
    statuses "$(man_page "$tool")" >page
    [ "$(wc -l <page)" -ge 8 ]
    sort -n page | diff page -
    ! grep -vxFf table page || { echo "$tool"; return 1; }
  done
}

# ---- the EXAMPLES of the man pages ----

# run_examples PAGE BEFORE: each block in a shell of its own, all in the folder work; $T/out.N has what block N
# printed. BEFORE is called before each.
run_examples() {
  sed -n '/^\.Sh EXAMPLES/,/^\.Sh [^E]/p' "$ROOT/docs/man/$1" |
    awk '/^\.Bd -literal -offset 2n$/ { n++; on = 1; next } /^\.Ed$/ { on = 0; next } on { print > ("block." n) }'
  [ -e block.1 ]
  # No escapes that would have to be undone.
  if grep -nE '[\]|^[.]' block.*; then return 1; fi
  n=1
  while [ -e "block.$n" ]; do
    "$2"
    (cd work && bash -eu -o pipefail "../block.$n" >"../out.$n") || { cat "block.$n"; return 1; }
    n=$((n + 1))
  done
}
nothing() { :; }
ready() { # alice is the default user here, with one device; bob's state is in ~/bob
  mkdir work
  seq 100 >work/notes.txt
  head -c 50000 /dev/urandom >work/photo.jpg
}
two_users() {
  ready
  imsg-keygen -n laptop alice@example.com | imsg-register -q
  new_user bob
}
bob_writes() {
  as bob imsg-attach put work/photo.jpg >descriptor
  echo "bob's message $n" | as bob imsg-seal -q -r alice@example.com -a descriptor - | as bob imsg-push
}

@test "the examples of imsg(7) run" {
  ready
  run_examples imsg.7 nothing
  [ "$(cat out.2)" = hello ]
  cmp work/photo.jpg work/received/photo.jpg
  cmp work/photo.jpg work/same.jpg
}

@test "the examples of imsg-keygen(1) run" {
  ready
  run_examples imsg-keygen.1 nothing
  [ "$(jq -r .name work/laptop.jsonl work/phone.jsonl | xargs)" = "laptop phone" ]
  grep -q '^account ' out.2
  # The directory has the new prekey.
  [ "$(imsg-lookup alice@example.com | jq -r .prekey)" != "$(jq -r .prekey work/laptop.jsonl)" ]
  [ "$(imsg-lookup alice@example.com | jq -r .prekey)" = "$(imsg-keygen -y | jq -r .prekey)" ]
}

@test "the examples of imsg-register(1) run" {
  two_users
  run_examples imsg-register.1 nothing
  [ "$(imsg-lookup alice@example.com | jq -r .name)" = laptop ]
}

@test "the examples of imsg-lookup(1) run" {
  two_users
  run_examples imsg-lookup.1 nothing
  [ "$(jq -r .name work/bob.jsonl)" = bob ]
  [ "$(cat out.2)" = "no account" ]
  [ -e ".local/share/imsg/directory/$(tail -n 1 out.3)" ]
}

@test "the examples of imsg-seal(1) run" {
  two_users
  bob_asks() { [ "$n" -ne 6 ] || bob_writes; } # somebody has to be answered
  run_examples imsg-seal.1 bob_asks
  as bob imsg-pull | as bob imsg-open -q -j | as bob imsg-attach get >opened
  [ "$(wc -l <opened)" -eq 5 ]
  [ "$(jq -r 'select(.header.receipt).header.receipt.what' opened)" = read ]
  [ "$(jq -r 'select(.header.attachments | not).content' opened | head -n 1)" = hello ]
  [ "$(jq -r 'select(.header.group).header.group.name' opened)" = family ]
  cmp photo.jpg work/photo.jpg
  as bob imsg-open -q work/photo.imsg | cmp - work/photo.jpg
  [ "$(as bob imsg-open -q work/backup.imsg | tar -t | xargs)" = "photo.jpg notes.txt" ]
  for format in pair:pair pair-ec:ec; do
    as bob imsg-open -q --raw -E "${format%:*}" --from alice@example.com "work/payload.${format#*:}" | cmp - work/notes.txt
  done
}

@test "the examples of imsg-open(1) run" {
  two_users
  bob_sends() {
    [ "$n" -eq 3 ] || { bob_writes; return; }
    as bob imsg-seal -q -s -r alice@example.com -o work/photo.imsg work/photo.jpg
    tar -C work -c notes.txt | as bob imsg-seal -q -s -r alice@example.com >work/backup.imsg
    mv work/photo.jpg photo.jpg
  }
  run_examples imsg-open.1 bob_sends
  for n in 1 2 4; do
    [ "$(cat "out.$n")" = "bob's message $n" ]
  done
  cmp photo.jpg work/photo.jpg
  [ "$(cat out.3)" = notes.txt ]
  cmp work/photo-1.jpg work/photo.jpg
  cmp out.5 work/notes.txt
  [ "$(cat work/last.txt)" = "bob's message 6" ]
}

@test "the examples of imsg-attach(1) run" {
  two_users
  run_examples imsg-attach.1 bob_writes
  cmp work/photos/photo.jpg work/photo.jpg
  cmp work/photos/photo-1.jpg work/photo.jpg
}

@test "the examples of imsg-push(1) run" {
  two_users
  run_examples imsg-push.1 nothing
  [ "$(jq -r .status out.3)" = duplicate ]
  [ -e work/again.jsonl ]
  [ ! -s work/again.jsonl ]
  [ "$(as bob imsg-pull | as bob imsg-open -q | xargs)" = "hello hello" ]
}

@test "the examples of imsg-pull(1) run" {
  two_users
  run_examples imsg-pull.1 bob_writes
  [ "$(cat out.1)" = "bob's message 1" ]
  [ "$(cat out.2)" = "bob's message 2" ]
}

@test "the examples of imsg-inspect(1) run" {
  two_users
  run_examples imsg-inspect.1 nothing
  grep -qx 'note: not opened: sealed for another device' out.1
  grep -qx 'verdict: imsg-open accepts it' out.2
  [ "$(grep -cE '^[0-9a-f]{64}$' out.3)" -eq 1 ]
  [ "$(tail -n 1 out.4)" = "status 65" ]
  [ "$(jq -r '.[] | select(.name == "signature").ok' out.5)" = true ]
  grep -qE '^account: [A-Za-z0-9_-]{43}$' out.6
}

@test "the examples of imsg-serve(1) run" {
  ready
  run_examples imsg-serve.1 nothing
  grep -qx '[0-9a-f]*' out.2
  [ "$(wc -c <out.2)" -eq 21 ]
}

@test "every page of a tool has examples, and they are run here" {
  for tool in $(tools); do
    grep -qx '\.Sh EXAMPLES' "$(man_page "$tool")"
    grep -qF "run_examples $tool.1" "$BATS_TEST_FILENAME" || { echo "$tool"; return 1; }
  done
}
