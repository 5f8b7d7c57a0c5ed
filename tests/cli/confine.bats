#!/usr/bin/env bats
# What the tools can still do once they have read their options: probe.c tries it from inside. Each probe is seen to
# succeed where nothing is confined.
bats_require_minimum_version 1.5.0
load common

# alice and bob; hello is from alice to bob; a secret that no tool was told of.
setup_file() {
  setup_common
  new_user alice
  new_user bob
  records_of alice bob
  echo hello >plain
  as alice imsg-seal -q -r bob@example.com plain >hello
  mkdir other
  echo secret >other/secret
  keep_base
}
setup() {
  setup_base
  not_under_valgrind 'it has no filters of its own'
  cp "${BUILD:-$ROOT/build}/probe.so" "$T" # LD_PRELOAD takes no path with a space
}
teardown() { teardown_common; }

has_filters() {
  imsg-keygen -v -y -i alice/identity.json 2>&1 >record | grep -q '(seccomp)' || skip 'no seccomp, or a build without libseccomp'
}
has_landlock() { # the probe begins where the filters are installed
  has_filters
  imsg-keygen -v -y -i alice/identity.json 2>&1 >record | grep -q '(Landlock' || skip 'no Landlock here, or not in this build'
}
# probe LINES COMMAND...: what comes out is in $T/out.
probe() { PROBE=$1 preload "$T/probe.so" "${@:2}" >"$T/out" 2>"$T/err"; }
# Each line of $T/out ends in yes, but for those that match PATTERN; or in no.
all_yes() { [ -s "$T/out" ] && ! grep -vE " yes$|${1:-^$}" "$T/out" || { cat "$T/out" "$T/err"; return 1; }; }
all_no() { [ -s "$T/out" ] && ! grep -vE ' no [A-Z]+$' "$T/out" || { cat "$T/out" "$T/err"; return 1; }; }
lines() { # WORD THING...
  local word=$1 thing
  shift
  for thing; do echo "$word $thing"; done
}

PROCESSES='execve execveat ptrace process_vm_readv process_vm_writev pidfd_open pidfd_getfd pidfd_send_signal
  process_madvise io_uring_setup io_uring_enter io_uring_register bpf userfaultfd perf_event_open unshare setns
  clone-namespace clone-process clone3 mount umount2 chroot pivot_root keyctl add_key memfd_create open_by_handle_at kill
  setuid symlinkat mknodat prctl-dumpable prlimit-other ioctl-sti seccomp personality'
FAMILIES='socket-packet socket-alg'
SOCKETS='socket-inet socket-inet6 socket-unix connect bind'

# The tools without a network, each with arguments with which it gets so far.
silent() { # LINES
  probe "$1" imsg-keygen -o new.json eve@example.com && "${@:2}" || return 1
  probe "$1" imsg-inspect hello && "${@:2}" || return 1
  IMSG_HOME=$T/alice probe "$1" imsg-seal -R bob.jsonl plain && "${@:2}" || return 1
  IMSG_HOME=$T/alice probe "$1" imsg-seal -r bob@example.com plain && "${@:2}" || return 1
  IMSG_HOME=$T/bob probe "$1" imsg-open -R alice.jsonl hello && "${@:2}" || return 1
  IMSG_HOME=$T/bob probe "$1" imsg-open hello && "${@:2}" || return 1
  IMSG_HOME=$T/bob probe "$1" imsg-lookup alice@example.com && "${@:2}" || return 1
  IMSG_HOME=$T/bob probe "$1" imsg-pull && "${@:2}" || return 1
  IMSG_HOME=$T/bob probe "$1" imsg-register alice.jsonl && "${@:2}"
}

@test "system calls that no tool needs fail in all of them, and a socket where there is no network" {
  has_filters
  local other calls
  # shellcheck disable=SC2086 # words
  calls=$(lines call $PROCESSES $FAMILIES)
  silent "$calls
$(lines call $SOCKETS listen accept4 sendto)" all_no
  export IMSG_HOME=$T/alice IMSG_SERVER=https://localhost:1
  for other in 'lookup bob@example.com' 'push hello' 'pull' 'attach get' 'register' 'open hello' 'seal -r bob@example.com plain'; do
    # shellcheck disable=SC2086 # a tool and its arguments
    probe "$calls" imsg-$other
    all_no
    probe "$(lines call $SOCKETS)" imsg-$other
    all_yes
  done
}

@test "where nothing is confined each of these calls gets through" {
  has_filters
  # shellcheck disable=SC2086 # words
  PROBE_FREE=1 probe "$(lines call $PROCESSES $FAMILIES $SOCKETS listen accept4 sendto)" imsg-inspect hello
  all_yes
}

@test "the calls of another architecture fail too" {
  has_filters
  [ "$(uname -m)" = x86_64 ] || skip 'x86 only'
  probe "$(lines call x32 i386)" imsg-inspect hello
  all_no
}

@test "a server answers, and connects nowhere" {
  has_filters
  local calls
  # shellcheck disable=SC2086 # words
  calls=$(lines call $PROCESSES $FAMILIES $SOCKETS)
  probe "$calls" imsg-serve -D data -l 127.0.0.1:0 --plain-http
  all_no
  probe "$(lines call accept4 sendto)" imsg-serve -D data -l 127.0.0.1:0 --plain-http
  all_yes
}

@test "a tool reads what it was told of, the system's libraries and their data, and nothing else" {
  has_landlock
  local outside inside
  outside=$(
    lines read "$T/other/secret" "$T/alice/identity.json" /etc/passwd /proc/self/status
    lines list "$T" / /etc /root
    lines write "$T/other/secret" "$T/hello" "$T/alice.jsonl"
    lines make "$T/made" "$T/other/made"
    lines remove "$T/other/secret" "$T/hello"
  )
  inside=$(
    lines read "$T/hello" "$T/alice.jsonl" "$T/bob/identity.json" /usr/bin/env /dev/urandom
    lines read "$(ldd "$BIN/imsg-open" | awk '/libcrypto/ { print $3 }')"
    lines list "$T/bob" /usr
  )
  export IMSG_HOME=$T/bob
  probe "$outside" imsg-inspect -R alice.jsonl hello
  all_no
  probe "$outside" imsg-open -R alice.jsonl hello
  all_no
  probe "$inside" imsg-open -R alice.jsonl hello
  all_yes
  PROBE_FREE=1 probe "$outside" imsg-open -R alice.jsonl hello
  all_yes 'list /root no EACCES'
}

@test "a tool writes below its home, beside its output and in service folders, and nowhere else" {
  has_landlock
  mkdir out.d temp
  export TMPDIR=$T/temp # where a tool with a network may write too
  local away
  away=$(lines make "$T/made" "$T/other/made" "$T/alice/made"; lines write "$T/other/secret")
  export IMSG_HOME=$T/bob
  probe "$(lines make "$T/out.d/made"; lines write "$T/out.d/made"; lines remove "$T/out.d/made")" imsg-open -R alice.jsonl -o out.d/new hello
  all_yes
  probe "$away" imsg-open -R alice.jsonl -o out.d/new hello
  all_no
  probe "$(lines make "$T/bob/made" "$T/.local/share/imsg/relay/made")" imsg-pull
  all_yes
  probe "$away
$(lines make "$T/.local/share/imsg/directory/made" "$T/.local/share/imsg/store/made")" imsg-pull
  all_no
  probe "$(lines make "$T/bob/made2" "$T/.local/share/imsg/directory/made")" imsg-lookup alice@example.com
  all_yes
  probe "$(lines make "$T/out.d/a")" imsg-push --undelivered out.d/left hello
  all_yes
  probe "$(lines make "$T/out.d/b" "$T/.local/share/imsg/store/b")" imsg-attach get -o out.d
  all_yes
  probe "$away" imsg-attach get -o out.d
  all_no
  probe "$(lines make "$T/data/made")" imsg-serve -D data -l 127.0.0.1:0 --plain-http
  all_yes
  probe "$away
$(lines read "$T/other/secret" /etc/passwd "$T/bob/identity.json")" imsg-serve -D data -l 127.0.0.1:0 --plain-http
  all_no
}

@test "key files behind links are read, and written where they are" {
  mv bob/identity.json other/me.json
  ln -s ../other/me.json bob/identity.json
  expect 0 as bob imsg-open -q hello
  expect 0 as bob imsg-keygen --rotate
}

@test "-v says what holds, and without seccomp and Landlock the tools work the same" {
  expect 0 as bob imsg-open -v hello
  err_has 'imsg-open: confined to '
  PROBE_FREE=1 expect 0 preload "$T/probe.so" env IMSG_HOME="$T/bob" imsg-open -v hello
  cmp plain out
  err_has 'confined to any file (no Landlock), any system call (no seccomp), with a network'
}

@test "pull -x is confined and its command is not, and -v says both" {
  as alice imsg-push -q hello
  expect 0 as bob imsg-pull -v -x 'cat other/secret && cat >got && touch made'
  err_has 'imsg-pull: confined to '
  err_has 'imsg-pull: not confined: the command'
  [ "$(cat out)" = secret ]
  cmp hello got
  [ -e made ]
  has_landlock
  # shellcheck disable=SC2086 # words
  IMSG_HOME=$T/bob probe "$(lines call $PROCESSES $FAMILIES $SOCKETS)
$(lines read "$T/other/secret"; lines make "$T/other/made")" imsg-pull -x true
  all_no
}

@test "no tool links libseccomp" {
  local tool
  for tool in "$BIN"/imsg-*; do without grep -q seccomp <(ldd "$tool"); done
}
