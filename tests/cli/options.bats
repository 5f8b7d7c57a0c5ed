#!/usr/bin/env bats
# What all tools have in common, tried on each of them: the list is what was built, the options what --help says.
load common
setup() {
  setup_common
  TOOLS=$(cd "$BIN" && echo imsg-*)
}
teardown() { teardown_common; }

# The options of a tool from its help, one a line: "-o output FILE", with "-" where there is no letter or no argument.
options_of() {
  "$1" --help | sed -nE 's/^  (-.|  )[, ] --([a-z0-9-]+)( [^ ]+)?  .*/\1 \2\3/
    t found
    d
    :found
    s/^   /- /
    s/^([^ ]+ [^ ]+)$/\1 -/
    p'
}
# said STATUS TEXT COMMAND...: expect and err_has with one process, where there are hundreds to run.
said() {
  local want=$1 text=$2 got=0 both
  shift 2
  both=$("$@" 2>&1) || got=$?
  [[ $got -eq $want && $both == *"$text"* ]] || { echo "status $got, expected $want with \"$text\": $*"; echo "$both"; return 1; }
}
# A word that its argument may be.
value_for() {
  case $1 in
  *'|'*) echo "${1%%|*}" ;;
  N | DAYS | SECONDS) echo 3 ;;
  *) echo x ;;
  esac
}

@test "--help goes to stdout with status 0, in one layout" {
  for tool in $TOOLS; do
    expect 0 "$tool" --help
    [ ! -s err ]
    help=$(<out)
    [ "$("$tool" -h)" = "$help" ]
    [[ $help != *completion* ]]
    for option in '-q, --quiet' '-v, --verbose' '-h, --help' '-V, --version'; do [[ $help == *"
  $option "* ]]; done
    # Usage lines; what it is for, a sentence; options, each with its help; where there is more.
    awk -v tool="$tool" '
      function bad(why) { print tool ", line " NR ": " why ": " $0; exit status = 1 }
      length > 120 { bad("too wide") }
      NR == 1 { if ($1 != "usage:" || $2 != tool) bad("no usage"); next }
      part == 0 && /^       / { if ($1 != tool) bad("another name"); next }
      part == 0 { if (!/^[A-Z].*\.$/) bad("no sentence"); part = 1; next }
      part == 1 { if ($0 != "") bad("not empty"); part = 2; next }
      part == 2 && /^  / {
        if (!match($0, /^  (-[a-zA-Z],|   ) --[a-z0-9-]+( [^ ]+)? +[^ ]/)) bad("no option")
        match($0, /--[a-z0-9-]+/)
        if (seen[substr($0, RSTART, RLENGTH)]++ || (/^  -/ && seen[$1]++)) bad("twice")
        if (/\.$/) bad("a period")
        next
      }
      part == 2 { if ($0 != "") bad("not empty"); part = 3; next }
      part == 3 { if ($0 != "See " tool "(1) for more, imsg(7) for exit statuses.") bad("no end"); part = 4; next }
      { bad("more") }
      END { exit status || part != 4 }' out
  done
}

@test "the same letter is the same option in every tool, but for the few that are one tool's own" {
  for tool in $TOOLS; do options_of "$tool"; done | grep '^-[a-zA-Z]' | cut -d' ' -f1,2 | sort -u >all
  cut -d' ' -f1 all | uniq -d >twice
  [ ! -s twice ] || { grep -f twice all; false; }
}

@test "-V prints the name and the version" {
  for tool in $TOOLS; do
    for option in -V --version; do
      expect 0 "$tool" "$option"
      [ "$(cat out)" = "$tool $(cat "$ROOT/VERSION")" ]
      [ ! -s err ]
    done
  done
}

@test "--help and -V to a stdout that is closed or full are 74" {
  not_under_valgrind 'it puts /dev/null in the place of what is closed'
  for tool in $TOOLS; do
    for option in --help -V; do
      got=0
      "$tool" $option >&- 2>err || got=$?
      [ "$got" -eq 74 ]
      errors_are 1
      got=0
      "$tool" $option >/dev/full 2>err || got=$?
      [ "$got" -eq 74 ]
      errors_are 1
    done
  done
}

@test "an option that is not there, or an argument too many or missing, is 64 and one hint" {
  for tool in $TOOLS; do
    said 64 '"--nonsense" is no option' "$tool" --nonsense
    expect 64 "$tool" -qZ
    no_out
    [ "$(cat err)" = "$tool: error: there is no option -Z
$tool: hint: $tool --help lists the options" ]
    options_of "$tool" >options
    while read -r letter name argument; do
      [ "$argument" != - ] || continue
      if [ "$letter" = - ]; then letter=--$name; fi
      said 64 "error: $letter needs an argument" "$tool" "$letter"
    done <options
  done
  expect 64 imsg-lookup -v --quiet=x
  err_has '"--quiet=x"'
  [ "$(find . -type d | wc -l)" -eq 1 ] # nothing was made
}

@test "an option with one value is not given twice, in whatever form" {
  for tool in $TOOLS; do
    "$tool" --help | grep '(repeatable)' | sed -nE 's/.*--([a-z-]+).*/\1/p' >repeatable
    options_of "$tool" >options
    while read -r letter name argument; do
      [ "$argument" != - ] || continue
      ! grep -qx -- "$name" repeatable || continue
      value=$(value_for "$argument")
      if [ "$letter" = - ]; then letter=--$name=; fi
      said 64 "--$name is given twice" "$tool" "--$name" "$value" "$letter$value"
    done <options
  done
  [ "$(find . -type d | wc -l)" -eq 1 ]
}

@test "what only switches on may be given again, and letters share a dash" {
  expect 0 imsg-lookup -qq -v --quiet -qv --path alice@example.com
}

@test "--passphrase-file and --passphrase-fd do not go together" {
  for tool in $TOOLS; do
    "$tool" --help | grep -q passphrase-fd || continue
    expect 64 "$tool" --passphrase-file x --passphrase-fd 3
    err_has 'do not go together'
  done
  for fd in -1 x '' 1024 3x 0x3 99999999999999999999; do expect 64 imsg-register --passphrase-fd "$fd"; done
}

@test "standard input that gives the passphrase gives nothing else" {
  as alice imsg-keygen -p --passphrase-fd 0 alice@example.com <<<secret >record
  expect 0 as alice imsg-keygen -y --passphrase-fd 0 <<<secret
  same_record record out
  echo hello >plain
  expect 0 as alice imsg-seal -R record --passphrase-fd 0 plain <<<secret
  cp out lines
  expect 0 as alice imsg-open -q -R record --passphrase-fd 0 lines <<<secret
  cmp plain out
  expect 64 as alice imsg-seal -R record --passphrase-fd 0 <plain
  err_has 'standard input can be only one of the inputs'
  for tool in imsg-open imsg-inspect imsg-push imsg-register; do
    expect 64 as alice $tool --passphrase-fd 0 <lines
    expect 64 as alice $tool --passphrase-fd 0 - <lines
  done
  expect 64 imsg-keygen -y -i - --passphrase-fd 0 <alice/identity.json
}

@test "options come in any order, in both forms, and -- ends them" {
  imsg-lookup --path alice@example.com >want
  expect 0 imsg-lookup alice@example.com --path
  cmp want out
  expect 64 imsg-lookup -- alice@example.com --path
  expect 0 imsg-lookup --path -- -dx@example.com
  as alice imsg-keygen -nlaptop alice@example.com -o id >record
  [ "$(jq -r .name record)" = laptop ]
  as alice imsg-keygen --identity=id --public >out
  same_record record out
  as alice imsg-keygen -yi id >out
  same_record record out
  mv record -- -record
  expect 0 as alice imsg-register -q -- -record
  expect 0 as bob imsg-lookup alice@example.com
  cmp -- -record out
}

@test "data to a stdout that is closed, full, or a pipe nobody reads is 74" {
  new_user alice
  as alice imsg-lookup -q alice@example.com >records
  mkfifo pipe
  # shellcheck disable=SC2094
  exec 8<>pipe 9>pipe 8<&- # a writer without a reader
  while read -r command; do
    for stdout in '&-' /dev/full '&9'; do
      got=0
      # shellcheck disable=SC2086 # words
      as alice bash -c "exec $command >$stdout" 2>err </dev/null || got=$?
      [ "$got" -eq 74 ] || { echo "$command >$stdout: $got"; cat err; false; }
      errors_are 1
      err_has 'standard output'
    done
  done <<'END'
imsg-keygen -y
imsg-keygen -F
imsg-keygen -F -j
imsg-keygen --rotate -q
imsg-keygen -o new$RANDOM$RANDOM new@example.com
imsg-lookup alice@example.com
imsg-lookup --path alice@example.com
imsg-lookup --pins
imsg-seal -r alice@example.com records
imsg-seal -R records records
END
  exec 9>&-
}

@test "with stderr closed the exit status still speaks, and no message lands in a file" {
  as alice imsg-keygen -n a alice@example.com >record 2>&-
  as alice imsg-register record 2>&- # writes account.pem, pins.json, the entry
  got=0
  as alice imsg-lookup nobody@example.com 2>&- || got=$?
  [ "$got" -eq 67 ]
  as bob imsg-lookup alice@example.com 2>&- | cmp - record
  expect 0 as alice imsg-keygen -F
  for file in alice/pins.json bob/pins.json "$(find .local -name '*.json')"; do jq -e . "$file" >/dev/null; done
  without grep -rq 'imsg-[a-z]*: ' alice bob .local
}

@test "with stdin closed nothing else is read in its place" {
  as alice imsg-keygen -n a alice@example.com >record <&-
  expect 66 as alice imsg-register <&-
  expect 0 as alice imsg-register record <&-
  expect 0 as bob imsg-lookup alice@example.com <&-
  same_record record out
  got=0
  as carol imsg-keygen -o key carol@example.com <&- >&- 2>&- || got=$? # all three
  [ "$got" -eq 74 ]
  expect 0 imsg-keygen -y -i key
}

@test "a message shows no control characters of what it names" {
  name=$(printf 'a\033[31m\tb\342\200\256\237')
  for command in "imsg-lookup" "imsg-keygen" "imsg-register" "imsg-keygen -y -i" "imsg-lookup --" "imsg-register --expires"; do
    got=0
    # shellcheck disable=SC2086 # words
    as alice $command "$name" >out 2>err </dev/null || got=$?
    [ "$got" -ne 0 ]
    no_out
    without env LC_ALL=C grep -q "$(printf '[\033\t\237]')" err
    without grep -q "$(printf '\342\200\256')" err
    err_has 'a\x1b[31m\x09b\u{202e}\x9f'
  done
}

@test "-q leaves errors and their hints, -v says no less than without" {
  expect 67 as alice imsg-lookup -q nobody@example.com
  errors_are 1
  expect 64 as alice imsg-lookup -q bob
  err_has 'hint: '
  new_user bob
  expect 0 as alice imsg-lookup -v bob@example.com
  err_has 'first seen'
  expect 0 as carol imsg-lookup -qv bob@example.com
  [ ! -s err ]
}

@test "exit statuses are those of the table" {
  new_user alice
  as alice imsg-keygen -y >record
  expect 0 as alice imsg-lookup alice@example.com
  expect 1 as alice imsg-register --remove nothing
  expect 64 as alice imsg-lookup
  echo '{}' | expect 65 as alice imsg-register
  expect 66 as alice imsg-register missing
  expect 67 as alice imsg-lookup bob@example.com
  echo hi | as alice imsg-seal -q -R record >line
  rm -r ".local/share/imsg/relay/$(jq -r .token record)"
  expect 69 as alice imsg-push line
  expect 73 as alice imsg-keygen alice@example.com
  expect 75 as alice imsg-lookup -d missing alice@example.com
  : >.local/share/imsg/directory/"$(imsg-lookup --path alice@example.com)"
  expect 76 as alice imsg-lookup alice@example.com
  chmod 644 alice/identity.json
  expect 77 as alice imsg-keygen -y
  echo nonsense >alice/config
  expect 78 as alice imsg-lookup alice@example.com
}
