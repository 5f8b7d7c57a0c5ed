# Shared by the Bats files: a temporary folder per test, users in folders of their own, one shared set of services.
# BIN is the folder of the tools (made absolute by `make check`); nothing outside $T is touched.

setup_common() {
  ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  BIN=${BIN:-$ROOT/build/bin}
  VECTORS=$ROOT/tests/vectors
  T=$(mktemp -d "${TMPDIR:-/tmp}/imsg-test.XXXXXX")
  PATH=$BIN:$PATH
  HOME=$T
  export ROOT BIN VECTORS T PATH HOME
  unset IMSG_HOME IMSG_SERVER IMSG_DIRECTORY IMSG_RELAY IMSG_STORE IMSG_PASSPHRASE_FILE IMSG_CONTACTS
  unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_CACHE_HOME
  cd "$T" || return 1
}

# keep_base, at the end of setup_file: what is in $T is what setup_base gives each test a copy of.
keep_base() { cd / && mv "$T" "$BATS_FILE_TMPDIR/base"; }
setup_base() {
  setup_common
  cp -a "$BATS_FILE_TMPDIR/base/." .
}

# in_memory, before these: $T where there is no disk. Its fsync is most of what some tests would wait for.
in_memory() { [ -n "${TMPDIR:-}" ] || ! [ -w /dev/shm ] || export TMPDIR=/dev/shm; }

teardown_common() {
  cd / || return 1
  rm -rf "$T" ${OWN_BUILD:+"$OWN_BUILD"}
}

# as USER COMMAND...: run with that user's IMSG_HOME.
as() {
  local user=$1
  shift
  IMSG_HOME=$T/$user "$@"
}

# new_user USER [HANDLE]: keys and registration, quietly; HANDLE defaults to USER@example.com. A user of the same handle
# on another device: new_device DEVICE OWNER HANDLE.
new_user() {
  as "$1" imsg-keygen -n "$1" "${2:-$1@example.com}" | as "$1" imsg-register -q
}

# records_of USER...: the record of each one's device, in USER.jsonl.
records_of() {
  local user
  for user; do as "$user" imsg-keygen -y >"$user.jsonl"; done
}

# account_of USER: the thumbprint of the account key.
account_of() { as "$1" imsg-keygen -F -j | jq -r .account; }

new_device() {
  as "$1" imsg-keygen -n "$1" --account "$(account_of "$2")" "$3" | as "$2" imsg-register -q
}

# same_record ONE OTHER: two device records say the same; proofs are made anew each time.
same_record() { cmp <(jq -cS 'del(.proofs)' "$1") <(jq -cS 'del(.proofs)' "$2"); }

# record_for USER URI...: the record of USER's device for these handles, with its proofs.
record_for() {
  local user=$1
  shift
  (umask 077 && jq -c '.handles = $ARGS.positional' "$T/$user/identity.json" --args "$@" >"$T/other-handles.json")
  as "$user" imsg-keygen -y -i "$T/other-handles.json"
}

# from_root PATH: the same, seen from ROOT: to make a path ends at its first space, and what is above may have one.
from_root() { realpath --relative-to="$ROOT" "$1"; }
# build_folder: sets OWN_BUILD to a folder for a build of the test's own, below that of all builds, with what need not be
# compiled again, which teardown_common removes.
build_folder() {
  OWN_BUILD=$(mktemp -d "${BUILD:-$ROOT/build}/test.XXXXXX")
  cp -a "${BUILD:-$ROOT/build}/lib" "${BUILD:-$ROOT/build}/cmd" "$OWN_BUILD"
}

# not_under_valgrind WHY: leaves the test out there, where each start of a tool takes a second.
not_under_valgrind() { [ -z "${VALGRIND:-}" ] || skip "not under valgrind: $1"; }

# can_strace: skips the test where programs cannot be traced, or where the calls would be valgrind's own.
can_strace() {
  not_under_valgrind 'the calls would be its own'
  strace -f -qq -o /dev/null true 2>/dev/null || skip 'strace cannot trace here'
}

# can_read_traces: skips the test where strace may not read what the calls' arguments point to: the tools are not dumpable.
can_read_traces() { [ "$(id -u)" -eq 0 ] || skip 'only root may read the memory of a tool'; }

# with_mounts COMMAND...: what it mounts is seen by it alone. can_mount: skips the test where that is not to be had.
with_mounts() {
  if [ "$(id -u)" -eq 0 ]; then unshare -m "$@"; else unshare -rm "$@"; fi
}
can_mount() { with_mounts true 2>/dev/null || skip 'no mount namespace of its own for an ordinary user here'; }

# preload LIBRARY COMMAND...: with LD_PRELOAD; the sanitizers' runtime would want to be first.
preload() { ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 LD_PRELOAD=$1 "${@:2}"; }
# with_clock COMMAND...: by the clock of tests/cli/clock.c: CLOCK_SPEED, and `ahead SECONDS`, which moves it on.
with_clock() {
  [ -e "$T/clock.so" ] || cp "${BUILD:-$ROOT/build}/clock.so" "$T" # LD_PRELOAD takes no path with a space
  CLOCK_AHEAD=$T/clock preload "$T/clock.so" "$@"
}
ahead() { truncate -s "+$1" "$T/clock"; }

# expect STATUS COMMAND...: run, keep stdout in $T/out and stderr in $T/err (files: Bats' run drops NUL bytes).
expect() {
  local want=$1 got=0
  shift
  "$@" >"$T/out" 2>"$T/err" || got=$?
  if [ "$got" -ne "$want" ]; then
    echo "status $got, expected $want: $*"
    echo "--- stdout"; head -c 2000 "$T/out"
    echo "--- stderr"; cat "$T/err"
    return 1
  fi
}

# commands PAGE: what a page of docs/ has its reader type.
commands() { awk '/^```sh$/ { on = 1; next } /^```$/ { on = 0 } on' "$ROOT/docs/$1"; }

# The pair-ec counters that HOME has given out, from the smallest: "1 2 17" (imsg-formats(5)).
counts() {
  xxd -p -c 16 "$1/counters" | sed -n '/^0*$/!s/.*\(.\{8\}\)$/0x\1/p' | sort | while read -r next; do echo $((next)); done |
    paste -sd ' '
}

# quality PROPERTY CASES [FAILURES]: a row of the table of docs/quality.md (tests/quality), when its cases were tried.
quality() { echo "# quality|$1|$2|${3:-0}" >&3; }

# The last expect's stderr must have this line fragment (fixed string).
err_has() { grep -qF -- "$1" "$T/err" || { echo "stderr lacks: $1"; cat "$T/err"; return 1; }; }
# Its stdout must be empty.
no_out() { [ ! -s "$T/out" ] || { echo "stdout is not empty:"; head -c 500 "$T/out"; return 1; }; }
# Exactly N lines of error ("TOOL: error: ") on stderr.
errors_are() { [ "$(grep -c ': error: ' "$T/err")" -eq "$1" ] || { echo "not $1 error lines:"; cat "$T/err"; return 1; }; }
# The command fails, as it should. (A bare "! command" is passed over by set -e.)
without() {
  if "$@"; then
    echo "this should have failed: $*"
    return 1
  fi
}

# name_of LINE: the envelope's name everywhere (docs/format.md §7), computed without our code.
name_of() {
  local text folder
  folder=$(mktemp -d)
  {
    printf 'imsg envelope/1\n'
    while IFS= read -r text; do
      printf %08x "${#text}" | xxd -r -p
      printf %s "$text"
    done < <(jq -r '.id, .from, .from_token, .to, .to_token, .format, .time' <<<"$1")
    jq -r .payload <<<"$1" | base64 -d >"$folder/payload"
    printf %08x "$(wc -c <"$folder/payload")" | xxd -r -p
    cat "$folder/payload"
  } | sha256sum | cut -d' ' -f1
  rm -r "$folder"
}
