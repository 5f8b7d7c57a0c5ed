#!/usr/bin/env bats
# imsg-open: what comes out, what is noted, whose keys verify, and what several inputs and failures do. What is refused
# as such: refused.bats.
# shellcheck disable=SC2030,SC2031,SC2094 # every test is a subshell; that input = output is refused is tested
bats_require_minimum_version 1.5.0
load common
load vectors

# alice with her phone; bob, who has two handles; carol. hello is from alice to bob, with a copy for the phone.
setup_file() {
  setup_common
  new_user alice
  new_device phone alice alice@example.com
  as bob imsg-keygen -n bob bob@example.com +15551234567 | as bob imsg-register -q
  new_user carol
  records_of alice phone bob carol
  echo hello >plain
  as alice imsg-seal -q -r bob@example.com plain >hello
  as carol imsg-seal -q -R bob.jsonl - <<<'from carol' >greeting
  keep_base
}
setup() { setup_base; }
teardown() { teardown_common; }

open() { as bob imsg-open "$@"; }
token() { jq -r .token "$1.jsonl"; }
seal() { as alice imsg-seal -q -R bob.jsonl "$@"; }

# ---- content ----

@test "content comes out as it went in, one message after another, as cat would" {
  printf 'no newline' >one
  head -c 2000 /dev/urandom >two
  printf 'a\0b\n' >three
  : >four
  for file in one two three four; do seal $file; done >lines
  expect 0 open -R alice.jsonl lines
  cat one two three four | cmp - out
}

@test "envelopes for other devices are skipped without a word" {
  [ "$(wc -l <hello)" -eq 2 ]
  for user in bob phone; do
    expect 0 as $user imsg-open hello
    cmp plain out
    errors_are 0
  done
}

@test "blank lines and a missing last newline are nothing to speak of" {
  { echo && cat hello && echo && head -c -1 greeting; } >lines
  expect 0 open -q lines
  printf 'hello\nfrom carol\n' | cmp - out
  [ ! -s err ]
  # with CRLF too
  sed 's/$/\r/' lines >crlf
  sed 's/$/\r/' alice.jsonl >records
  printf '\r\n' >>records
  expect 0 open -q -R records -R carol.jsonl crlf
  printf 'hello\nfrom carol\n' | cmp - out
  [ ! -s err ]
}

@test "empty input is no error" {
  expect 0 open </dev/null
  no_out
  [ ! -s err ]
  : >empty
  expect 0 open -R alice.jsonl empty empty
  # not even without an identity: there was nothing to open
  IMSG_HOME=$T/nobody expect 0 imsg-open empty
  expect 0 open -o result empty
  [ -e result ] && [ ! -s result ]
}

@test "several files and stdin, in the order given" {
  expect 0 open -q hello - hello <greeting
  printf 'hello\nfrom carol\nhello\n' | cmp - out
  expect 0 open -q <greeting
  expect 64 open - - <hello
  no_out
  # what cannot be read is named, the rest is opened
  expect 66 open missing hello
  cmp plain out
  errors_are 1
  err_has '"missing"'
  mkdir folder
  expect 66 open hello folder
  cmp plain out
}

@test "a payload longer than one's own limit is opened all the same" {
  jq -c '.limit = 60000' bob.jsonl >wide.jsonl
  head -c 50000 /dev/urandom >content
  as alice imsg-seal -R wide.jsonl content >lines
  expect 0 open lines
  cmp content out
}

@test "both formats, and identities with the keys of one alone" {
  umask 077
  for format in pair pair-ec; do
    seal -E $format plain >lines
    expect 0 open lines
    cmp plain out
    restrict $format bob/identity.json >one.json
    restrict $format alice/identity.json >sender.json
    imsg-keygen -y -i one.json >one.jsonl
    imsg-keygen -y -i sender.json >sender.jsonl
    as alice imsg-seal -i sender.json -R one.jsonl plain >lines
    [ "$(jq -r .format lines)" = $format ]
    expect 0 imsg-open -i one.json -R sender.jsonl lines
    cmp plain out
  done
}

# ---- -j ----

@test "-j prints one opened/1 a message, its members in order" {
  expect 0 open -j hello greeting
  [ "$(wc -l <out)" -eq 2 ]
  jq -c . out | cmp - out
  [ "$(jq -r 'keys_unsorted | join(" ")' out | sort -u)" = \
    "imsg id from from_token sent format time header content" ]
  jq -e -s --slurpfile e hello --arg token "$(token alice)" '.[0] | .imsg == "opened/1" and .id == $e[0].id
    and .from == "mailto:alice@example.com" and .from_token == $token and .sent == false and .format == "pair-ec"
    and .time == $e[0].time and .content == "hello\n"' out
  jq -e -s '.[0] | .header == {imsg: "message/1", id, from, to: ["mailto:bob@example.com"], time,
    type: "text/plain; charset=utf-8"}' out
  jq -e -s '.[1].content == "from carol\n"' out
}

@test "-j says content where it is UTF-8, NUL bytes included, and content_base64 where it is not" {
  printf 'a\0b \342\202\254 "\\\n' >content
  seal content >lines
  expect 0 open -j lines
  [ "$(jq -j .content out | basenc --base16 -w0)" = "$(basenc --base16 -w0 <content)" ]
  jq -e 'has("content_base64") | not' out
  printf '\377\0\1' >content
  seal content >lines
  expect 0 open -j lines
  [ "$(jq -r .content_base64 out)" = /wAB ]
  [ "$(jq -r 'keys_unsorted[-1]' out)" = content_base64 ]
  seal </dev/null >lines
  expect 0 open -j lines
  [ "$(jq -c .content out)" = '""' ]
}

@test "-j keeps the whole header, members of later versions too" {
  as alice imsg-attach put plain >descriptor
  as alice imsg-seal -q -g team -r bob@example.com -r carol@example.com -a descriptor plain >lines
  expect 0 open -j lines
  jq -e --slurpfile d descriptor '.header | .attachments == $d and .group.name == "team" and
    .to == ["mailto:bob@example.com", "mailto:carol@example.com"]' out
  { jq -c '.header + {"later": [1]}' out && cat plain; } >inside
  seal --raw -E pair-ec inside | base64 -w0 >payload
  head -n1 lines | jq -c --rawfile payload payload --arg token "$(token bob)" '.payload = $payload |
    .to_token = $token | .to = "mailto:bob@example.com"' >line
  expect 0 open -j line
  [ "$(jq -c .header.later out)" = '[1]' ]
}

@test "a copy of one's own message is marked sent, and verifies with the directory or without" {
  expect 0 as phone imsg-open -j hello
  jq -e '.sent == true and .from == "mailto:alice@example.com"' out
  expect 0 as phone imsg-open hello
  err_has "imsg-open: copy of one's own, from mailto:alice@example.com, "
  expect 0 as phone imsg-open -q -R alice.jsonl hello
  # One's own record is always known: no directory, no records.
  as alice imsg-seal -q -R alice.jsonl plain >lines
  rm -r .local
  expect 0 as alice imsg-open -q lines
  : >none
  expect 0 as alice imsg-open -q -R none lines
  cmp plain out
}

# ---- notes ----

@test "the verified sender and time are noted, and not with -q" {
  expect 0 open -R alice.jsonl hello
  [ "$(cat err)" = "imsg-open: from mailto:alice@example.com, $(jq -r .time hello | head -n1)" ]
  expect 0 open -q hello
  [ ! -s err ]
}

@test "a sender seen first is pinned with a note, and -R pins nothing" {
  rm -f bob/pins.json
  expect 0 open -R alice.jsonl hello
  [ ! -e bob/pins.json ]
  expect 0 open hello
  err_has "mailto:alice@example.com: first seen, pinned to account key "
  [ -e bob/pins.json ]
  expect 0 open hello
  run ! grep -q 'first seen' err
}

@test "an envelope alone pins nobody: only one that verified with the entry does" {
  rm -f bob/pins.json
  jq -c '.payload |= .[:-8] + (if .[-8:-4] == "AAAA" then "BBBB" else "AAAA" end) + .[-4:]' hello >bad
  expect 1 open bad
  [ -z "$(as bob imsg-lookup --pins)" ]
  jq -c 'select(.to == "mailto:bob@example.com")' hello >mine
  cat bad mine >both # one good message is enough
  expect 1 open both
  err_has "mailto:alice@example.com: first seen"
  [ "$(as bob imsg-lookup --pins | jq -r .account)" = "$(account_of alice)" ]
}

@test "a first sight by a message is told again by the next look-up, unless the sender's record names its account" {
  as watch imsg-keygen -q -n watch carol@example.com | as carol imsg-register -q # it names none
  as watch imsg-seal -q -R bob.jsonl plain >lines
  rm -f bob/pins.json
  expect 0 open lines
  err_has "mailto:carol@example.com: first seen"
  [ "$(as bob imsg-lookup --pins | jq .unconfirmed)" = true ]
  expect 0 open lines
  run ! grep -q 'first seen' err
  expect 0 as bob imsg-seal -r carol@example.com plain
  err_has "mailto:carol@example.com: first seen, pinned to account key $(account_of carol)"
  [ "$(as bob imsg-lookup --pins | jq 'select(.handle == "mailto:carol@example.com").unconfirmed')" = null ]
  expect 0 as bob imsg-lookup carol@example.com
  [ ! -s err ]
  # alice's own device names it.
  expect 0 open hello
  err_has "mailto:alice@example.com: first seen"
  expect 0 as bob imsg-lookup alice@example.com
  [ ! -s err ]
}

@test "a directory that went back is refused in its own words, and --accept is no way around" {
  local entry
  entry=.local/share/imsg/directory/$(imsg-lookup --path alice@example.com)
  cp "$entry" old
  as alice imsg-register -q --remove phone
  as bob imsg-lookup -q alice@example.com >seen
  cp old "$entry"
  expect 1 open hello
  no_out
  err_has "older entry by the same account key"
  err_has "went back"
  run ! grep -q -- --accept err
}

@test "what another device sent in one's own name is marked sent only where the account key is known" {
  as tablet imsg-keygen -q -n tablet alice@example.com >tablet.jsonl
  as alice imsg-register -q tablet.jsonl
  as alice imsg-seal -q -r bob@example.com plain >lines
  expect 0 as tablet imsg-open -j lines
  [ "$(jq -c '[.from, .sent]' out)" = '["mailto:alice@example.com",false]' ]
  expect 0 as tablet imsg-open -j -R alice.jsonl lines
  [ "$(jq .sent out)" = false ]
  as tablet imsg-seal -q -R tablet.jsonl plain >note
  expect 0 as tablet imsg-open -j -R tablet.jsonl note
  [ "$(jq .sent out)" = true ] # this very device
  as tablet imsg-keygen -q -y --account "$(account_of alice)" >tablet.jsonl
  for records in '' '-R alice.jsonl'; do
    # shellcheck disable=SC2086 # two words or none
    expect 0 as tablet imsg-open -j $records lines
    [ "$(jq .sent out)" = true ]
  done
  # A record in one's own name that names another account key is somebody else's.
  as carol imsg-keygen -q -n copy -o copy.json --account "$(account_of carol)" alice@example.com >copy.jsonl
  imsg-seal -q -i copy.json -R tablet.jsonl plain >note
  expect 0 as tablet imsg-open -j -R copy.jsonl note
  [ "$(jq .sent out)" = false ]
}

@test "attachments not fetched are noted with the command that gets them, but not with -j" {
  head -c 1234 /dev/zero >photo.jpg
  as alice imsg-attach put photo.jpg >descriptor
  { cat descriptor && jq -c 'del(.name)' descriptor; } | seal -a - plain >lines
  expect 0 open lines
  cmp plain out
  err_has 'imsg-open: attachment "photo.jpg" (1234 bytes) not fetched: imsg-open -j … | imsg-attach get'
  err_has 'imsg-open: attachment "without a name" (1234 bytes) not fetched'
  expect 0 open -j lines
  run ! grep -q attachment err
  expect 0 open -q lines
  [ ! -s err ]
}

@test "groups and receipts are noted" {
  as alice imsg-seal -q -g 'the team' -r bob@example.com plain >lines
  expect 0 open lines
  err_has ', group the team'
  as bob imsg-open -q -j lines >opened
  as bob imsg-seal -q --reply opened --receipt read >receipt
  expect 0 as alice imsg-open receipt
  no_out
  err_has "imsg-open: receipt: $(jq -r .id opened) was read"
}

@test "what a sender chose reaches the terminal escaped" {
  printf x >$'e\e[31m\tvil\302\233'
  as alice imsg-attach put $'e\e[31m\tvil\302\233' | seal -a - -g $'g\e]0;x\a\n' plain >lines
  expect 0 open -R alice.jsonl lines
  LC_ALL=C run ! grep -q $'[\001-\011\013-\037\177]' err
  run ! grep -q $'\302\233' err
  [ "$(wc -l <err)" -eq 2 ]
}

# ---- senders ----

@test "--from takes those named, and refuses the others" {
  cat hello greeting >lines
  expect 1 open --from carol@example.com lines
  [ "$(cat out)" = 'from carol' ]
  errors_are 1
  expect 0 open -q --from carol@example.com --from mailto:ALICE@example.com lines
  [ "$(wc -l <out)" -eq 2 ]
  expect 64 open --from carol lines
  no_out
}

@test "records may come from several files, and from stdin" {
  cat hello greeting >lines
  rm -r .local
  expect 0 open -q -R alice.jsonl -R carol.jsonl lines
  cat alice.jsonl carol.jsonl | expect 0 open -q -R - lines
  [ "$(wc -l <out)" -eq 2 ]
  expect 64 open -R - <alice.jsonl
  expect 64 open -R - -R - lines
  expect 64 open -R alice.jsonl -d .local lines
  expect 66 open -R alice.jsonl -R missing lines
  no_out
  errors_are 1
}

@test "a sender without an account in the directory is refused, and it is not 67" {
  as dora imsg-keygen dora@example.com >dora.jsonl
  as dora imsg-seal -q -R bob.jsonl plain >lines
  expect 1 open lines
  no_out
  err_has "sender mailto:dora@example.com has no account"
  expect 0 open -q -R dora.jsonl lines
}

@test "a sender whose pinned account key changed is refused, until it is accepted" {
  expect 0 open -q hello
  mkdir other
  IMSG_DIRECTORY=other new_user mallory alice@example.com
  as mallory imsg-seal -q -R bob.jsonl plain >forged
  cp -r other/imsg .local/share/imsg/directory/
  for file in hello forged; do
    expect 1 open $file
    no_out
    errors_are 1
    err_has "--accept"
  done
  as bob imsg-lookup -q --accept "$(as mallory imsg-keygen -F -j | jq -r .account)" alice@example.com >/dev/null
  expect 0 open -q forged
  expect 1 open hello
}

@test "without the directory the status is 75, and what needs none is opened" {
  mv .local/share/imsg/directory away
  as bob imsg-seal -q -R bob.jsonl - <<<'to myself' >own
  cat hello own >lines
  expect 75 open lines
  [ "$(cat out)" = 'to myself' ]
  errors_are 1
  expect 0 open -q -d away hello
  IMSG_DIRECTORY=away expect 0 open -q hello
  mkdir server && mv away server/directory
  IMSG_SERVER=server expect 0 open -q hello
  expect 75 open -d nowhere hello
  no_out
  expect 75 open -o result lines
  [ ! -e result ]
}

@test "--raw finds the sender in the directory too" {
  seal --raw -E pair-ec plain >payload
  expect 0 open --raw -E pair-ec --from alice@example.com payload
  cmp plain out
  expect 1 open --raw -E pair-ec --from carol@example.com payload
  no_out
  expect 1 open --raw -E pair-ec --from nobody@example.com payload
  no_out
  # one's own device needs no directory, one's other devices do
  as phone imsg-seal -q --raw -E pair -R alice.jsonl plain >payload
  expect 0 as alice imsg-open --raw -E pair --from alice@example.com payload
  cmp plain out
  as bob imsg-seal -q --raw -E pair -R bob.jsonl plain >payload
  rm -r .local
  expect 0 open --raw -E pair --from bob@example.com payload
  expect 75 open -d nowhere --raw -E pair --from alice@example.com payload
}

# ---- keys ----

@test "what was sealed before a rotation opens after it, and after another" {
  seal plain >lines
  as bob imsg-keygen --rotate >/dev/null
  expect 0 open -q -R alice.jsonl lines
  cmp plain out
  as bob imsg-keygen --rotate >bob.jsonl
  seal plain >newer
  expect 0 open -q -R alice.jsonl lines newer
  cat plain plain | cmp - out
  # without the retired keys the older one is refused
  jq -c 'del(.retired)' bob/identity.json >forgot.json
  chmod 600 forgot.json
  expect 1 open -q -i forgot.json -R alice.jsonl lines newer
  cmp plain out
  err_has '"lines": line 1: refused'
}

@test "an encrypted identity opens with its passphrase, retired prekeys included" {
  echo sesame >phrase
  echo wrong >wrong
  as locked imsg-keygen -q -p --passphrase-file phrase dora@example.com >dora.jsonl
  as alice imsg-seal -R dora.jsonl plain >lines
  expect 0 as locked imsg-open -q -R alice.jsonl --passphrase-file phrase lines
  cmp plain out
  IMSG_PASSPHRASE_FILE=phrase expect 0 as locked imsg-open -q -R alice.jsonl lines
  cmp plain out
  expect 77 as locked imsg-open -R alice.jsonl --passphrase-file wrong lines
  no_out
  errors_are 1
  as locked imsg-keygen -q --rotate --passphrase-file phrase >/dev/null
  expect 0 as locked imsg-open -q -R alice.jsonl --passphrase-file phrase lines
  cmp plain out
}

@test "no passphrase is asked for before there is a message to open" {
  as locked imsg-keygen -q -p --passphrase-file /dev/stdin dora@example.com <<<sesame >dora.jsonl
  : >empty
  # setsid: without a terminal to ask on
  IMSG_HOME=$T/locked expect 0 setsid -w imsg-open -R alice.jsonl empty
  [ ! -s err ]
  as alice imsg-seal -R dora.jsonl plain >lines
  IMSG_HOME=$T/locked expect 77 setsid -w imsg-open -R alice.jsonl lines lines
  no_out
  errors_are 1
  err_has "needs a passphrase and there is no terminal to ask on"
}

@test "an identity that others can read, or that is missing, opens nothing" {
  cp bob/identity.json me.json
  chmod 644 me.json
  expect 77 open -i me.json hello
  no_out
  err_has "chmod 600 me.json"
  expect 0 open -q --allow-insecure-key -i me.json hello
  expect 66 open -i missing hello hello
  errors_are 1
  expect 0 open -q -i - hello <bob/identity.json
  expect 64 open -i - <bob/identity.json
}

# ---- outputs ----

@test "-o writes FILE when all is verified, through a link, and leaves a device a device" {
  cat hello greeting >lines
  expect 0 open -q -o result lines
  no_out
  [ "$(wc -l <result)" -eq 2 ]
  echo before >target
  ln -s target link
  expect 0 open -q -o link hello
  [ -L link ]
  cmp plain target
  expect 0 open -q -o - hello
  cmp plain out
  expect 0 open -q -o /dev/null hello
  [ -c /dev/null ]
  expect 73 open -o no/such/folder hello
}

@test "-o writes to a pipe or an open file by its name in /dev" {
  for name in /dev/stdout /dev/fd/1 /proc/self/fd/1; do
    open -q -o $name hello | cmp - plain
  done
  open -q -o /dev/stdout hello >result
  cmp plain result
  as bob imsg-open -q -o /dev/null <(cat hello)
  open -q -R <(cat alice.jsonl) /dev/stdin <hello | cmp - plain
  open -q -R /dev/fd/6 /dev/fd/5 5<hello 6<alice.jsonl | cmp - plain
}

@test "-o does not follow another user's link in a folder for everybody, whatever the kernel does" {
  [ "$(id -u)" -eq 0 ] || skip 'needs root'
  mkdir -m 1777 shared
  mkdir -m 777 plain.d
  echo before >target
  for folder in shared plain.d; do
    ln -s "$T/target" $folder/link
    chown -h 65534 $folder/link
  done
  expect 73 open -q -o shared/link hello
  err_has 'a link of another user in a folder for everybody'
  [ "$(cat target)" = before ]
  ln -s "$T/shared/link" on # a link to it is one more
  expect 73 open -q -o on hello
  ln -s "$T/target" shared/own
  expect 0 open -q -o shared/own hello
  cmp plain target
  echo before >target
  expect 0 open -q -o plain.d/link hello # where it is no rule of the kernel's either
  cmp plain target
  chown 65534 shared # whose folder it is
  echo before >target
  expect 0 open -q -o shared/link hello
  cmp plain target
  ln -s nowhere dangling
  expect 0 open -q -o dangling hello
  cmp plain nowhere
}

@test "an output that nobody else may read yet has no name, or mode 0600, and the umask's mode when it is complete" {
  for mask in 022:644 077:600 002:664; do
    (umask "${mask%:*}" && rm -f result && expect 0 open -q -o result hello && expect 0 open -q -o result hello) || return 1
    [ "$(stat -c %a result)" = "${mask#*:}" ]
  done
  can_strace
  # Killed at each call that could leave something.
  rm result
  for call in linkat rename fchmod fsync; do
    for before in yes no; do
      rm -f result
      [ $before = no ] || (umask 077 && echo before >result)
      as bob strace -qq -o /dev/null -e trace=$call -e inject=$call:signal=KILL imsg-open -q -R alice.jsonl -o result hello ||
        [ $? -eq 137 ]
      [ -z "$(find . -maxdepth 1 -name '*result*' -perm /077)" ]
    done
  done
}

@test "an output that is also an input is refused, and stays as it was" {
  cp bob/identity.json me.json
  echo secret >phrase
  ln -s hello link
  sha256sum hello alice.jsonl me.json bob/identity.json phrase >sums
  expect 64 open -o hello hello
  expect 64 open -o hello greeting hello
  expect 64 open -o link hello
  expect 64 open -o hello <hello
  expect 64 open -R alice.jsonl -o alice.jsonl hello
  expect 64 open -i me.json -o me.json hello
  expect 64 open -o bob/identity.json hello
  expect 64 open --passphrase-file phrase -o phrase hello
  sha256sum --quiet -c sums
}

@test "output that cannot be written is 74, and the rest is not tried" {
  not_under_valgrind 'it puts /dev/null in the place of what is closed'
  cat hello hello hello >lines
  IMSG_HOME=$T/bob expect 74 sh -c 'imsg-open -q lines >/dev/full'
  errors_are 1
  IMSG_HOME=$T/bob expect 74 sh -c 'imsg-open -q lines >&-'
  errors_are 1
  expect 74 open -q -o /dev/full lines
}

@test "binary content does not go to a terminal, unless -o - says so, and text does" {
  printf '\377\376 binary' >content
  seal content >lines
  export IMSG_HOME=$T/bob
  expect 64 script -qec 'imsg-open -q lines' /dev/null </dev/null
  run ! grep -q 'binary$' out
  expect 0 script -qec 'imsg-open -q -o - lines' /dev/null </dev/null
  cmp content out
  expect 0 script -qec 'imsg-open -q -j lines' /dev/null </dev/null
  expect 0 script -qec 'imsg-open -q hello' /dev/null </dev/null
  [ "$(tr -d '\r' <out)" = hello ]
}

# shown FILE: has only what a terminal prints, newline and tab.
shown() {
  iconv -f UTF-8 -t UTF-8 "$1" >"$T/utf8"
  LC_ALL=C.UTF-8 run ! grep -qaP \
    '[\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{61c}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}]' "$T/utf8"
}

@test "a message's text is escaped on a terminal, newline and tab stay, and --raw-terminal turns it off" {
  printf 'a\tb\n\033[2J\r\302\2332J\177\0\342\200\256z\303\274\\\n' >content
  printf 'a\tb\n\\x1b[2J\\x0d\\u{009b}2J\\x7f\\x00\\u{202e}z\303\274\\\n' >want
  seal content >lines
  expect 0 open -q lines
  cmp content out
  export IMSG_HOME=$T/bob
  expect 0 script -qec 'stty raw -echo; imsg-open -q lines' /dev/null </dev/null
  cmp want out
  expect 0 script -qec 'stty raw -echo; imsg-open -q -o - lines' /dev/null </dev/null
  cmp want out
  expect 0 script -qec 'stty raw -echo; imsg-open -q --raw-terminal lines' /dev/null </dev/null
  cmp content out
  as alice imsg-seal -q --raw -E pair-ec -R bob.jsonl content >payload
  expect 0 script -qec 'stty raw -echo; imsg-open -q --raw -E pair-ec -R alice.jsonl --from alice@example.com payload' \
    /dev/null </dev/null
  cmp want out
  # A name, which stands in a note.
  as alice imsg-seal -q -g "$(printf 'g\033[2J')" -r bob@example.com plain >lines
  expect 0 script -qec 'stty raw -echo; imsg-open lines' /dev/null </dev/null
  shown out
}

@test "all characters of one and two bytes, each after each, do nothing to a terminal" {
  # As characters: 128 times 128 of one byte, and those of two.
  { awk 'BEGIN { for (i = 0; i < 128; i++) for (k = 0; k < 128; k++) printf "%02x%02x", i, k
      for (i = 194; i < 224; i++) for (k = 128; k < 192; k++) printf "%02x%02x", i, k }' | xxd -r -p; echo; } >content
  as alice imsg-seal -q -s -R bob.jsonl content >sealed
  export IMSG_HOME=$T/bob
  expect 0 script -qec 'stty raw -echo; imsg-open -q -R alice.jsonl sealed' /dev/null </dev/null
  [ "$(wc -c <out)" -gt 36000 ]
  shown out
}

@test "JSON from outside is escaped on a terminal, and means the same" {
  printf 'a\302\2332J\177\342\200\256b\\n\n' >content
  seal -g $'g\302\233' content >lines
  open -q -j lines >want
  as eve imsg-keygen -n $'x\302\233\177' eve@example.com | as eve imsg-register -q
  as bob imsg-lookup -q eve@example.com >>want
  export IMSG_HOME=$T/bob
  expect 0 script -qec 'imsg-open -q -j lines; imsg-lookup -q eve@example.com' /dev/null </dev/null
  tr -d '\r' <out >shown
  LC_ALL=C.UTF-8 run ! grep -qaP '[\x00-\x09\x0b-\x1f\x7f\x{9b}\x{202e}]' shown
  jq -S . shown >got
  jq -S . want | diff got -
}

@test "messages come out one by one while the input is still open" {
  mkfifo in mid
  as bob imsg-open -q <in >mid &
  local pid=$!
  exec 7>in 8<mid
  head -n1 hello >&7
  read -r -t 20 line <&8
  [ "$line" = hello ]
  cat greeting >&7
  read -r -t 20 line <&8
  [ "$line" = 'from carol' ]
  exec 7>&-
  wait $pid
  exec 8<&-
}

# ---- use ----

@test "wrong use is 64, found before any file is touched" {
  export IMSG_HOME=$T/untouched
  expect 64 imsg-open -o a -o b hello
  err_has "imsg-open: hint: imsg-open --help lists the options"
  expect 64 imsg-open -i a -i b hello
  expect 64 imsg-open -d a -d b hello
  expect 64 imsg-open --no-such hello
  expect 64 imsg-open -Z hello
  expect 64 imsg-open -E pair hello
  expect 64 imsg-open --passphrase-file a --passphrase-fd 3 hello
  no_out
  [ ! -e untouched ]
}

@test "help and version are on stdout, and long options are the short ones" {
  expect 0 imsg-open --help
  for option in -i -d -R --from -o -E --raw --verify-first --jobs -j --passphrase-file --passphrase-fd \
    --allow-insecure-key -q -v -h -V; do
    grep -qE -- "^ +(-., )?${option}[, ]" out || { echo "no $option"; return 1; }
  done
  expect 0 imsg-open --version
  grep -qxE 'imsg-open [0-9]+\.[0-9]+\.[0-9]+' out
  expect 0 open --quiet --identity bob/identity.json --records alice.jsonl --from alice@example.com --json \
    --output result hello
  [ ! -s err ]
  jq -e '.content == "hello\n"' result
  expect 0 open --verbose --directory .local/share/imsg/directory -- hello
}
