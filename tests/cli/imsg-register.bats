#!/usr/bin/env bats
# What becomes of an entry, also when two write it at once. One that is killed in the middle: faults.bats.
load common

# alice is registered with one device; phone and tablet are records of hers on other machines, not registered.
setup_file() {
  setup_common
  new_user alice
  as phone imsg-keygen -n phone alice@example.com >phone.jsonl
  as tablet imsg-keygen -n tablet alice@example.com +15551234567 >tablet.jsonl
  as bob imsg-keygen -n bob bob@example.com >bob.jsonl
  keep_base
}

setup() {
  setup_base
  S=$T/.local/share/imsg
  D=$S/directory
  ALICE=$D/$(imsg-lookup --path alice@example.com)
}
teardown() {
  [ -z "${one:-}" ] || kill "$one" "${two:-$one}" 2>/dev/null || true
  teardown_common
}

entry() { jq '.payload | split("-") | join("+") | split("_") | join("/") | @base64d | fromjson' "${1:-$ALICE}"; }
# names [HANDLE]: the devices that a stranger is shown.
names() { IMSG_HOME=$T/stranger imsg-lookup -q "${1:-alice@example.com}" | jq -r .name | sort | tr '\n' ' '; }
seq_is() { [ "$(entry "${2:-}" | jq .seq)" -eq "$1" ]; }
bad_prekey() { # a character in the signature of the prekey
  local prekey
  prekey=$(jq -r .prekey "$1")
  jq -c --arg p "${prekey:0:80}$(tr 'A-Za-z' 'B-ZAb-za' <<<"${prekey:80:1}" | tr '0-9+/' '1-90AB')${prekey:81}" '.prekey = $p' "$1"
}

@test "the first registration makes the account key, with a note to keep a copy, and pins it" {
  expect 0 as bob imsg-register bob.jsonl
  no_out
  err_has "made account key $(as bob imsg-keygen -F -j | jq -r .account) in \"$T/bob/account.pem\""
  err_has "keep a copy"
  err_has "imsg-register: registered 1 device for mailto:bob@example.com (seq 1)"
  err_has "imsg-keygen --account $(as bob imsg-keygen -F -j | jq -r .account) "
  [ "$(wc -l <err)" -eq 3 ]
  [ "$(stat -c %a bob/account.pem)" = 600 ]
  openssl pkey -in bob/account.pem -noout -text | grep -q 'NIST CURVE: P-256'
  [ "$(as bob imsg-lookup --pins | jq -r '[.handle, .account, .seq] | join(" ")')" = \
    "mailto:bob@example.com $(as bob imsg-keygen -F -j | jq -r .account) 1" ]
}

@test "the entry is as the format says" {
  [ "$(jq -c keys "$ALICE")" = '["payload","protected","signature"]' ]
  [ "$(entry | jq -c 'keys_unsorted')" = '["imsg","handle","seq","prev","updated","devices"]' ]
  [ "$(entry | jq -c '[.imsg, .handle, .seq, .prev]')" = '["entry/1","mailto:alice@example.com",1,null]' ]
  [ "$(entry | jq -cS '.devices[0] | del(.proofs)')" = "$(as alice imsg-keygen -y | jq -cS 'del(.proofs)')" ]
  [ "$(entry | jq -r '.devices[0].account')" = "$(account_of alice)" ]
  jq -r .protected "$ALICE" | tr -- -_ +/ | base64 -di >header || true # without padding
  [ "$(jq -c '[.alg, .jwk.kty, .jwk.crv, (keys | length), (.jwk | keys | length)]' header)" = '["ES256","EC","P-256",2,4]' ]
}

@test "a second device is merged, and the chain of payloads goes on" {
  prev=$(entry | jq -cj . | sha256sum | cut -d' ' -f1)
  expect 0 as alice imsg-register phone.jsonl
  err_has "registered 2 devices for mailto:alice@example.com (seq 2)"
  [ "$(names)" = "alice phone " ]
  [ "$(entry | jq -r .prev)" = "$prev" ]
}

@test "a device of another machine is registered over a pipe" {
  as watch imsg-keygen -n watch alice@example.com | expect 0 as alice imsg-register
  [ "$(names)" = "alice watch " ]
}

@test "several files, and - for standard input, are one registration" {
  expect 0 as alice imsg-register phone.jsonl - <tablet.jsonl
  [ "$(names)" = "alice phone tablet " ]
  seq_is 2
  [ "$(names +15551234567)" = "tablet " ]
}

@test "each handle of a record has its entry" {
  expect 0 as alice imsg-register tablet.jsonl
  err_has "registered 2 devices for mailto:alice@example.com (seq 2)"
  err_has "registered 1 device for tel:+15551234567 (seq 1)"
}

@test "a record replaces the one with its token, also under another name" {
  as alice imsg-keygen -q --rotate | jq -c '.name = "new"' >new.jsonl
  expect 0 as alice imsg-register new.jsonl
  [ "$(names)" = "new " ]
  [ "$(entry | jq -cS '.devices[0]')" = "$(jq -cS . new.jsonl)" ]
  seq_is 2
}

@test "a record that changes nothing makes no new seq" {
  cp "$ALICE" before
  as alice imsg-keygen -y | expect 0 as alice imsg-register
  cmp before "$ALICE"
  err_has "mailto:alice@example.com is as it was (seq 1)"
  as alice imsg-keygen -y | jq -S . | jq -c . | expect 0 as alice imsg-register # nor does the order of members
  cmp before "$ALICE"
}

@test "members of a record that nobody knows yet are kept" {
  jq -c '.colour = {"later": [1, null]}' phone.jsonl >later.jsonl
  expect 0 as alice imsg-register later.jsonl
  [ "$(IMSG_HOME=x imsg-lookup -q alice@example.com | jq -c 'select(.name == "phone") | .colour')" = '{"later":[1,null]}' ]
}

@test "--remove takes a name, a token, and a unique start of either" {
  expect 0 as alice imsg-register -q phone.jsonl tablet.jsonl
  token=$(jq -r .token phone.jsonl)
  cp -r . ../"${T##*/}.copy" && mv ../"${T##*/}.copy" copy
  for device in phone ph "$token" "${token:0:40}"; do
    expect 0 as alice imsg-register --remove "$device" </dev/null
    no_out
    err_has "registered 2 devices for mailto:alice@example.com (seq 3)"
    [ "$(entry | jq -r '.devices[].name' | sort | tr '\n' ' ')" = "alice tablet " ]
    rm -rf alice .local
    cp -r copy/alice copy/.local .
  done
}

@test "--remove takes the device out of every handle's entry" {
  as alice imsg-register -q tablet.jsonl
  expect 0 as alice imsg-register --remove tablet
  [ "$(names)" = "alice " ]
  expect 67 as stranger imsg-lookup +15551234567
}

@test "--remove repeats, and adds what a file holds in the same step" {
  as alice imsg-register -q phone.jsonl
  expect 0 as alice imsg-register --remove alice --remove phone tablet.jsonl
  [ "$(names)" = "tablet " ]
  seq_is 3
}

@test "--remove reads no standard input" {
  expect 0 timeout 300 env IMSG_HOME="$T/alice" imsg-register --remove alice < <(sleep 600 & echo $! >pid; wait)
  kill "$(cat pid)"
}

@test "an ambiguous start is 64, an unknown device 1, and nothing changes" {
  jq -c '.name = "phones"' tablet.jsonl | as alice imsg-register -q phone.jsonl -
  cp "$ALICE" before
  expect 64 as alice imsg-register --remove phon
  errors_are 1
  err_has '"phon" names 2 devices'
  expect 1 as alice imsg-register --remove telefax
  errors_are 1
  err_has '"telefax"'
  expect 64 as alice imsg-register --remove ''
  cmp before "$ALICE"
  expect 0 as alice imsg-register --remove phone # the whole name goes before a start
  [ "$(names)" = "alice phones " ]
}

@test "two devices of one name are told apart by token only" {
  jq -c '.name = "phone"' tablet.jsonl | as alice imsg-register -q phone.jsonl -
  expect 64 as alice imsg-register --remove phone
  expect 0 as alice imsg-register --remove "$(jq -r .token tablet.jsonl)"
  [ "$(entry | jq -r '.devices[].token' | sort)" = "$(jq -r .token phone.jsonl <(as alice imsg-keygen -y) | sort)" ]
}

@test "--remove without an account key is 66" {
  expect 66 as bob imsg-register --remove phone
  errors_are 1
}

@test "an entry by another account key is refused, with a hint, and stays" {
  cp "$ALICE" before
  expect 1 as phone imsg-register phone.jsonl # one with no account key makes none for nothing
  err_has "$(as alice imsg-keygen -F -j | jq -r .account)"
  err_has "imsg-register: hint: "
  err_has "imsg-keygen -y | ssh"
  [ ! -e phone/account.pem ]
  expect 0 as bob imsg-register -q bob.jsonl
  expect 1 as bob imsg-register phone.jsonl # one with another key, for another's handle
  err_has "imsg-keygen -y | ssh"
  as tablet imsg-register -q bob.jsonl 2>/dev/null || true
  as tablet imsg-register -q -d elsewhere tablet.jsonl # and for one's own
  rm tablet/pins.json
  expect 1 as tablet imsg-register tablet.jsonl
  err_has "imsg-keygen -y | ssh"
  cmp before "$ALICE"
}

@test "a record that names an account key makes no other one, where there is no entry yet" {
  local account
  account=$(account_of alice)
  as watch imsg-keygen -q -n watch --account "$account" erin@example.com >watch.jsonl
  expect 1 as watch imsg-register watch.jsonl
  err_has "mailto:erin@example.com has no entry yet, and its record names account key $account, which is not here"
  err_has "imsg-keygen -y | ssh"
  [ ! -e watch/account.pem ]
  expect 0 as alice imsg-register watch.jsonl
  expect 1 as watch imsg-register watch.jsonl
  err_has "mailto:erin@example.com is registered by account key $account, which is not here"
  expect 0 as bob imsg-register -q bob.jsonl
  expect 1 as bob imsg-register --leave erin@example.com # there is no record to give to anybody
  err_has "is registered by account key $account, which is not here"
  without grep -q ssh err
}

# ---- a directory that goes back ----

@test "the owner heals a directory that went back: seq and prev go on, and contacts follow" {
  cp "$ALICE" old
  as alice imsg-register -q phone.jsonl tablet.jsonl
  as carol imsg-lookup -q alice@example.com >was
  prev=$(entry | jq -cj . | sha256sum | cut -d' ' -f1)
  cp old "$ALICE"
  expect 1 as carol imsg-lookup alice@example.com
  as alice imsg-keygen -y | expect 0 as alice imsg-register
  err_has "mailto:alice@example.com: the directory had gone back behind seq 2, which the new entry follows"
  err_has "registered 3 devices for mailto:alice@example.com (seq 3)"
  [ "$(entry | jq -r .prev)" = "$prev" ]
  [ "$(names)" = "alice phone tablet " ]
  expect 0 as carol imsg-lookup alice@example.com
  [ "$(wc -l <out)" -eq 3 ]
  as alice imsg-keygen -y | expect 0 as alice imsg-register # and once only
  err_has "is as it was (seq 3)"
}

@test "a removed device does not come back with an older entry, which names it as left out" {
  as alice imsg-register -q phone.jsonl
  cp "$ALICE" old
  as alice imsg-register -q --remove phone
  cp old "$ALICE"
  expect 0 as alice imsg-register tablet.jsonl
  err_has "device \"phone\" ($(jq -r '.token[:8]' phone.jsonl)…) is left out"
  [ "$(names)" = "alice tablet " ]
  seq_is 4
}

@test "removing a device heals, too, and so does a directory that lost the entry" {
  as alice imsg-register -q phone.jsonl tablet.jsonl
  as carol imsg-lookup -q alice@example.com >was
  rm "$ALICE"
  expect 1 as carol imsg-lookup alice@example.com
  expect 0 as alice imsg-register --remove phone
  err_has "had gone back"
  [ "$(names)" = "alice tablet " ]
  seq_is 3
  expect 0 as carol imsg-lookup alice@example.com
  as alice imsg-keygen -y | expect 0 as alice imsg-register -d new/directory
  [ "$(entry "new/directory/$(imsg-lookup --path alice@example.com)" | jq -c '[.seq, (.devices | length)]')" = '[4,2]' ]
}

@test "what is kept heals even where the pins are lost" {
  as alice imsg-register -q phone.jsonl
  rm -r "$D/imsg" alice/pins.json
  as alice imsg-keygen -y | expect 0 as alice imsg-register
  [ "$(names)" = "alice phone " ]
  seq_is 3
}

@test "an entry that another home of the same account signed is kept when it is seen, and its devices are named" {
  mkdir -m 700 second
  cp alice/account.pem second
  expect 0 as second imsg-register phone.jsonl
  err_has "device \"alice\" ($(entry | jq -r '.devices[] | select(.name == "alice").token[:8]')…) is in the entry, but was not registered from here"
  cp "$ALICE" newer
  as alice imsg-lookup -q alice@example.com >seen
  rm "$ALICE"
  expect 0 as alice imsg-register tablet.jsonl
  err_has "device \"phone\" ($(jq -r '.token[:8]' phone.jsonl)…) is in the entry, but was not registered from here"
  [ "$(names)" = "alice phone tablet " ]
  seq_is 3
  expect 0 as alice imsg-register --remove tablet # named once
  without grep -q 'not registered from here' err
}

@test "without the newest entry nothing is healed from an older one: only the records given are registered" {
  cp "$ALICE" old
  as alice imsg-register -q phone.jsonl
  cp old "$ALICE"
  rm -r alice/entries
  expect 1 as alice imsg-register --remove phone
  err_has "newest entry is not kept here"
  cmp old "$ALICE"
  expect 0 as alice imsg-register tablet.jsonl
  err_has 'device "alice"'
  err_has 'is left out'
  [ "$(names)" = "tablet " ]
  seq_is 3
}

@test "a kept entry that is damaged is 78, and nothing is written" {
  cp "$ALICE" before
  for kept in alice/entries/*; do
    cp "$kept" good
    echo garbage >"$kept"
    expect 78 as alice imsg-register phone.jsonl
    err_has "$kept"
    cp good "$kept"
  done
  cmp before "$ALICE"
}

@test "a handle pinned to a lost account key is refused, until its pin is dropped" {
  rm -r alice/account.pem "$ALICE"
  as alice imsg-keygen -y >record
  expect 1 as alice imsg-register record
  err_has "pinned to another account key"
  err_has "imsg-lookup --forget alice@example.com"
  expect 0 as alice imsg-lookup --forget alice@example.com
  expect 0 as alice imsg-register record
  seq_is 1
}

# ---- leaving ----

@test "the record of this device names its account key from the first registration on, and proves it" {
  expect 0 as bob imsg-register bob.jsonl # made before there was a key
  [ "$(as stranger imsg-lookup -q bob@example.com | jq -r .account)" = "$(account_of bob)" ]
  expect 0 as bob imsg-register bob.jsonl # and is the same once more
  err_has "is as it was (seq 1)"
  expect 0 as alice imsg-register phone.jsonl # of another device: only that one can say it
  [ "$(entry | jq -c '[.devices[] | select(.name == "phone").account]')" = '[null]' ]
}

@test "--leave signs an entry without devices" {
  as alice imsg-register -q phone.jsonl
  as carol imsg-lookup -q alice@example.com >was
  expect 0 as alice imsg-register --leave alice@example.com </dev/null
  no_out
  err_has "registered 0 devices for mailto:alice@example.com (seq 3)"
  expect 67 as carol imsg-lookup alice@example.com
  expect 0 as alice imsg-register --leave alice@example.com
  err_has "is as it was (seq 3)"
  as alice imsg-keygen -y | expect 0 as alice imsg-register
  [ "$(names)" = "alice " ]
}

@test "--leave is for one's own handles, and takes neither records nor --remove" {
  expect 66 as bob imsg-register --leave alice@example.com
  expect 0 as bob imsg-register -q bob.jsonl
  expect 1 as bob imsg-register --leave alice@example.com
  expect 1 as bob imsg-register --leave nobody@example.com
  errors_are 1
  err_has "mailto:nobody@example.com has no"
  expect 64 as alice imsg-register --leave alice
  expect 64 as alice imsg-register --leave alice@example.com phone.jsonl
  expect 64 as alice imsg-register --leave alice@example.com --remove alice
  seq_is 1
}

# ---- relays ----

@test "a record that names no relay gets the configured one, unless that is a folder" {
  expect 0 as alice env IMSG_RELAY=https://relay.example imsg-register phone.jsonl
  as watch imsg-keygen -q -n watch --relay https://other.example alice@example.com |
    expect 0 as alice imsg-register --relay https://relay.example
  [ "$(as stranger imsg-lookup -q alice@example.com | jq -r '"\(.name) \(.relay)"' | sort)" = \
    "$(printf '%s\n' 'alice null' 'phone https://relay.example' 'watch https://other.example')" ]
  expect 0 as alice env IMSG_RELAY=https://relay.example imsg-register phone.jsonl
  err_has "is as it was (seq 3)"
}

@test "a bad line does not lose the good ones, and is named by its number" {
  { cat phone.jsonl; echo '{"imsg":"device/1"'; cat tablet.jsonl; } >three
  expect 65 as alice imsg-register three
  errors_are 1
  err_has 'error: "three": line 2: '
  [ "$(names)" = "alice phone tablet " ]
}

@test "a record whose token is not that of its key, or that is for no handle, is 65" {
  for filter in '.token |= (if startswith("00") then "01" else "00" end) + .[2:]' '.handles = []' '.handles = ["mailto:Alice@example.com"]' 'del(.identity, .device_key, .prekey)' \
    'del(.prekey)' '.imsg = "device/2"' '.relay = "http://relay.example"' '.device_key = "AAAA"'; do
    jq -c "$filter" phone.jsonl | expect 65 as alice imsg-register
  done
  seq_is 1
}

@test "a prekey whose signature is bad is refused, and escaped where it is named" {
  jq -c '.name = "evil\u001b[31m\u202e"' phone.jsonl >named
  bad_prekey named >bad
  cat bad tablet.jsonl | expect 1 as alice imsg-register
  errors_are 1
  err_has 'evil\x1b[31m\u{202e}'
  without grep -q "$(printf '\033')" err
  [ "$(names)" = "alice tablet " ]
}

@test "not one line is 66, and so is a file that is not there, while the others go on" {
  expect 66 as alice imsg-register </dev/null
  errors_are 1
  [ -n "${VALGRIND:-}" ] || expect 66 as alice imsg-register <&- # valgrind puts a file of its own there
  : >empty
  expect 66 as alice imsg-register empty
  expect 66 as alice imsg-register missing phone.jsonl .
  errors_are 2
  [ "$(names)" = "alice phone " ]
}

@test "standard input is given once" {
  expect 64 as alice imsg-register - - <phone.jsonl
  expect 64 as alice imsg-register --account - <phone.jsonl
  seq_is 1
  expect 0 as alice imsg-register --account - phone.jsonl <alice/account.pem
  seq_is 2
}

@test "each device's mailbox is made in a folder relay, before its entry" {
  expect 0 as alice imsg-register -q phone.jsonl
  [ -d "$S/relay/$(jq -r .token phone.jsonl)/new" ]
  expect 0 as alice imsg-register -q --relay there tablet.jsonl
  [ -d "there/$(jq -r .token tablet.jsonl)/new" ]
  [ ! -e "$S/relay/$(jq -r .token tablet.jsonl)" ]
}

@test "a device with a relay of its own, or a relay that is no folder, needs no mailbox here" {
  as watch imsg-keygen -q --relay https://relay.example alice@example.com | expect 0 as alice imsg-register
  expect 0 as alice env IMSG_RELAY=https://relay.example imsg-register phone.jsonl
  [ "$(find "$S/relay" -mindepth 1 -maxdepth 1 | wc -l)" -eq 1 ]
}

@test "a configured folder that is not there is made, with parents, but not to remove from it" {
  expect 75 as alice imsg-register -d new/dir --remove alice
  [ ! -e new ]
  rm -r alice/pins.json alice/entries
  expect 0 as alice imsg-register -d new/dir phone.jsonl
  [ "$(IMSG_HOME=x imsg-lookup -q -d new/dir alice@example.com | jq -r .name)" = phone ]
}

@test "--account names the key, for one's own entries too, and makes it where it is not" {
  expect 0 as bob imsg-register -q --account work.pem bob.jsonl
  [ "$(stat -c %a work.pem)" = 600 ]
  [ ! -e bob/account.pem ]
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out bob/account.pem 2>/dev/null
  chmod 600 bob/account.pem # not the one to go by
  jq -c '.name = "renamed"' bob.jsonl >new
  expect 0 as bob imsg-register --account work.pem new
  [ "$(names bob@example.com)" = "renamed " ]
  expect 1 as bob imsg-register --account alice/account.pem bob.jsonl
}

@test "an account key that cannot be used is neither replaced nor passed over" {
  cp "$ALICE" before
  for content in '' garbage "$(openssl genpkey -algorithm ed25519 2>/dev/null)"; do
    printf %s "$content" >alice/account.pem
    expect 65 as alice imsg-register phone.jsonl
    [ "$(cat alice/account.pem)" = "$content" ]
  done
  rm alice/account.pem
  ln -s nowhere/key alice/account.pem
  rm "$ALICE" alice/pins.json
  expect 73 as alice imsg-register phone.jsonl
  [ -L alice/account.pem ]
  [ ! -e nowhere ]
}

@test "an encrypted account key signs with its passphrase, and is 77 with another" {
  echo secret >pass
  echo wrong >other
  openssl pkcs8 -topk8 -scrypt -scrypt_N 1024 -in alice/account.pem -passout file:pass -out locked
  cat locked >alice/account.pem
  expect 77 as alice imsg-register --passphrase-file other phone.jsonl
  seq_is 1
  expect 0 as alice imsg-register --passphrase-file pass phone.jsonl
  expect 0 as alice imsg-lookup alice@example.com # its passphrase is not asked for that
}

@test "--expires takes days and signs again even where nothing else changed" {
  for days in 0 -1 1.5 x '' 36501; do
    as alice imsg-keygen -y | expect 64 as alice imsg-register --expires "$days"
  done
  as alice imsg-keygen -y | expect 0 as alice imsg-register --expires 7
  seq_is 2
}

# ---- at once ----

@test "a directory whose lock somebody keeps is 75 after half a minute, and says so" {
  local lock=.local/share/imsg/directory/imsg/v1/lock holder
  hold $lock
  holder=$!
  as alice imsg-keygen -y >record
  CLOCK_SPEED=100 expect 75 with_clock env IMSG_HOME="$T/alice" imsg-register --expires 7 record
  errors_are 1
  err_has '/lock" has been locked for 30 seconds'
  let_go $holder
  expect 0 as alice imsg-register --expires 7 record
}

@test "who may only read a directory cannot take its lock" {
  [ "$(id -u)" -eq 0 ] || skip 'needs root'
  chmod 755 "$T" .local .local/share
  expect 66 setpriv --reuid 65534 --clear-groups flock -n .local/share/imsg/directory/imsg/v1/lock true
}

# Until process $1 waits for a lock.
until_it_waits() {
  until grep -q -- "-> FLOCK .* $1 " /proc/locks; do
    kill -0 "$1" || { echo 'it does not wait'; return 1; }
  done
}
# hold FILE: its lock, until let_go. /proc/locks tells who waits only while the process that took the lock is alive.
hold() {
  mkfifo held
  flock "$1" cat held 3>&- &
  exec 9>held # opened by cat, which runs once the lock is taken
}
let_go() { # PID of the holder
  exec 9>&-
  wait "$1"
  rm held
}
# Two runs that have both read the entry and then wait for the pins, held here.
both_waiting() {
  local holder
  hold "$1/pins.json.lock"
  holder=$!
  IMSG_HOME=$T/$1 imsg-register -q "$2" 9>&- 2>err1 & one=$!
  IMSG_HOME=$T/$1 imsg-register -q "$3" 9>&- 2>err2 & two=$!
  until_it_waits $one
  until_it_waits $two
  let_go $holder
  wait $one || { cat err1; return 1; }
  wait $two || { cat err2; return 1; }
}

@test "two registrations that have read the same entry both land" {
  [ -r /proc/locks ] || skip "no /proc/locks"
  both_waiting alice phone.jsonl tablet.jsonl
  [ "$(names)" = "alice phone tablet " ]
  seq_is 3
  [ "$(as alice imsg-lookup --pins | jq 'select(.handle == "mailto:alice@example.com").seq')" -eq 3 ]
}

@test "two first registrations at once make one account key and both land" {
  [ -r /proc/locks ] || skip "no /proc/locks"
  mkdir -m 700 new
  rm -r "$D"
  both_waiting new phone.jsonl tablet.jsonl
  [ "$(names)" = "phone tablet " ]
  expect 0 as new imsg-register -q bob.jsonl
}

# overtaken HOME: phone's registration has read the entry and is stopped there until tablet's is done.
overtaken() {
  local holder
  hold "$1/pins.json.lock"
  holder=$!
  IMSG_HOME=$T/$1 imsg-register -q phone.jsonl 9>&- 2>err1 & one=$!
  until_it_waits $one
  kill -STOP $one
  until grep -q '^State:.T' "/proc/$one/status"; do kill -0 $one; done
  let_go $holder
  expect 0 as "$1" imsg-register -q tablet.jsonl
  kill -CONT $one
  wait $one || { cat err1; return 1; }
}

@test "a registration that another overtook builds on the newer entry" {
  [ -r /proc/locks ] || skip "no /proc/locks"
  overtaken alice
  [ "$(names)" = "alice phone tablet " ]
  seq_is 3
  [ "$(as alice imsg-lookup --pins | jq 'select(.handle == "mailto:alice@example.com").seq')" -eq 3 ]
}

@test "a first registration that another overtook is the second" {
  [ -r /proc/locks ] || skip "no /proc/locks"
  mkdir -m 700 new
  rm -r "$D"
  overtaken new
  [ "$(names)" = "phone tablet " ]
  seq_is 2
}

@test "many registrations at once all land" {
  for i in 1 2 3 4; do
    jq -c --arg n "r$i" '.name = $n' phone.jsonl | as alice imsg-register -q 2>"err$i" &
    pids[i]=$!
  done
  as alice imsg-register -q tablet.jsonl
  for i in 1 2 3 4; do wait "${pids[i]}" || { cat "err$i"; false; }; done
  [[ "$(names)" == "alice r"[1-4]" tablet " ]]
  seq_is 6
}

@test "a record whose proofs fail, or that names another account key, is refused" {
  as mallory imsg-keygen -q bob@example.com >bob.jsonl
  jq -c 'del(.proofs), (.handles = ["mailto:alice@example.com"]), (.proofs[0] |= "A" + .[1:]), (.account = "A" * 43)' \
    bob.jsonl >bad
  cp "$ALICE" before
  expect 1 as alice imsg-register bad
  errors_are 4
  as mallory imsg-keygen -q -o named.json --account "$(printf %043d 0 | tr 0 A)" alice@example.com >named
  expect 1 as alice imsg-register named
  err_has "it belongs to account key AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA, not to "
  cmp before "$ALICE"
}
