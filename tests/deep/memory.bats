#!/usr/bin/env bats
# What is in the memory of imsg-open when it ends: no private number of its identity, in whatever form. While the keys are
# in use they are found, so that the search is known to find them.
bats_require_minimum_version 1.5.0
load ../cli/common

setup() {
  in_memory
  setup_common
  command -v gdb >/dev/null || skip 'gdb is not here'
  [ "$(id -u)" -eq 0 ] || skip 'only root may read the memory of a tool'
  as alice imsg-keygen -q alice@example.com >alice.jsonl
  as bob imsg-keygen -q bob@example.com >bob.jsonl
}
teardown() { teardown_common; }

# scalar NAME, prime NAME: 16 bytes of the private number of a key of bob's identity, hex.
scalar() { pem "$1" | openssl ec -noout -text 2>/dev/null | hex_of priv | cut -c1-32; }
prime() { pem encryption | openssl rsa -noout -text 2>/dev/null | hex_of "$1" | cut -c1-32; }
pem() { jq -r ".keys.$1" bob/identity.json; }
# hex_of FIELD: the bytes below "FIELD:", without leading zeros.
hex_of() { awk -v field="$1:" '$0 == field { on = 1; next } /^[^ ]/ { on = 0 } on' | tr -d ' :\n' | sed 's/^\(00\)*//'; }

# numbers: NAME and a Perl pattern for each: the first bytes as in files, and as OpenSSL's numbers have them in memory.
numbers() {
  local name hex
  for name in device signing prekey prime1 prime2 privateExponent; do
    case $name in device | signing | prekey) hex=$(scalar $name) ;; *) hex=$(prime $name) ;; esac
    [ ${#hex} -eq 32 ] || { echo "no $name" >&2; return 1; }
    printf '%s %s\n' "$name" "$(sed 's/../\\x&/g' <<<"$hex")"
    printf '%s-reversed %s\n' "$name" "$(fold -w 2 <<<"$hex" | tac | tr -d '\n' | sed 's/../\\x&/g')"
  done
  # The base64 of some of its bytes: the second line of text of an EC key, the seventh of an RSA key.
  for name in device signing prekey encryption; do
    printf '%s-text \\Q%s\\E\n' $name "$(pem $name | sed -n "$([ $name = encryption ] && echo 8 || echo 3)s/\(.\{20\}\).*/\1/p")"
  done
}
# found CORE: the names of those in it.
found() {
  local name pattern
  while read -r name pattern; do
    if LC_ALL=C grep -qaP "$pattern" "$1"; then echo "$name"; fi
  done <patterns
}

# dump WHERE COMMAND...: runs it under gdb up to WHERE, a gdb command, and writes "core".
dump() {
  local where=$1
  shift
  rm -f core
  as bob gdb -nx -batch -ex 'set use-coredump-filter off' -ex 'set dump-excluded-mappings on' -ex 'set debuginfod enabled off' \
    -ex 'set breakpoint pending on' -ex "$where" -ex run -ex 'gcore core' -ex kill --args "$@" >gdb.log 2>&1 </dev/null || true
  [ -s core ] || { cat gdb.log; return 1; }
}

# none_left COMMAND...: at its end; counts in `tried`.
none_left() {
  dump 'catch syscall exit_group' "$BIN/$1" "${@:2}"
  found core >left
  [ ! -s left ] || { echo "$*: in memory at the end:"; cat left; return 1; }
  tried=$((tried + $(wc -l <patterns)))
}

@test "no private number is in the memory of a tool that ends" {
  local format tried=0
  numbers >patterns
  for format in pair pair-ec; do
    echo "a message" | as alice imsg-seal -q -E $format -R bob.jsonl >line
    jq -c '.time = "2020-01-01T00:00:00Z"' line >bad
    dump 'break imsg_open_envelope' "$BIN/imsg-open" -R alice.jsonl line
    found core >in-use
    echo "# $format, in use: $(paste -sd ' ' in-use)" >&3
    grep -qE '^device(-reversed)?$' in-use && grep -qE '^(prime1|privateExponent)(-reversed)?$' in-use
    none_left imsg-open -R alice.jsonl line
    none_left imsg-open -R alice.jsonl bad
  done
  none_left imsg-keygen -y
  none_left imsg-seal -R alice.jsonl line
  none_left imsg-seal -s -R alice.jsonl line
  none_left imsg-inspect bob/identity.json
  cp bob/identity.json before.json
  none_left imsg-keygen --rotate
  cp before.json bob/identity.json
  none_left imsg-register bob.jsonl
  quality 'A form of a private number looked for in the memory of a tool that ends: not there' $tried
}
