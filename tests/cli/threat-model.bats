#!/usr/bin/env bats
# The tables of docs/threat-model.md name functions that are there, in their files, and tests that are there, in theirs.
bats_require_minimum_version 1.5.0
load common
setup() {
  setup_common
  grep '^|' "$ROOT/docs/threat-model.md" | grep -vE '^\| [a-z]+ cannot \||^\|---' >rows
}
teardown() { teardown_common; }

# column N PATTERN: what matches PATTERN in this column of the rows, one a line.
column() { awk -F ' *[|] *' -v n=$(($1 + 1)) '{ print $n }' rows | grep -oE "$2"; }

@test "every row names code and tests" {
  [ "$(wc -l <rows)" -gt 30 ]
  if grep -vE '^\| [^|]+ \| `[^|]+` \| `[^|]+" \|$' rows; then return 1; fi
}

@test "the functions are in the files" {
  column 2 '`[^`]+`' | tr -d '`' >words
  local word file=
  while read -r word; do
    case $word in
      */*) file=$ROOT/$word && [ -f "$file" ] || { echo "no file $word"; return 1; } ;;
      *) grep -q "\b$word(" "$file" || { echo "no $word in $file"; return 1; } ;;
    esac
  done <words
}

@test "the tests are in the files" {
  column 3 '`[^`]+`|"[^"]+"' >words
  local word file=
  while read -r word; do
    case $word in
      '`'*.bats'`') file=$ROOT/tests/cli/${word//'`'/} ;;
      '`'*) file=$ROOT/tests/unit/${word//'`'/}.c ;;
      *) case $file in
        *.bats) word="@test $word {" ;;
        *) word=${word//'"'/} ;;
        esac ;;
    esac
    case $word in
      '`'*) [ -f "$file" ] ;;
      *) grep -qF -- "$word" "$file" ;;
    esac || { echo "not there: $word, $file"; return 1; }
  done <words
}
