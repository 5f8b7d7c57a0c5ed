#!/usr/bin/env bats
# imsg-attach: files through the store and back; nothing unverified, nothing outside DIR, nothing replaced.
load common
load nginx
bats_require_minimum_version 1.5.0 # run -STATUS
setup() {
  in_memory
  setup_common
  STORE=$T/.local/share/imsg/store
  mkdir got
}
teardown() {
  end_servers
  teardown_common
}

put() { imsg-attach put "$@"; }
get() { imsg-attach get "$@"; }

# One file of SIZE bytes in the store: FILE (default f), its descriptor in FILE.d, its object in $OBJECT.
stored() { # SIZE [FILE]
  local file=${2:-f}
  head -c "$1" /dev/urandom >"$file"
  put "$file" >"$file.d"
  OBJECT=$STORE/$(jq -r .sha256 "$file.d")
}

# with MEMBER VALUE...: the descriptor f.d with each of these strings in turn, a line each.
with() {
  local member=$1
  shift
  { printf '%s\0' "$@"; echo end; } | # jq 1.6 drops a NUL at the very end
    jq -Rsc --arg m "$member" --slurpfile d f.d 'split("\u0000")[:-1][] as $value | $d[0] | .[$m] = $value'
}

# All files named in FILE, a path a line, are as f.
all_are_f() { # FILE
  [ "$(xargs -d '\n' sha256sum -- <"$1" | sed 's/^\\*//' | cut -c1-64 | sort -u)" = "$(sha256sum <f | cut -c1-64)" ]
}

# Every file below DIR, hidden ones too, by its path; names may hold anything but a newline.
all_in() { (cd "$1" && find . -mindepth 1 | sort); }
nothing_in() { [ -z "$(all_in "$1")" ] || { echo "not empty:"; all_in "$1"; return 1; }; }

status_of() { # STATUS COMMAND...: stdout goes where the test says
  local want=$1 got=0
  shift
  "$@" 2>"$T/err" || got=$?
  [ "$got" -eq "$want" ] || { echo "status $got, expected $want" >&2; cat "$T/err" >&2; return 1; }
}

# no_space KILOBYTES COMMAND...: as on a disk with so much room for a file.
no_space() (
  trap '' XFSZ
  ulimit -f "$1"
  shift
  "$@"
)

@test "files of every size around the block and piece sizes come back as they were" {
  local size sizes='0 1 15 16 17 262143 262144 262145 5242880'
  mkdir in
  for size in $sizes; do head -c "$size" /dev/urandom >"in/f$size"; done
  expect 0 put in/f*
  cp out lines
  [ "$(wc -l <lines)" -eq 9 ]
  expect 0 get -o got lines
  for size in $sizes; do
    cmp "in/f$size" "got/f$size"
    [ "$(jq -r --arg n "f$size" 'select(.name == $n).size' lines)" -eq "$size" ]
  done
  [ "$(all_in got | wc -l)" -eq 9 ]
  [ "$(jq -r .path out | xargs cat | wc -c)" -eq "$(cat in/* | wc -c)" ]
}

@test "a descriptor has its members, and they are those of the ciphertext" {
  stored 100000 photo.jpg
  jq -e --arg sha "$(basename "$OBJECT")" 'keys == ["imsg", "key", "name", "sha1", "sha256", "size", "type", "uri"] and
    .imsg == "attachment/1" and .uri == "imsg-store:" + $sha and .name == "photo.jpg" and .size == 100000' photo.jpg.d
  [ "$(jq -r .sha256 photo.jpg.d)" = "$(openssl dgst -r -sha256 "$OBJECT" | cut -d' ' -f1)" ]
  [ "$(jq -r .sha1 photo.jpg.d)" = "$(openssl dgst -r -sha1 "$OBJECT" | cut -d' ' -f1)" ]
  local key
  key=$(jq -r .key photo.jpg.d | base64 -d | od -An -v -tx1 | tr -d ' \n')
  [ ${#key} -eq 64 ]
  openssl enc -aes-256-ctr -K "$key" -iv 00000000000000000000000000000000 -in photo.jpg | cmp - "$OBJECT"
}

@test "the store holds objects by their hash and nothing else" {
  stored 1000 a
  stored 1000 b
  [ "$(all_in "$STORE" | sort)" = "$({ jq -r '"./" + .sha256' a.d; jq -r '"./" + .sha256' b.d; } | sort)" ]
}

@test "every put has a new key and makes a new object" {
  head -c 1000 /dev/urandom >f
  put f f >lines
  put f >>lines
  local member
  for member in key uri sha1 sha256; do [ "$(jq -r .$member lines | sort -u | wc -l)" -eq 3 ]; done
  [ "$(all_in "$STORE" | wc -l)" -eq 3 ]
}

@test "the type is what the content says, not the name" {
  printf '\211PNG\r\n\032\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0' >picture.txt
  echo 'some text' >text.png
  : >empty.pdf
  expect 0 put picture.txt text.png empty.pdf
  [ "$(jq -c '[.name, .type]' out)" = '["picture.txt","image/png"]
["text.png","text/plain"]
["empty.pdf",null]' ]
}

@test "standard input and a pipe can be put; the name is never a path" {
  mkdir -p a/b
  echo content | tee a/b/c.txt | put - >line
  jq -e 'has("name") | not' line
  get -o got <line >path
  cmp a/b/c.txt "$(jq -r .path path)"
  put a/b/c.txt | jq -e '.name == "c.txt"'
  # shellcheck disable=SC2002 # a pipe, not a file
  cat a/b/c.txt | put /dev/stdin | get -o got | jq -r .path >path
  cmp a/b/c.txt "$(cat path)"
}

@test "a file that is not there, or a folder, is 66, and the others are put" {
  echo a >a
  expect 66 put nothing a got
  [ "$(jq -r .name out)" = a ]
  errors_are 2
  err_has '"nothing"'
  err_has '"got"'
  [ "$(all_in "$STORE" | wc -l)" -eq 1 ]
}

@test "put without a file, get with two, and neither of them are 64" {
  expect 64 put
  expect 64 imsg-attach
  expect 64 imsg-attach send f
  expect 64 get a b
  expect 64 put -o got f
  no_out
}

@test "closed and full standard output are 74" {
  not_under_valgrind 'it puts /dev/null in the place of what is closed'
  stored 1000
  status_of 74 put f f >&-
  errors_are 1
  status_of 74 put f >/dev/full
  status_of 74 get -o got f.d >&-
  cmp f got/f
  status_of 74 get -o got f.d >/dev/full
}

@test "an object that was changed, cut, or made longer is refused, and nothing is left" {
  local byte size=300000
  stored $size
  cp "$OBJECT" good
  for byte in 0 150000 262144 $((size - 1)); do
    cp good "$OBJECT"
    # shellcheck disable=SC2059 # the byte is written as an escape
    printf "\\x$(printf %02x $((0x$(od -An -tx1 -j $byte -N 1 good | tr -d ' ') ^ 1)))" |
      dd of="$OBJECT" bs=1 seek=$byte conv=notrunc status=none
    expect 1 get -o got f.d
    no_out
    err_has 'imsg-attach: error: "f.d": line 1: attachment "f": '
  done
  head -c $((size - 1)) good >"$OBJECT"
  expect 1 get -o got f.d
  : >"$OBJECT"
  expect 1 get -o got f.d
  { cat good; printf x; } >"$OBJECT"
  expect 1 get -o got f.d
  { cat good good good; } >"$OBJECT"
  expect 1 get -o got f.d
  no_out
  nothing_in got
  cp good "$OBJECT"
  expect 0 get -o got f.d
  cmp f got/f
}

@test "a descriptor that does not fit its object is refused, and nothing is left" {
  local zeros=0000000000000000000000000000000000000000
  stored 1000
  for line in "$(with sha1 $zeros)" "$(with sha256 "${zeros}000000000000000000000000")" \
    "$(jq -c '.size = 999' f.d)" "$(jq -c '.size = 1001' f.d)" "$(jq -c '.size = 0' f.d)"; do
    expect 1 get -o got <<<"$line"
    no_out
  done
  nothing_in got
}

@test "an object of another name with the same content is not taken for this one" {
  stored 1000 a
  stored 1000 b
  jq -c --slurpfile b b.d '.uri = $b[0].uri' a.d >mixed
  expect 1 get -o got mixed
  nothing_in got
}

@test "an object that is not there is 69, a store that is away 75; nothing is left, nothing is made" {
  stored 1000
  rm "$OBJECT"
  expect 69 get -o got f.d
  err_has 'no object'
  rm -r "$STORE"
  expect 75 get -o got f.d
  err_has 'is not there'
  nothing_in got
  [ ! -e "$STORE" ]
}

@test "an object that is no file is 76" {
  stored 1000
  rm "$OBJECT"
  mkfifo "$OBJECT"
  expect 76 timeout 300 imsg-attach get -o got f.d
  rm "$OBJECT"
  cp f other
  ln -s "$T/other" "$OBJECT"
  expect 76 get -o got f.d
  nothing_in got
}

@test "put makes the store folder; get does not" {
  echo x >f
  put --store other f >f.d
  [ "$(all_in other | wc -l)" -eq 1 ]
  expect 69 get -o got f.d # the default store has it not
  expect 0 get --store other -o got f.d
  IMSG_STORE=other expect 0 get -o got f.d
  expect 75 get --store third -o got f.d
  [ ! -e third ]
}

@test "nothing but an object of the store is ever opened" {
  local sha
  stored 1000
  cp "$OBJECT" plain
  sha=$(basename "$OBJECT")
  with uri "$OBJECT" plain "file://$OBJECT" "file:$OBJECT" "https://store.example/store/$sha" \
    "http://127.0.0.1/store/$sha" "s3://bucket/$sha" "imsg-store:../store/$sha" "imsg-store:$OBJECT" \
    "imsg-store:${sha^^}" "imsg-store:${sha}0" "imsg-store:${sha:0:63}" "imsg-store:" "imsg-store:/etc/passwd" \
    "IMSG-STORE:$sha" "$sha" '' >lines
  expect 1 get -o got lines
  no_out
  errors_are 17
  [ "$(wc -l <lines)" -eq 17 ]
  nothing_in got
}

@test "hostile names stay inside DIR, in plain sight, and speak to no terminal" {
  local path
  mkdir -p deep/er/got
  stored 10
  # shellcheck disable=SC2016 # names, not commands
  with name ../../x /etc/passwd .bashrc -rf .. . / // ... a/ 'x/..' '..\..\CON' 'C:\Windows\x.exe' $'two\nlines' \
    $'\e[31mred\e[0m' $'\a\b\t' $'\xe2\x80\xaegpj.exe' $'\xc2\x9b31m' "$(printf '%0300d' 7)" "$(printf 'é%.0s' {1..150}).jpg" \
    '' ' ' '~' '$(id)' '`id`' '*' 'a b' >lines
  expect 0 get -o deep/er/got lines
  jq -r .path out >paths
  [ "$(wc -l <paths)" -eq 27 ] # no newline in any
  [ "$(sort -u paths | wc -l)" -eq 27 ]
  all_are_f paths
  while IFS= read -r path; do
    [[ $path == deep/er/got/[!.-]* ]] || { echo "$path"; false; }
  done <paths
  run -1 env LC_ALL=C grep -P '[\x00-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]' paths
  [ "$(all_in deep | wc -l)" -eq 29 ]
  [ ! -e x ]
  [ "$(find deep/er/got -type f -name '*passwd*' | wc -l)" -eq 1 ]
  [ -z "$(find deep -perm /111 -type f)" ]
}

@test "ordinary names are kept as they are" {
  local names=(photo.jpg 'my photo.jpg' Übung.pdf 写真.jpg a..b file.tar.gz 'x~' "it's")
  stored 10
  with name "${names[@]}" >lines
  expect 0 get -o got lines
  printf 'got/%s\n' "${names[@]}" | tee paths | cmp - <(jq -r .path out)
  all_are_f paths
}

@test "a name without one is the start of the object's hash" {
  stored 10
  jq -c 'del(.name)' f.d >line
  expect 0 get -o got line
  [ "$(all_in got)" = "./$(jq -r '.sha256[:16]' f.d)" ]
}

@test "files that are there are never replaced, whatever they are" {
  stored 10 photo.jpg
  echo mine >got/photo.jpg
  ln -s nowhere got/photo-1.jpg
  mkdir got/photo-2.jpg
  expect 0 get -o got photo.jpg.d
  [ "$(jq -r .path out)" = got/photo-3.jpg ]
  cmp photo.jpg got/photo-3.jpg
  [ "$(cat got/photo.jpg)" = mine ]
  [ "$(readlink got/photo-1.jpg)" = nowhere ]
  [ ! -e got/nowhere ]
  expect 0 get -o got photo.jpg.d
  [ "$(jq -r .path out)" = got/photo-4.jpg ]
}

@test "the number goes before the last extension, and at the end where there is none" {
  local pair
  for pair in 'a.tar.gz a.tar-1.gz' 'plain plain-1' 'dot. dot-1.'; do
    stored 10 "${pair% *}"
    expect 0 get -o got "${pair% *}.d"
    expect 0 get -o got "${pair% *}.d"
    cmp "${pair% *}" "got/${pair#* }"
  done
}

@test "five gets of one name at once make five whole files" {
  local i pids=() pid
  stored 100000 photo.jpg
  for i in 1 2 3 4 5; do
    imsg-attach get -o got photo.jpg.d >"out$i" 3>&- &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
  [ "$(all_in got | wc -l)" -eq 5 ]
  [ "$(jq -r .path out? | sort -u | wc -l)" -eq 5 ]
  for i in got/*; do cmp photo.jpg "$i"; done
}

@test "a folder that is not there is 73 and is not made" {
  stored 10
  expect 73 get -o no/such f.d
  no_out
  [ ! -e no ]
  expect 73 get -o f f.d
}

@test "get puts into the current folder without -o, and passes unknown members on" {
  stored 10
  jq -c '. + {extra: {deep: [1, "ü"]}}' f.d >line
  cd got
  expect 0 get ../line
  cmp ../f f
  jq -e --slurpfile in ../line '. == $in[0] + {path: .path}' "$T/out"
  cmp ../f "$(jq -r .path "$T/out")"
}

@test "bad lines are reported by number and do not stop the others" {
  stored 10 a
  stored 10 b
  { cat a.d; echo nonsense; echo '{"imsg":"envelope/1"}'; echo; jq -c 'del(.key)' a.d; cat b.d; } >mixed
  expect 65 get -o got mixed
  err_has '"mixed": line 2: '
  err_has '"mixed": line 3: '
  err_has '"mixed": line 5: '
  errors_are 3
  [ "$(jq -r .path out)" = $'got/a\ngot/b' ]
  rm "$OBJECT"
  cat b.d a.d >two
  expect 69 get -o got two # a missing object neither
  [ "$(jq -r .path out)" = got/a-1 ]
}

@test "no line is 0, a file that is not there 66" {
  expect 0 get </dev/null
  no_out
  expect 66 get nothing
}

@test "the whole way: put, seal, push, pull, open, get" {
  new_user alice
  new_user bob
  head -c 300000 /dev/urandom >photo.jpg
  put photo.jpg | as alice imsg-seal -r bob@example.com --no-self -a - | as alice imsg-push
  # shellcheck disable=SC2016 # the inner shell expands it
  expect 0 bash -c 'export IMSG_HOME=$T/bob; set -o pipefail; imsg-pull | imsg-open -j | imsg-attach get -o got'
  cmp photo.jpg got/photo.jpg
  jq -e '.imsg == "opened/1" and .path == "got/photo.jpg" and .header.attachments[0].path == "got/photo.jpg"' out
}

@test "opened lines get path in each attachment, and at the top when there is one; others pass unchanged" {
  stored 10 a
  stored 10 b
  {
    jq -nc --slurpfile a a.d '{imsg: "opened/1", id: "1", header: {id: "1", attachments: $a}, content: "one"}'
    jq -nc --slurpfile a a.d --slurpfile b b.d '{imsg: "opened/1", header: {attachments: ($a + $b)}, content: "two"}'
    echo '{"imsg":"opened/1","header":{"attachments":[]},"content":"none"}'
    echo '{"imsg":"opened/1","header":{},"content":"\u00fc"}'
  } >lines
  expect 0 get -o got lines
  [ "$(jq -c '[.content, .path, (.header.attachments // [] | map(.path))]' out)" = '["one","got/a",["got/a"]]
["two",null,["got/a-1","got/b"]]
["none",null,[]]
["ü",null,[]]' ]
  cmp <(jq -cS 'del(.path) | del(.header.attachments[]?.path)' out) <(jq -cS . lines)
  jq -c '.header.attachments += ["x"]' lines >odd
  expect 65 get -o got odd
  errors_are 4
}

@test "no room for the object: 75, and the store has no part of it" {
  head -c 300000 /dev/urandom >f
  expect 75 no_space 100 imsg-attach put f
  no_out
  err_has 'imsg-attach: error: "f": store: cannot write: '
  nothing_in "$STORE"
}

@test "no room for the file: 74, and DIR has no part of it" {
  stored 300000
  expect 74 no_space 100 imsg-attach get -o got f.d
  no_out
  nothing_in got
}

# one_core COMMAND...: a tool works in one thread then, so that strace counts its calls in their order.
one_core() { taskset -c "$(taskset -cp $$ | sed 's/.*: *//; s/[-,].*//')" "$@"; }

@test "a full disk at any write leaves nothing" {
  can_strace
  stored 2000000
  local n
  for n in 1 2 3; do
    expect 74 one_core strace -f -qq -o /dev/null -e trace=write -e inject=write:error=ENOSPC:when=$n imsg-attach get -o got f.d
    nothing_in got
    expect 75 one_core strace -f -qq -o /dev/null -e trace=write -e inject=write:error=ENOSPC:when=$n imsg-attach put f
    [ "$(all_in "$STORE" | wc -l)" -eq 1 ]
  done
}

@test "a get that is killed at any call leaves no byte of the file" {
  can_strace
  can_read_traces
  stored 2000000
  local call n
  for call in openat read write fsync; do
    for n in 1 2 3 4; do
      strace -f -qq -o /dev/null -P "$T/got" -P "$OBJECT" -e trace=$call -e inject=$call:signal=KILL:when=$n \
        imsg-attach get -o "$T/got" f.d >line || true
      [ -e got/f ] || nothing_in got
      [ ! -e got/f ] || cmp f got/f
      rm -f got/f
    done
  done
}

@test "where the file system has no files without a name, the file is copied when it is verified" {
  can_strace
  can_read_traces
  stored 2000000
  # Of the calls that open the folder, only the one for a file without a name fails. What confines the tool opens it too.
  expect 0 strace -f -qq -o trace -P "$T/got" -e trace=openat imsg-attach get -o "$T/got" f.d
  when=$(awk '/O_TMPFILE/ { print NR; exit }' trace)
  echo mine >got/f
  expect 0 strace -f -qq -o trace -P "$T/got" -e trace=openat -e "inject=openat:error=EOPNOTSUPP:when=$when" \
    imsg-attach get -o "$T/got" f.d
  grep -q 'O_TMPFILE.*INJECTED' trace
  cmp f got/f-1
  [ "$(all_in got)" = $'./f\n./f-1' ]
}

# ---- resume ----

# The part that an interrupted get leaves of the object of f.
part() { echo "got/.$(jq -r .sha256 f.d).part"; }

@test "a get goes on with the part that an interrupted one left, whatever its size" {
  stored 1000000
  for size in 0 1 262144 300001 999999 1000000; do
    head -c "$size" "$OBJECT" >"$(part)"
    get -o got f.d >line
    cmp f got/f
    [ "$(all_in got)" = ./f ]
    rm got/f
  done
  can_strace
  head -c 600000 "$OBJECT" >"$(part)"
  strace -f -o trace -e trace=lseek imsg-attach get -o got f.d >line
  grep -q 'lseek(.*, 600000, SEEK_SET)' trace # nothing is read twice
}

@test "a part that is not the beginning of the object is fetched again" {
  stored 1000000
  for bad in 'head -c 500000 /dev/urandom' 'head -c 1000000 /dev/zero' 'cat "$OBJECT" f'; do
    eval "$bad" >"$(part)"
    get -o got f.d >line
    cmp f got/f
    [ "$(all_in got)" = ./f ]
    rm got/f
  done
}

@test "of an object that was changed no part stays" {
  stored 1000000
  printf x | dd of="$OBJECT" bs=1 seek=900000 conv=notrunc status=none
  head -c 500000 "$OBJECT" >"$(part)"
  expect 1 get -o got f.d
  errors_are 1
  nothing_in got
}

@test "a part that is a link, a folder or a pipe, or another process has, is left alone" {
  stored 1000000
  echo precious >precious
  ln -s "$T/precious" "$(part)"
  get -o got f.d >line
  [ "$(cat precious)" = precious ]
  cmp f got/f
  rm "$(part)" got/f
  ln precious "$(part)"
  get -o got f.d >line
  [ "$(cat precious)" = precious ]
  rm "$(part)" got/f
  mkdir "$(part)"
  get -o got f.d >line
  rmdir "$(part)"
  rm got/f
  mkfifo "$(part)"
  get -o got f.d >line
  rm "$(part)" got/f
  head -c 500000 "$OBJECT" >"$(part)"
  flock "$(part)" imsg-attach get -o got f.d >line
  cmp f got/f
  [ "$(wc -c <"$(part)")" -eq 500000 ]
}

# stopped_get N: runs a get that the kernel stops behind each of its calls with the part, and another get at stop N. $stops
# is how many there were.
stopped_get() {
  local first seen
  rm -rf got pid trace
  mkdir got
  head -c 500 "$OBJECT" >"$(part)"
  # shellcheck disable=SC2016 # the inner shell expands it
  strace -qq -o trace -P "$T/$(part)" -e trace=all -e inject=all:signal=STOP \
    sh -c 'echo $$ >pid; exec imsg-attach get -o "$T/got" photo.jpg.d' >line 2>errors 3>&- &
  first=$!
  stops=0
  while kill -0 $first 2>/dev/null; do
    seen=$(grep -c 'stopped by SIGSTOP' trace 2>/dev/null) || true
    [ "${seen:-0}" -gt $stops ] || continue
    stops=$seen
    [ "$stops" -ne "$1" ] || get -o got photo.jpg.d >other
    kill -CONT "$(cat pid)"
  done
  wait $first || { cat errors; return 1; }
}

@test "between any two steps that a get takes with its part, another get makes its own whole file" {
  can_strace
  can_read_traces
  stored 1000 photo.jpg
  cp photo.jpg.d f.d
  local n stops=1 file
  for ((n = 1; n <= stops; n++)); do
    stopped_get $n
    [ "$(all_in got)" = $'./photo-1.jpg\n./photo.jpg' ]
    for file in got/*; do cmp photo.jpg "$file"; done
  done
  [ $n -gt 8 ]
}

@test "what a put that was killed left in the folder goes after 36 hours, and nothing else does" {
  stored 1000
  store=$(dirname "$OBJECT")
  mkfifo in
  imsg-attach put - <in >line &
  exec 7>in
  head -c 3000000 /dev/zero >&7
  until [ -n "$(find "$store" -name '.tmp-*' -size +0)" ]; do :; done
  kill $!
  wait $! || true
  exec 7>&-
  left=$(find "$store" -name '.tmp-*')
  : >"$store/.tmp-other"
  touch -d '37 hours ago' "$store/.tmp-other" "$OBJECT"
  touch -d '35 hours ago' "$left"
  expect 0 imsg-attach put f
  [ -e "$left" ]
  touch -d '37 hours ago' "$left"
  expect 0 imsg-attach put f
  [ ! -e "$left" ]
  [ -e "$OBJECT" ]
  [ -e "$store/.tmp-other" ]
}

@test "what came from a server before it broke off stays, and the rest is asked for" {
  stored 1000000
  BUILD=${BUILD:-$(dirname "$BIN")}
  sum=$(jq -r .sha256 f.d)
  { printf 'HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n'; head -c 400000 "$OBJECT"; } >half
  { printf 'HTTP/1.1 206 Partial Content\r\ncontent-length: 600000\r\ncontent-range: bytes 400000-999999/1000000\r\n\r\n'
    tail -c 600000 "$OBJECT"; } >rest
  start_wire wire half rest
  at_wire() { jq -c ".uri = \"http://127.0.0.1:$PORT/store/$sum\"" f.d; }
  at_wire >remote.d
  expect 75 get --insecure-http --store "http://127.0.0.1:$PORT" --retry-for 0 -o got remote.d
  errors_are 1
  head -c 400000 "$OBJECT" | cmp - "$(part)"
  [ "$(all_in got)" = "./$(basename "$(part)")" ]
  expect 0 get --insecure-http --store "http://127.0.0.1:$PORT" -o got remote.d
  cmp f got/f
  [ "$(all_in got)" = ./f ]
  grep -qi '^range: bytes=400000-' wire.log
}

@test "a server that breaks off at the same byte each time is given up like one that says nothing" {
  stored 1000000
  BUILD=${BUILD:-$(dirname "$BIN")}
  { printf 'HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n'; head -c 400000 "$OBJECT"; } >half
  start_wire wire half
  jq -c ".uri = \"http://127.0.0.1:$PORT/store/$(jq -r .sha256 f.d)\"" f.d >remote.d
  expect 75 timeout 300 "$BIN/imsg-attach" get --store "http://127.0.0.1:$PORT" --retry-for 1 -o got remote.d
  errors_are 1
  head -c 400000 "$OBJECT" | cmp - "$(part)"
}

@test "of a get from a server that is killed the ciphertext stays that came, and nothing else" {
  stored 1000000
  BUILD=${BUILD:-$(dirname "$BIN")}
  { printf 'HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n'; head -c 600000 "$OBJECT"; } >stuck
  start_wire wire stuck
  jq -c ".uri = \"http://127.0.0.1:$PORT/store/$(jq -r .sha256 f.d)\"" f.d >remote.d
  "$BIN/imsg-attach" get --store "http://127.0.0.1:$PORT" --retry-for 300 -o got remote.d >line 2>errors 3>&- &
  # A whole piece comes into the part while the get goes on.
  until [ -s "$(part)" ]; do kill -0 $!; done
  kill -9 $!
  wait $! || true
  [ "$(all_in got)" = "./$(basename "$(part)")" ]
  head -c "$(wc -c <"$(part)")" "$OBJECT" | cmp - "$(part)"
  get -o got f.d >line
  cmp f got/f
}

# ---- progress ----

@test "on a terminal a long transfer shows how far it is; not with -q, not in a file" {
  stored 600000
  # To the tool each piece takes a long time, as from a slow disk.
  slow() { CLOCK_SPEED=10000 with_clock imsg-attach put "$@" >line; }
  export -f slow with_clock preload
  export BUILD SHELL=/bin/bash
  expect 0 script -qec "slow f" /dev/null </dev/null
  grep -qE 'f  +[0-9]+%  [0-9.]+ [KM]iB  [0-9.]+ ([KM]i)?B/s  ([0-9]+:)?[0-9]+:[0-9][0-9] left' out || { cat -v out; false; }
  [ "$(tail -c 4 out | od -An -tx1 | tr -d ' ')" = 0d1b5b4b ] # gone at the end
  expect 0 script -qec "slow -q f" /dev/null </dev/null
  [ ! -s out ]
  expect 0 slow f
  [ ! -s err ]
}

# ---- cores ----

@test "one core and many make the same, and memory does not grow with the file" {
  head -c 30000000 /dev/urandom >f
  one_core imsg-attach put f >f.d
  [ "$(jq -r .sha256 f.d)" = "$(sha256sum <"$STORE/$(jq -r .sha256 f.d)" | cut -c1-64)" ]
  [ "$(jq -r .sha1 f.d)" = "$(sha1sum <"$STORE/$(jq -r .sha256 f.d)" | cut -c1-40)" ]
  get -o got f.d >line
  cmp f got/f
  imsg-attach put f >f.d
  [ "$(jq -r .sha256 f.d)" = "$(sha256sum <"$STORE/$(jq -r .sha256 f.d)" | cut -c1-64)" ]
  [ "$(jq -r .sha1 f.d)" = "$(sha1sum <"$STORE/$(jq -r .sha256 f.d)" | cut -c1-40)" ]
  /usr/bin/time -o size -f %M imsg-attach get -o got f.d >line
  cmp f got/f-1
  [ "$(cat size)" -lt 12288 ] || [ -n "${VALGRIND:-}${SAN:-}" ]
}
