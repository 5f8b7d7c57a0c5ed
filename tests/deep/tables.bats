#!/usr/bin/env bats
# Tables of hostile key files, URIs, addresses and names.
bats_require_minimum_version 1.5.0
load ../cli/common

setup_file() {
  setup_common
  new_user alice
  new_user bob
  echo content >f
  imsg-attach put f >f.d
  as alice imsg-keygen -y >alice.jsonl
  as bob imsg-keygen -y >bob.jsonl
  echo hello | as alice imsg-seal -q -R bob.jsonl >line
  keep_base
}
setup() {
  in_memory
  setup_base
}
teardown() { teardown_common; }

one_error() { no_out && errors_are 1; }

# ---- key files ----

@test "key files that are none are refused, with one error line and nothing of a key" {
  local good=$T/bob/identity.json count=0 file status tool
  mkdir keys
  cd keys
  : >empty
  printf '\n' >newline
  printf '\0\0\0\0' >zeros
  head -c 2000 "$good" >cut-short
  { cat "$good" && echo x; } >trailing
  { cat "$good" "$good"; } >twice
  jq -r .keys.device "$good" >pem-alone
  jq -c '.keys' "$good" >keys-alone
  jq -c '[.]' "$good" >in-an-array
  jq -c '.imsg = "device/1"' "$good" >another-document
  jq -c '.keys.device = .keys.signing' "$good" >another-device-key
  jq -c '.keys.encryption = .keys.signing' "$good" >ec-for-rsa
  jq -c '.keys.device |= sub("PRIVATE"; "PUBLIC"; "g")' "$good" >public
  jq -c '.keys.prekey |= .[0:100]' "$good" >pem-cut
  jq -c '.keys.device |= .[0:40] + "*" + .[41:]' "$good" >pem-no-base64
  jq -c '.keys.device = .keys.prekey' "$good" >prekey-as-device-key
  jq -c '.token = ("0" * 64)' "$good" >another-token
  jq -c '.prekey_record |= "AAAA" + .[4:]' "$good" >bad-prekey-record
  jq -c '.handles = ["mailto:BOB@example.com"]' "$good" >bad-handle
  jq -c '.x = [[[[[[[[[1]]]]]]]]]' "$good" >deep
  sed 's/"token"/"token":"","token"/' "$good" >member-twice
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem 2>/dev/null
  jq -c --rawfile pem rsa.pem '.keys.encryption = $pem' "$good" >rsa-2048
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.pem 2>/dev/null
  jq -c --rawfile pem p384.pem '.keys.device = $pem' "$good" >p384
  openssl genpkey -algorithm ED25519 -out ed25519.pem 2>/dev/null
  jq -c --rawfile pem ed25519.pem '.keys.signing = $pem' "$good" >ed25519
  head -c 1048577 /dev/zero | tr '\0' ' ' >long
  head -c 5000 /dev/urandom >random
  rm ./*.pem
  chmod 600 ./*
  jq -r '.keys[]' "$good" | grep -v -- ----- | grep '.\{20\}' >secrets.list
  for file in [a-z]*; do
    [ "$file" != secrets.list ] || continue
    for tool in 'imsg-keygen -y' 'imsg-open -R ../alice.jsonl ../line'; do
      status=0
      # shellcheck disable=SC2086 # a command and its options
      as bob $tool -i $file >"$T/out" 2>"$T/err" || status=$?
      case $status in 1 | 65 | 66 | 77) ;; *) echo "$tool, $file: status $status"; cat "$T/err"; return 1 ;; esac
      one_error || { echo "$tool, $file"; return 1; }
      if grep -qFf secrets.list "$T/err"; then echo "$tool, $file: shows a key"; return 1; fi
    done
    count=$((count + 1))
  done
  [ $count -ge 20 ]
  quality 'A key file that is none: refused, one error, nothing of a key shown' $count
}

# ---- descriptors ----

# gets_nothing TABLE: each line is a uri; a descriptor with it is refused, and no connection is tried.
gets_nothing() {
  local uri status
  mkdir got
  while IFS= read -r uri; do
    jq -c --arg uri "$uri" '.uri = (.sha256 as $sha | $uri | gsub("SHA"; $sha))' f.d >d
    status=0
    timeout 60 strace -f -qq -o trace -e trace=connect,sendto imsg-attach get -o got --retry-for 0 d >out 2>err || status=$?
    case $status in 1 | 65) ;; *) echo "$uri: status $status"; cat err; return 1 ;; esac
    one_error || { echo "$uri"; return 1; }
    if grep -E 'AF_INET6?\b' trace; then echo "$uri: it connected"; return 1; fi
    [ -z "$(find got -mindepth 1)" ] || { echo "$uri: something is left"; return 1; }
  done <"$1"
}

@test "URIs that are no object of a store are refused, and nothing is asked" {
  can_strace
  cat >uris <<'END'
file:///etc/passwd
file:/etc/passwd
/etc/passwd
./f
../f
f
//store.example/store/SHA
http://store.example/store/SHA
http://127.0.0.1/store/SHA
ftp://store.example/store/SHA
gopher://store.example/store/SHA
dict://store.example/SHA
data:text/plain,x
javascript:x
s3://bucket/SHA
imsg-store:
imsg-store:../SHA
imsg-store:/etc/passwd
imsg-store:SHA0
imsg-store:SHA/
IMSG-STORE:SHA
https:
https://
https:///store/SHA
https:/store.example/store/SHA
https://user@store.example/store/SHA
https://user:password@store.example/store/SHA
https://store.example:0/store/SHA
https://store.example:65536/store/SHA
https://store.example:x/store/SHA
https://store.example/store/SHA?x=1
https://store.example/store/SHA#x
https://store.example /store/SHA
https://store.example\@other.example/store/SHA
https://store.example%00.other.example/store/SHA
https://-store.example/store/SHA
https://st..ore.example/store/SHA
END
  gets_nothing uris
  [ "$(wc -l <uris)" -ge 30 ]
  quality 'A URI that is no object of a store: refused, no connection' "$(wc -l <uris)"
}

@test "addresses that are not public are refused, however they are written" {
  can_strace
  cat >uris <<'END'
https://127.0.0.1/store/SHA
https://127.0.0.1:443/store/SHA
https://127.1/store/SHA
https://127.255.255.254/store/SHA
https://2130706433/store/SHA
https://0x7f000001/store/SHA
https://0x7f.0.0.1/store/SHA
https://0177.0.0.1/store/SHA
https://017700000001/store/SHA
https://0/store/SHA
https://0.0.0.0/store/SHA
https://localhost/store/SHA
https://LOCALHOST/store/SHA
https://localhost./store/SHA
https://x.localhost/store/SHA
https://10.0.0.1/store/SHA
https://172.16.0.1/store/SHA
https://172.31.255.255/store/SHA
https://192.168.1.1/store/SHA
https://169.254.169.254/store/SHA
https://100.64.0.1/store/SHA
https://198.18.0.1/store/SHA
https://224.0.0.1/store/SHA
https://255.255.255.255/store/SHA
https://[::1]/store/SHA
https://[::]/store/SHA
https://[0:0:0:0:0:0:0:1]/store/SHA
https://[::ffff:127.0.0.1]/store/SHA
https://[::ffff:7f00:1]/store/SHA
https://[::ffff:a00:1]/store/SHA
https://[::127.0.0.1]/store/SHA
https://[64:ff9b::7f00:1]/store/SHA
https://[2002:7f00:1::]/store/SHA
https://[fe80::1]/store/SHA
https://[fe80::1%25lo]/store/SHA
https://[fc00::1]/store/SHA
https://[fd12:3456::1]/store/SHA
https://[ff02::1]/store/SHA
https://[2001:db8::1]/store/SHA
END
  gets_nothing uris
  [ "$(wc -l <uris)" -ge 25 ]
  # What is looked for is seen where the address is allowed.
  rmdir got
  head -n 1 uris >first
  IMSG_STORE=https://127.0.0.1 without gets_nothing first
  grep -q AF_INET trace
  quality 'A spelling of an address that is not public, in a URI: refused, no connection' "$(wc -l <uris)"
}

# ---- names ----

# Each with each: 10 beginnings, 10 ends; a NUL after each.
names() {
  local begin end
  for begin in '' ../ / . - $'\e[31m' $'\xe2\x80\xae' $'a\n' "$(printf '%0200d' 7)" 'C:\'; do
    for end in '' .. passwd /x $'\a\b\t\r' $'\xc2\x9b31m' $'\xff\xfe' "$(printf '%0200d' 8)" ' ' '$(id)`id`*~'; do
      printf '%s%s\0' "$begin" "$end"
    done
  done
}
# no_control FILE: no control character in it but newline.
no_control() {
  if LC_ALL=C grep -qaP '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]' "$1"; then
    cat -v "$1"
    return 1
  fi
}

@test "names of attachments stay in the folder, in plain sight, and speak to no terminal" {
  local path part
  mkdir -p deep/er/got
  { names; echo end; } | jq -Rsc --slurpfile d f.d 'split("\u0000")[:-1][] as $name | $d[0] | .name = $name' >lines
  [ "$(wc -l <lines)" -eq 100 ]
  expect 0 imsg-attach get -o deep/er/got lines
  no_control err
  jq -r .path out >paths
  no_control paths
  [ "$(sort -u paths | wc -l)" -eq 100 ]
  while IFS= read -r path; do
    [[ $path == deep/er/got/[!.-]* && ${path#deep/er/got/} != */* ]] && cmp f "$path" || { echo "$path"; return 1; }
  done <paths
  [ "$(find deep | wc -l)" -eq 103 ]
  # imsg-open names them on a terminal.
  split -l 10 lines part.
  for part in part.*; do as alice imsg-seal -q -R bob.jsonl -a "$part" f; done >attached
  as bob script -qec 'imsg-open -R alice.jsonl attached' /dev/null </dev/null >out
  [ "$(grep -c imsg-store: out)" -eq 100 ] || [ "$(wc -l <out)" -gt 100 ]
  tr -d '\r' <out >shown
  no_control shown
  quality 'A name of an attachment: the file is in the folder, not hidden, printable; notes on a terminal too' 100
}
