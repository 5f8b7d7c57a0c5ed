# Shared by cli/faults.bats (a sample) and deep/faults-*.bats (every point): each tool is stopped at, or refused, one
# system call, and what is there afterwards is judged, and again after the tool was run once more.
#
# A scenario NAME has four functions. NAME_setup makes what it starts from. NAME_run is the command, with FAULT in front
# of the tool. NAME_broken looks at what the fault left, with the exit status in $got. NAME_again runs without a fault
# until all is well, and checks that. "$W" is a fresh copy of the made state for each fault, and the working folder.

faults_setup_file() {
  setup_common
  new_user alice
  new_user bob
  echo hello | as alice imsg-seal -q -r bob@example.com >one
  jq -c 'range(2) as $i | .payload = ("payload \($i)" | @base64)' one >two
  head -c 300000 /dev/urandom >photo.bin
  imsg-attach put photo.bin >photo.d
  as carol imsg-keygen -n laptop carol@example.com >laptop
  as carol2 imsg-keygen -n phone carol@example.com >phone
  keep_base
}

faults_setup() {
  in_memory
  setup_common
  can_strace
  W=$T/w
  ALL=$T
}

CALLS='?open,openat,write,pwrite64,fsync,?link,linkat,?rename,?renameat,?renameat2,?unlink,unlinkat,?mkdir,mkdirat,close,flock'

fresh() {
  cd "$ALL" || return
  rm -rf "$W"
  cp -a "$BATS_FILE_TMPDIR/base" "$W"
  cd "$W" || return
  T=$W HOME=$W # as USER and expect go by $T
}

# points SCENARIO: "CALL N" for each call after the tool has closed its sandbox, which is when it has read its options;
# what comes before is the loader's.
points() {
  fresh
  FAULT=(strace -f -qq -o "$ALL/trace" -e "trace=$CALLS,prctl")
  "$1_setup"
  "$1_run" >"$ALL/points.out" 2>&1 || { cat "$ALL/points.out"; return 1; }
  sed -E 's/^[0-9]+ +//' "$ALL/trace" | awk -F'(' '/^prctl\(PR_SET_NO_NEW_PRIVS/ { begun = 1 }
    /^[a-z0-9]+\(/ && $1 != "prctl" { n[$1]++; if (begun) print $1, n[$1] }'
}

# errors_of SCENARIO CALL: which errors the call can end in.
errors_of() {
  case $2 in
  open | openat | write | pwrite64) echo ENOSPC EIO EINTR ;;
  fsync) echo EIO EINTR ;;
  flock) echo EINTR ;;
  close) # Refused by strace it leaves the descriptor open, as no close of Linux does: a lock would wait for itself.
    case $1 in get | put | push | keygen) echo EIO EINTR ;; esac ;;
  *) echo ENOSPC EIO ;;
  esac
}

# sample N: N of the lines, evenly spread; all of them with N = all.
sample() {
  if [ "$1" = all ]; then cat; else awk -v n="$1" '{ line[NR] = $0 } END {
    for (i = 0; i < n && i < NR; i++) print line[1 + int((i + 0.5) * NR / (n < NR ? n : NR))] }'; fi
}

complain() { # what failed, and what there is to know about it
  echo "$*"
  echo "--- fault: $fault, status $got"
  echo '--- stderr of the faulted run'
  cat "$ALL/err.fault"
  echo '--- files'
  (cd "$W" && find bob carol .local -type f | sort)
  return 1
}

# one_fault SCENARIO CALL N signal=KILL|error=E
one_fault() {
  local scenario=$1
  fault="$2:$4:when=$3"
  CALL=$2 KIND=$4
  fresh
  FAULT=(timeout 600 strace -f -qq -o /dev/null -e "trace=$2" -e "inject=$fault")
  "${scenario}_setup"
  got=0
  "${scenario}_run" >"$ALL/out.fault" 2>"$ALL/err.fault" || got=$?
  cp "$ALL/out.fault" out.fault
  case $KIND in
  signal=*) [ "$got" -eq 137 ] || complain 'it was not killed' ;;
  *) # 0 and nothing lost, or an error that is said; 66 where the input could not be opened
    case $got$CALL in
    0* | 73* | 74* | 75* | 66open*) ;;
    *) complain 'this status says something else' ;;
    esac
    [ "$got" -eq 0 ] || grep -q ': error: ' "$ALL/err.fault" || [ "$CALL" = write ] || complain 'no error was said'
    # open and opendir of a local file are not interrupted in real life, so it is enough to say that it failed.
    [ "$KIND" != error=EINTR ] || [ "$got" -eq 0 ] || [ "${CALL#open}" != "$CALL" ] ||
      complain 'an interrupted call is no failure' ;;
  esac
  "${scenario}_broken" || complain 'what was left is wrong'
  "${scenario}_again" >"$ALL/again" 2>&1 || { cat "$ALL/again"; complain 'running again did not make it right'; }
  RUNS=$((RUNS + 1))
}

# faults SCENARIO HOW-MANY-KILLS HOW-MANY-ERRORS ("all": each)
faults() {
  local scenario=$1 call n error
  RUNS=0
  points "$scenario" >"$ALL/points"
  [ -s "$ALL/points" ] || { echo 'no call to inject into'; return 1; }
  sample "$2" <"$ALL/points" >"$ALL/kills"
  while read -r call n <&5; do
    one_fault "$scenario" "$call" "$n" signal=KILL
  done 5<"$ALL/kills"
  while read -r call n; do
    for error in $(errors_of "$scenario" "$call"); do echo "$call $n $error"; done
  done <"$ALL/points" | sample "$3" >"$ALL/errors"
  while read -r call n error <&5; do
    one_fault "$scenario" "$call" "$n" "error=$error"
  done 5<"$ALL/errors"
  echo "# $scenario: $(wc -l <"$ALL/points") points, $RUNS runs" >&3
  [ "$2$3" != allall ] || quality 'A tool killed, or with an error, at each system call: the old state or the new one' "$RUNS"
}

# Nothing hidden, so nothing temporary, is left in these folders, unless the tool could not know or not help it.
no_leftovers() {
  [ "$KIND" != signal=KILL ] || return 0
  [ "${CALL#unlink}" = "$CALL" ] || return 0
  [ -z "$(find "$@" -name '.*.*' 2>/dev/null)" ] || { find "$@" -name '.*.*'; return 1; }
}
visible_in() { find "$1" -mindepth 1 -maxdepth 1 ! -name '.*' 2>/dev/null | wc -l; }

# ---- pull: two messages wait ----

TOKEN_of() { jq -r .to_token one; }
pull_setup() {
  BOX=$W/.local/share/imsg/relay/$(TOKEN_of)
  IN=$W/bob/inbox
  as alice imsg-push -q two
}
pull_run() { as bob "${FAULT[@]}" imsg-pull; }
pull_broken() {
  local name
  # Each message is whole wherever it is, and in one place of the inbox.
  for name in "$IN"/new/* "$IN"/cur/*; do
    [ -e "$name" ] || continue
    grep -qxFf "$name" two || { echo "$name is no message"; return 1; }
    [ "$(wc -l <"$name")" -eq 1 ] || return 1
  done
  [ -z "$(find "$IN" -path "*/tmp" -prune -o -type f -name '[0-9a-f]*' -printf '%f\n' | sort | uniq -d)" ] || return 1
  # None is in neither place.
  [ "$(find "$IN/new" "$IN/cur" "$BOX/new" -type f -name '[0-9a-f]*' -printf '%f\n' 2>/dev/null | sort -u | wc -l)" -eq 2 ] ||
    return 1
  if [ "$got" -eq 0 ]; then
    sort out.fault | cmp - <(sort two) || return 1
    [ "$(visible_in "$IN/cur")" -eq 2 ] || return 1
  fi
  no_leftovers "$IN/tmp"
}
pull_again() {
  expect 0 as bob imsg-pull || return 1
  cp out out.again
  expect 0 as bob imsg-pull --new || return 1
  cat out >>out.again
  # Handed out once; twice only where the run ended between printing and noting that it had.
  sort -u out.fault out.again | cmp - <(sort two) || return 1
  local most=2
  [ "$KIND" != signal=KILL ] && [ "${CALL#rename}" = "$CALL" ] || most=3
  [ "$(cat out.fault out.again | wc -l)" -le $most ] || { echo 'handed out twice'; return 1; }
  [ "$(visible_in "$IN/cur")" -eq 2 ] && [ "$(visible_in "$IN/new")" -eq 0 ] && [ "$(visible_in "$BOX/new")" -eq 0 ] ||
    { echo 'not in place'; return 1; }
  as alice imsg-push -q two
  expect 0 as bob imsg-pull && no_out
}

# ---- push: two messages to deliver ----

push_setup() { BOX=$W/.local/share/imsg/relay/$(TOKEN_of); }
push_run() { as alice "${FAULT[@]}" imsg-push --undelivered left two; }
push_broken() {
  local name
  for name in "$BOX"/new/*; do
    [ ! -e "$name" ] || grep -qxFf "$name" two || { echo "$name is no message"; return 1; }
  done
  if [ "$got" -eq 0 ]; then
    [ "$(visible_in "$BOX/new")" -eq 2 ] && [ -e left ] && [ ! -s left ] || return 1
  elif [ "$got" -eq 75 ]; then # delivered or kept, each of them
    cat "$BOX"/new/* left 2>/dev/null | sort -u | cmp - <(sort two) || return 1
  fi
  no_leftovers . "$BOX/tmp" || return 1
  [ "$KIND" = signal=KILL ] || [ "${CALL#unlink}" != "$CALL" ] || [ "$(visible_in "$BOX/tmp")" -eq 0 ]
}
push_again() {
  expect 0 as alice imsg-push --undelivered left two || return 1
  [ ! -s left ] || return 1
  expect 0 as bob imsg-pull || return 1
  sort out | cmp - <(sort two)
}

# ---- get: one attachment, where a file of its name is already ----

get_setup() {
  mkdir got
  echo mine >got/photo.bin
}
get_run() { "${FAULT[@]}" imsg-attach get -o got photo.d; }
get_broken() {
  [ "$(cat got/photo.bin)" = mine ] || return 1
  [ ! -e got/photo-1.bin ] || cmp photo.bin got/photo-1.bin || return 1
  [ "$got" -ne 0 ] || [ "$(jq -r .path out.fault)" = got/photo-1.bin ] || return 1
  [ "$(visible_in got)" -eq $((1 + $([ -e got/photo-1.bin ] && echo 1 || echo 0))) ] || return 1
  no_leftovers got
}
get_again() {
  expect 0 imsg-attach get -o got photo.d || return 1
  cmp photo.bin "$(jq -r .path out)" || return 1
  [ "$(cat got/photo.bin)" = mine ]
}

# ---- put ----

put_setup() { rm -r .local/share/imsg/store; }
put_run() { "${FAULT[@]}" imsg-attach put photo.bin; }
put_broken() {
  local name
  for name in .local/share/imsg/store/*; do
    [ ! -e "$name" ] || [ "$(sha256sum <"$name" | cut -d' ' -f1)" = "${name##*/}" ] || { echo 'half an object'; return 1; }
  done
  [ "$got" -ne 0 ] || [ -e ".local/share/imsg/store/$(jq -r .sha256 out.fault)" ] || return 1
  no_leftovers .local/share/imsg/store
}
put_again() {
  expect 0 imsg-attach put photo.bin || return 1
  cp out again.d
  mkdir got
  expect 0 imsg-attach get -o got again.d || return 1
  cmp photo.bin got/photo.bin
}

# ---- keygen ----

keygen_setup() { :; }
keygen_run() { as dave "${FAULT[@]}" imsg-keygen -n new dave@example.com; }
keygen_broken() {
  if [ -e dave/identity.json ]; then
    [ "$(stat -c %a dave/identity.json)" = 600 ] || return 1
    expect 0 as dave imsg-keygen -y || { echo 'half an identity'; return 1; }
    [ ! -s out.fault ] || same_record out out.fault || return 1
  fi
  [ "$got" -ne 0 ] || { [ -s out.fault ] && [ -e dave/identity.json ]; } || return 1
  no_leftovers dave
}
keygen_again() {
  if [ -e dave/identity.json ]; then
    expect 73 as dave imsg-keygen -n new dave@example.com || return 1
    expect 0 as dave imsg-keygen -y || return 1
  else
    expect 0 as dave imsg-keygen -n new dave@example.com || return 1
  fi
  cp out record
  expect 0 as dave imsg-register record || return 1
  expect 0 as alice imsg-lookup dave@example.com || return 1
  shown record
}

# ---- rotate: the identity is replaced ----

rotate_setup() { cp bob/identity.json before.json; }
rotate_run() { as bob "${FAULT[@]}" imsg-keygen --rotate; }
rotate_broken() {
  expect 0 as bob imsg-keygen -y || { echo 'half an identity'; return 1; }
  [ "$(stat -c %a bob/identity.json)" = 600 ] || return 1
  [ "$got" -ne 0 ] || { same_record out out.fault && ! cmp -s bob/identity.json before.json; } || return 1
  as alice imsg-push -q one
  as bob imsg-pull | as bob imsg-open -q | cmp - <(echo hello) || return 1 # sealed for the prekey before
  no_leftovers bob
}
rotate_again() {
  expect 0 as bob imsg-keygen --rotate || return 1
  cp out record
  expect 0 as bob imsg-register record || return 1
  echo again | as alice imsg-seal -q -r bob@example.com | as alice imsg-push
  as bob imsg-pull | as bob imsg-open -q | cmp - <(echo again)
}

# ---- register: a first entry, with the account key; and a second device ----

# shown RECORD...: the last out has these records. (The account key that registration names in them is not in the files.)
shown() { same_record <(cat "$@") <(jq -c 'del(.account)' out); }
entry_of_carol() { echo "$W/.local/share/imsg/directory/$(imsg-lookup --path carol@example.com)"; }
# lookup_carol: somebody who never saw the entry reads it; what is looked up goes into out.
lookup_carol() {
  rm -rf eve
  expect "$1" as eve imsg-lookup carol@example.com
}

register_setup() { :; }
register_run() { as carol "${FAULT[@]}" imsg-register laptop; }
register_broken() {
  if [ -e "$(entry_of_carol)" ]; then
    lookup_carol 0 || { echo 'half an entry'; return 1; }
    shown laptop || return 1
    [ -e carol/account.pem ] || return 1
  fi
  [ "$got" -ne 0 ] || [ -e "$(entry_of_carol)" ] || return 1
  [ ! -e carol/account.pem ] || cp carol/account.pem account.before
  no_leftovers carol .local/share/imsg/directory
}
register_again() {
  expect 0 as carol imsg-register laptop || return 1
  [ ! -e account.before ] || cmp account.before carol/account.pem || return 1
  lookup_carol 0 || return 1
  shown laptop || return 1
  [ "$(jq -r .payload "$(entry_of_carol)" | tr -- -_ +/ | base64 -d 2>/dev/null | jq .seq)" -eq 1 ] || return 1
  [ -d ".local/share/imsg/relay/$(jq -r .token laptop)/new" ] || return 1
  echo hi | as alice imsg-seal -q -r carol@example.com | expect 0 as alice imsg-push
  expect 0 as carol imsg-register -q phone || return 1 # its own pin goes with it
}

update_setup() {
  as carol imsg-register -q laptop
  as alice imsg-lookup -q carol@example.com >pinned
}
update_run() { as carol "${FAULT[@]}" imsg-register phone; }
update_broken() {
  lookup_carol 0 || { echo 'half an entry'; return 1; }
  shown laptop >same || shown laptop phone || return 1
  [ "$got" -ne 0 ] || [ "$(wc -l <out)" -eq 2 ] || return 1
  expect 0 as alice imsg-lookup carol@example.com || return 1 # who has it pinned goes along
  no_leftovers carol .local/share/imsg/directory
}
update_again() {
  expect 0 as carol imsg-register phone || return 1
  expect 0 as alice imsg-lookup carol@example.com || return 1
  shown laptop phone || return 1
  [ "$(jq -r .payload "$(entry_of_carol)" | tr -- -_ +/ | base64 -d 2>/dev/null | jq .seq)" -eq 2 ]
}
