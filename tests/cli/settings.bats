#!/usr/bin/env bats
# Where the services and the state are: options, environment, config file, defaults.
# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and is meant to be
load common
setup() { setup_common; }
teardown() { teardown_common; }

# The directory that a look-up asks: a 67 names it.
asked() {
  expect 67 "$@" nobody@example.com >&2
  sed -n 's/.* in directory "\(.*\)"$/\1/p' err
}
config() { mkdir -p home && printf '%s\n' "$@" >home/config; }
lookup() { IMSG_HOME=$T/home imsg-lookup "$@"; }

@test "the directory: option, IMSG_DIRECTORY, IMSG_SERVER, then the same two in the config file, then the default" {
  mkdir -p option one all/directory c-one c-all/directory
  config "IMSG_SERVER=$T/c-all"
  [ "$(asked lookup)" = "$T/c-all/directory" ]
  config "IMSG_SERVER=$T/c-all" "IMSG_DIRECTORY=c-one"
  [ "$(asked lookup)" = c-one ]
  config "IMSG_DIRECTORY=c-one" "IMSG_SERVER=$T/c-all"
  [ "$(asked lookup)" = c-one ]
  export IMSG_SERVER=all
  [ "$(asked lookup)" = all/directory ]
  export IMSG_DIRECTORY=one
  [ "$(asked lookup)" = one ]
  [ "$(asked lookup -d option)" = option ]
  unset IMSG_SERVER
  [ "$(asked lookup)" = one ]
  export IMSG_DIRECTORY=''
  [ "$(asked lookup)" = c-one ]
  rm home/config
  [ "$(asked lookup)" = "$T/.local/share/imsg/directory" ]
}

@test "the relay is found in the same order" {
  as alice imsg-keygen alice@example.com >record
  token=$(jq -r .token record)
  boxes() { find . -name "$token" | sed 's|^\./||'; } # where the last one was made
  register() {
    rm -rf .local one all option c-one c-all d
    IMSG_HOME=$T/home expect 0 imsg-register -q -d d "$@" record
    rm home/pins.json
  }
  config "IMSG_SERVER=c-all"
  register
  [ "$(boxes)" = "c-all/relay/$token" ]
  config "IMSG_SERVER=c-all" "IMSG_RELAY=c-one"
  register
  [ "$(boxes)" = "c-one/$token" ]
  IMSG_SERVER=all register
  [ "$(boxes)" = "all/relay/$token" ]
  IMSG_SERVER=all IMSG_RELAY=one register
  [ "$(boxes)" = "one/$token" ]
  IMSG_SERVER=all IMSG_RELAY=one register --relay option
  [ "$(boxes)" = "option/$token" ]
  rm home/config
  register
  [ "$(boxes)" = ".local/share/imsg/relay/$token" ]
}

@test "the store is found in the same order" {
  echo content >file
  put() {
    rm -rf .local one all option c-one c-all
    IMSG_HOME=$T/home expect 0 imsg-attach put "$@" file
    dirname "$(find . -name "$(jq -r .sha256 out)")"
  }
  config "IMSG_SERVER=c-all"
  [ "$(put)" = ./c-all/store ]
  config "IMSG_SERVER=c-all" "IMSG_STORE=c-one"
  [ "$(put)" = ./c-one ]
  [ "$(IMSG_SERVER=all put)" = ./all/store ]
  [ "$(IMSG_SERVER=all IMSG_STORE=one put)" = ./one ]
  [ "$(IMSG_SERVER=all IMSG_STORE=one put --store option)" = ./option ]
  rm home/config
  [ "$(put)" = ./.local/share/imsg/store ]
}

@test "a folder given as IMSG_SERVER holds all three" {
  export IMSG_SERVER=$T/server
  new_user alice
  new_user bob
  echo hello | as alice imsg-seal -q -r bob@example.com | as alice imsg-push -q
  [ "$(as bob imsg-pull | as bob imsg-open -q)" = hello ]
  echo content >file
  mkdir got
  as alice imsg-attach put file >descriptor
  expect 0 as bob imsg-attach get -o got descriptor
  cmp file got/file
  [ "$(find server -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tr '\n' ' ')" = "directory relay store " ]
  [ ! -e .local ]
}

@test "the config file has comments, blank lines, values with = in them, and the last of two counts" {
  mkdir -p 'a=b c #d' last
  config '# comment' '' '   ' '  # another' 'IMSG_DIRECTORY=a=b c #d'
  [ "$(asked lookup)" = 'a=b c #d' ]
  config 'IMSG_DIRECTORY=first' 'IMSG_RELAY=x' 'IMSG_DIRECTORY=last' 'IMSG_DIRECTORY='
  [ "$(asked lookup)" = last ]
  printf 'IMSG_DIRECTORY=last' >home/config # no newline
  [ "$(asked lookup)" = last ]
}

@test "a bad config line is 78 and named by its number" {
  for line in nonsense IMSG_HOME=/x IMSG_DIRECTORYX=x imsg_directory=x 'IMSG_DIRECTORY =x' '=x' ' IMSG_RELAY=x' 'export IMSG_RELAY=x' \
    'PATH=/evil'; do
    config '# fine' "$line" 'IMSG_DIRECTORY=d'
    expect 78 lookup alice@example.com
    no_out
    errors_are 1
    err_has "config file \"$T/home/config\": line 2: "
  done
  rm home/config
  IMSG_HOME=$T/home imsg-keygen alice@example.com >record
  config nonsense
  for command in 'imsg-keygen -o new a@example.com' imsg-pull 'imsg-attach put record' 'imsg-register record'; do
    # shellcheck disable=SC2086 # words
    IMSG_HOME=$T/home expect 78 $command
    errors_are 1
  done
  [ ! -e new ]
}

@test "a config file that cannot be read is 78, one that is not there is none" {
  mkdir -p home/config
  expect 78 lookup alice@example.com
  errors_are 1
  rmdir home/config
  expect 67 lookup alice@example.com
}

@test "a configured folder that is not there is 75 for those that read, and is not made" {
  new_user alice
  as alice imsg-keygen -y >record
  export IMSG_SERVER=$T/unmounted
  expect 75 as alice imsg-lookup alice@example.com
  err_has 'directory folder "'"$T/unmounted/directory"'" is not there'
  expect 75 as bob imsg-lookup nobody@example.com
  echo hi | expect 75 as alice imsg-seal -r alice@example.com
  no_out
  echo hi | as alice imsg-seal -q -R record >line
  expect 75 as alice imsg-push line
  [ ! -e unmounted ]
  : >file
  IMSG_SERVER=$T/file expect 75 as alice imsg-lookup alice@example.com
}

@test "the three default folders are made together by the first tool that needs one" {
  expect 67 as alice imsg-lookup nobody@example.com
  [ "$(find .local/share/imsg -mindepth 1 | sort | tr '\n' ' ')" = \
    ".local/share/imsg/directory .local/share/imsg/relay .local/share/imsg/store " ]
  rm -r .local
  echo x >x
  expect 0 imsg-attach put x
  [ -d .local/share/imsg/directory ] && [ -d .local/share/imsg/relay ]
}

@test "a default folder that went away is not made anew" {
  new_user alice
  rm -r .local/share/imsg/directory
  expect 75 as alice imsg-lookup alice@example.com
  [ ! -e .local/share/imsg/directory ]
}

@test "XDG folders are used, where they are absolute" {
  export XDG_DATA_HOME=$T/data XDG_CONFIG_HOME=$T/conf
  imsg-keygen alice@example.com | imsg-register -q
  [ -e conf/imsg/identity.json ]
  [ -d data/imsg/directory/imsg ]
  [ ! -e .local ] && [ ! -e .config ]
  [ "$(stat -c %a conf conf/imsg | sort -u)" = 700 ]
  for value in '' relative ./relative; do
    export XDG_DATA_HOME=$value XDG_CONFIG_HOME=$value
    rm -rf .local .config
    imsg-keygen alice@example.com | imsg-register -q
    [ -e .config/imsg/identity.json ]
    [ -d .local/share/imsg/directory/imsg ]
    [ ! -e relative ]
  done
}

@test "IMSG_HOME goes before XDG_CONFIG_HOME, and an empty one is none" {
  XDG_CONFIG_HOME=$T/conf IMSG_HOME=$T/home expect 0 imsg-keygen alice@example.com
  [ -e home/identity.json ] && [ ! -e conf ]
  IMSG_HOME='' expect 0 imsg-keygen alice@example.com
  [ -e .config/imsg/identity.json ]
}

@test "without HOME it is 78, unless everything is named" {
  expect 78 env -u HOME imsg-keygen -y
  errors_are 1
  expect 78 env -u HOME IMSG_HOME="$T/home" imsg-lookup nobody@example.com
  mkdir -p server/directory
  expect 67 env -u HOME IMSG_HOME="$T/home" IMSG_SERVER="$T/server" imsg-lookup nobody@example.com
}

@test "a scheme that nothing speaks, and file://, are 78" {
  for location in ftp://example.com "file://$T/d" FILE:///d; do
    expect 78 as alice imsg-lookup -d "$location" alice@example.com
    errors_are 1
    IMSG_STORE=$location expect 78 as alice imsg-attach put /dev/null
  done
  mkdir -p ./a:b
  [ "$(IMSG_DIRECTORY=a:b asked lookup)" = a:b ] # a path, since it has no slashes
}
