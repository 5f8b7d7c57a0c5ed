#!/usr/bin/env bats
# Keys under a passphrase, from a file, a descriptor, the environment and the terminal.
load common

# alice has an identity under "secret one", carol a plain one and an account key.
setup_file() {
  setup_common
  printf 'secret one\n' >pass
  printf 'wrong\n' >wrong
  as alice imsg-keygen -n alice -p --passphrase-file pass alice@example.com >record
  new_user carol
  keep_base
}
setup() { setup_base; }
teardown() {
  [ -z "${TYPIST_PID:-}" ] || kill "$TYPIST_PID" 2>/dev/null || true
  teardown_common
}

# dialogue COMMAND TEXT ANSWER...: COMMAND (of a shell) on a terminal of its own; once its output has TEXT, ANSWER is
# typed, and so on. Its output, without CR, goes to $T/screen; the status is the command's.
dialogue() {
  local command=$1 char screen='' from=0 status=0
  shift
  # A shell ignores SIGINT for what it starts in the background, and with it for all below.
  coproc TYPIST { exec env --default-signal=INT script -qec "$command" /dev/null; }
  exec 5<&"${TYPIST[0]}" 6>&"${TYPIST[1]}"
  local pid=$TYPIST_PID
  while IFS= read -r -t 30 -d '' -n 1 -u 5 char; do
    screen+=${char/$'\r'/}
    if [ $# -gt 0 ] && [[ ${screen:from} == *"$1" ]]; then
      # shellcheck disable=SC2059 # an answer has \n and \003 in it
      printf "$2" >&6
      from=${#screen}
      shift 2
    fi
  done
  exec 5<&- 6>&-
  [ $# -eq 0 ] || kill "$pid" 2>/dev/null || true
  wait "$pid" || status=$?
  printf %s "$screen" >"$T/screen"
  if [ $# -gt 0 ]; then
    echo "it never said: $1"
    cat "$T/screen"
    return 99
  fi
  return $status
}

@test "-p encrypts each private key as PBES2 with scrypt N=16384 r=8 p=1, and nothing else" {
  for name in encryption signing device prekey; do
    jq -r ".keys.$name" alice/identity.json >pem
    [ "$(head -n 1 pem)" = '-----BEGIN ENCRYPTED PRIVATE KEY-----' ]
    openssl asn1parse -in pem >shape
    grep -q ':PBES2' shape
    # The parameters after scrypt's name and salt: N, r, p.
    [ "$(sed -n '/:scrypt/,$s/.*INTEGER *://p' shape | tr '\n' ' ')" = '4000 08 01 ' ]
    grep -q ':aes-256-cbc' shape
    openssl pkey -in pem -passin 'pass:secret one' -noout -check
    without openssl pkey -in pem -passin pass:wrong -noout
  done
  [ "$(jq -r .token alice/identity.json)" = "$(jq -r .token record)" ]
}

@test "each key has a salt of its own" {
  for name in encryption signing device prekey; do
    jq -r ".keys.$name" alice/identity.json | openssl asn1parse | sed -n 's/.*OCTET STRING *\[HEX DUMP\]://p' | head -n 1
  done | sort -u >salts
  [ "$(wc -l <salts)" -eq 4 ]
  [ "$(wc -L <salts)" -eq 32 ]
}

@test "--passphrase-file, --passphrase-fd and IMSG_PASSPHRASE_FILE open it" {
  expect 0 as alice imsg-keygen -y --passphrase-file pass
  same_record record out
  expect 0 as alice imsg-keygen -y --passphrase-fd 3 3<pass
  same_record record out
  expect 0 as alice env IMSG_PASSPHRASE_FILE="$T/pass" imsg-keygen -y
  same_record record out
  echo "IMSG_PASSPHRASE_FILE=$T/pass" >alice/config
  expect 0 as alice imsg-keygen -y
  same_record record out
}

@test "an option goes before the environment, and that before the config file" {
  echo "IMSG_PASSPHRASE_FILE=$T/wrong" >alice/config
  expect 0 as alice env IMSG_PASSPHRASE_FILE="$T/pass" imsg-keygen -y
  expect 77 as alice imsg-keygen -y
  expect 0 as alice env IMSG_PASSPHRASE_FILE="$T/wrong" imsg-keygen -y --passphrase-fd 3 3<pass
  expect 0 as alice env IMSG_PASSPHRASE_FILE="$T/wrong" imsg-keygen -y --passphrase-file pass
}

@test "a passphrase is the first line, without its end" {
  for form in 'secret one' 'secret one\n' 'secret one\r\n' 'secret one\nmore\n'; do
    # shellcheck disable=SC2059 # a format
    printf "$form" >form
    expect 0 as alice imsg-keygen -y --passphrase-file form
  done
  for form in ' secret one' 'secret one ' 'secret' 'Secret one' 'secret one\001' '\nsecret one'; do
    # shellcheck disable=SC2059
    printf "$form" >form
    expect 77 as alice imsg-keygen -y --passphrase-file form
    no_out
  done
}

@test "a descriptor is read to the end of the line only: the next passphrase is the next line" {
  openssl pkcs8 -topk8 -scrypt -scrypt_N 1024 -in carol/account.pem -passout 'pass:the other' -out locked
  cat locked >alice/account.pem
  chmod 600 alice/account.pem
  printf 'secret one\nthe other\nrest' >both
  expect 0 as alice imsg-keygen -F --passphrase-fd 3 3<both
  [ "$(awk '{ print $1 }' out | tr '\n' ' ')" = "account device identity " ]
  exec 8<both
  as alice imsg-keygen -y --passphrase-fd 8 >out
  [ "$(cat <&8)" = "$(printf 'the other\nrest')" ]
  exec 8<&-
}

@test "a wrong passphrase is 77, with nothing on stdout and nothing of it on stderr" {
  for option in -y -F --rotate; do
    cp alice/identity.json before
    expect 77 as alice imsg-keygen $option --passphrase-file wrong
    no_out
    errors_are 1
    err_has 'wrong passphrase'
    without grep -q 'error: .*wrong$\|secret' err
    cmp before alice/identity.json
  done
}

@test "an empty passphrase is 77, a file that is not there 66, one too long 77, and no identity is made" {
  : >empty
  expect 77 as bob imsg-keygen -p --passphrase-file empty bob@example.com
  expect 66 as bob imsg-keygen -p --passphrase-file missing bob@example.com
  expect 66 as bob imsg-keygen -p --passphrase-fd 9 bob@example.com 9<&-
  printf '%1025s' x >long
  expect 77 as bob imsg-keygen -p --passphrase-file long bob@example.com
  no_out
  [ ! -e bob/identity.json ]
  printf '%1024s' x >long
  expect 0 as bob imsg-keygen -p --passphrase-file long bob@example.com
  mv out made
  expect 0 as bob imsg-keygen -y --passphrase-file long
  same_record made out
}

@test "a passphrase may be any text" {
  # shellcheck disable=SC2016
  printf '  ünï "$x` \\ 🔑  \n' >odd
  expect 0 as bob imsg-keygen -p --passphrase-file odd bob@example.com
  expect 0 as bob imsg-keygen -y --passphrase-file odd
}

@test "without -p a passphrase for a new identity is refused, not passed over" {
  expect 64 as bob imsg-keygen --passphrase-file pass bob@example.com
  expect 64 as bob imsg-keygen --passphrase-fd 3 bob@example.com 3<pass
  [ ! -e bob ]
  expect 0 as bob env IMSG_PASSPHRASE_FILE="$T/pass" imsg-keygen bob@example.com
  expect 0 as bob imsg-keygen -y
}

@test "an existing identity is known before a passphrase is asked" {
  expect 73 as alice setsid -w imsg-keygen -p alice@example.com
}

@test "a rotated identity stays under its passphrase, old prekeys included" {
  as alice imsg-register -q --passphrase-file pass record
  echo early | as carol imsg-seal -q -r alice@example.com >early
  expect 0 as alice imsg-keygen --rotate --passphrase-file pass
  without grep -q 'BEGIN PRIVATE KEY' alice/identity.json
  [ "$(jq -r '.keys[], .retired[].prekey' alice/identity.json | grep -c 'BEGIN ENCRYPTED')" -eq 5 ]
  expect 0 as alice imsg-open -q --passphrase-file pass early
  [ "$(cat out)" = early ]
  expect 77 as alice imsg-open -q --passphrase-file wrong early
  no_out
}

@test "the account key is made under the identity's passphrase, behind its public key" {
  expect 77 as alice setsid -w imsg-register record
  [ ! -e alice/account.pem ]
  expect 0 as alice imsg-register --passphrase-file pass record
  [ "$(head -n 1 alice/account.pem)" = "-----BEGIN PUBLIC KEY-----" ]
  grep -q 'BEGIN ENCRYPTED PRIVATE KEY' alice/account.pem
  without grep -q 'BEGIN PRIVATE KEY' alice/account.pem
  [ "$(openssl pkey -in alice/account.pem -passin file:pass -pubout)" = "$(openssl pkey -pubin -in alice/account.pem)" ]
  key=$(as alice imsg-lookup --pins | jq -r .account)
  err_has "$key"
  expect 0 as alice imsg-keygen -F -j --passphrase-file pass
  [ "$(jq -r .account out)" = "$key" ]
  expect 77 as alice imsg-register --passphrase-file wrong --expires 7 record
  expect 0 as alice imsg-register --passphrase-file pass --expires 7 record
  expect 0 as alice imsg-register --passphrase-fd 3 --expires 7 record 3<pass
}

@test "an entry of one's own handle must be by an encrypted account key, too" {
  as alice imsg-register -q --passphrase-file pass record
  rm alice/pins.json
  path=$(imsg-lookup --path alice@example.com)
  as mallory imsg-keygen -n evil alice@example.com | as mallory imsg-register -q -d other
  cp "other/$path" ".local/share/imsg/directory/$path"
  expect 1 as alice setsid -w imsg-lookup alice@example.com
  no_out
  err_has "is one of your handles"
}

@test "a public key that is not that of the private key is 65" {
  as alice imsg-register -q --passphrase-file pass record
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2>/dev/null | openssl pkey -pubout >other
  { cat other; sed '1,/END PUBLIC/d' alice/account.pem; } >mixed
  cat mixed >alice/account.pem
  expect 65 as alice imsg-register --passphrase-file pass --expires 7 record
  err_has "not that of its private key"
  sed -i '2s/./!/' alice/account.pem
  expect 65 as alice imsg-register --passphrase-file pass --expires 7 record
}

@test "what is public needs no passphrase: to pull, and to look up" {
  as alice imsg-register -q --passphrase-file pass record
  echo hello | as carol imsg-seal -q -r alice@example.com | as carol imsg-push -q
  expect 0 as alice setsid -w imsg-pull
  [ "$(wc -l <out)" -eq 1 ]
  expect 0 as alice setsid -w imsg-lookup alice@example.com
}

@test "with no terminal to ask on it is 77, and the hint names the ways" {
  for command in 'imsg-keygen -y' 'imsg-keygen -F' 'imsg-keygen --rotate' 'imsg-keygen -p -o new new@example.com'; do
    # shellcheck disable=SC2086 # words
    expect 77 as alice setsid -w $command
    no_out
    errors_are 1
    err_has 'no terminal'
    for way in --passphrase-file --passphrase-fd IMSG_PASSPHRASE_FILE; do err_has "$way"; done
  done
  [ ! -e new ]
}

@test "a passphrase is asked on the terminal, not shown, and not on stdin or stdout" {
  echo unread >input
  dialogue "IMSG_HOME=$T/alice imsg-keygen -y <input >out 2>err" 'alice/identity.json": ' 'secret one\n'
  same_record record out
  [ ! -s err ]
  grep -q "^Passphrase for identity file \"$T/alice/identity.json\": $" screen
  without grep -q secret screen
}

@test "the wrong one on the terminal is 77" {
  got=0
  dialogue "IMSG_HOME=$T/alice imsg-keygen -y" 'json": ' 'secret two\n' || got=$?
  [ "$got" -eq 77 ]
  without grep -q 'secret\|token' screen
}

@test "a new one is asked twice, and must be the same" {
  dialogue "IMSG_HOME=$T/bob imsg-keygen -p bob@example.com >made" 'Passphrase for the new identity: ' 'new one\n' \
    'The same again: ' 'new one\n'
  echo 'new one' >new
  expect 0 as bob imsg-keygen -y --passphrase-file new
  same_record made out
  got=0
  dialogue "IMSG_HOME=$T/dave imsg-keygen -p dave@example.com" ': ' 'one\n' 'again: ' 'two\n' || got=$?
  [ "$got" -eq 77 ]
  [ ! -e dave/identity.json ]
  got=0
  dialogue "IMSG_HOME=$T/dave imsg-keygen -p dave@example.com" ': ' '\n' || got=$?
  [ "$got" -eq 77 ]
  [ ! -e dave/identity.json ]
}

@test "the end of input or an interrupt at the prompt leaves no file, and the terminal as it was" {
  got=0
  dialogue "IMSG_HOME=$T/bob imsg-keygen -p bob@example.com" 'identity: ' '\004' || got=$?
  [ "$got" -eq 77 ]
  got=0
  dialogue "trap : INT; stty -a >before; IMSG_HOME=$T/bob imsg-keygen -p bob@example.com; echo status \$?; stty -a >after" \
    'identity: ' '\003' || got=$?
  [ "$got" -eq 0 ]
  grep -qx 'status 130' screen
  cmp before after
  [ ! -e bob/identity.json ]
}
