#!/bin/sh
# Shows all tools in one run, with folders as the services: two people with two devices each, a message, a group, an
# attachment, a forgery, a lost device. Every line after a prompt is a command that is executed; the script stops with an
# error as soon as a command does not have the expected result.
set -eu

if [ -n "${BIN:-}" ]; then
  PATH=$BIN:$PATH
fi
T=$(mktemp -d "${TMPDIR:-/tmp}/imsg-demo.XXXXXX")
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM HUP
HOME=$T
export PATH HOME
unset IMSG_HOME IMSG_SERVER IMSG_DIRECTORY IMSG_RELAY IMSG_STORE IMSG_PASSPHRASE_FILE XDG_CONFIG_HOME XDG_DATA_HOME
cd "$T"

say() { printf '\n\033[1m%s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9]*m//g'; fi; }

# at DEVICE COMMAND: prints COMMAND after the device's prompt, and runs it in the device's folder with its IMSG_HOME.
at() {
  printf '%s$ %s\n' "$1" "$2"
  mkdir -p "$T/$1"
  # Notes and errors appear between the other output, as on a terminal.
  (cd "$T/$1" && IMSG_HOME=$T/$1/.imsg sh -c "$2" 2>&1)
}

# must_fail STATUS DEVICE COMMAND
must_fail() {
  status=0
  at "$2" "$3" || status=$?
  printf '  (exit status %s)\n' "$status"
  [ "$status" -eq "$1" ] || { echo "expected $1" >&2; exit 1; }
}

say 'Alice and Bob make keys on their devices and register them.'
at alice-laptop 'imsg-keygen -n laptop alice@example.com | imsg-register'
at alice-laptop 'imsg-keygen -F -j | jq -r .account > ../account'
# shellcheck disable=SC2016 # expanded on the device
at alice-phone 'imsg-keygen -n phone --account "$(cat ../account)" alice@example.com > ../phone.jsonl'
at alice-laptop 'imsg-register ../phone.jsonl'
at bob-desktop 'imsg-keygen -n desktop bob@example.com +15551234567 | imsg-register'
at bob-desktop 'imsg-keygen -F -j | jq -r .account > ../account'
# shellcheck disable=SC2016 # expanded on the device
at bob-tablet 'imsg-keygen -n tablet --account "$(cat ../account)" bob@example.com > ../tablet.jsonl'
at bob-desktop 'imsg-register ../tablet.jsonl'

say 'A message is sealed for every device of Bob, and for the other device of Alice.'
at alice-laptop 'echo "hello Bob" | imsg-seal -r bob@example.com > ../envelopes'
at alice-laptop 'wc -l < ../envelopes'
at alice-laptop 'imsg-push ../envelopes'
at bob-desktop 'imsg-pull | imsg-open'
at bob-tablet 'imsg-pull | imsg-open -q'
at alice-phone 'imsg-pull | imsg-open'

say 'Bob answers in a group of the two.'
at bob-desktop 'echo "lunch?" | imsg-seal -g Lunch -r alice@example.com | imsg-push'
at alice-laptop 'imsg-pull | imsg-open -j > ../opened.json; jq -r .header.group.name,.content ../opened.json'
at alice-laptop 'echo "yes, at noon" | imsg-seal --reply ../opened.json | imsg-push'
at bob-desktop 'imsg-pull | imsg-open'
at bob-tablet 'imsg-pull | imsg-open -q | tail -n 1'

say 'A file goes through the store as ciphertext; the message carries its key.'
at alice-laptop 'head -c 1000000 /dev/urandom > ../photo.jpg'
at alice-laptop 'imsg-attach put ../photo.jpg | imsg-seal -r bob@example.com -a - | imsg-push'
at bob-desktop 'mkdir got; imsg-pull | imsg-open -j -q | imsg-attach get -o got | jq -r .path'
at bob-desktop 'cmp got/photo.jpg ../photo.jpg && echo identical'

say 'Mallory seals something for Bob and says on the envelope that it is from Alice: refused.'
at mallory 'imsg-keygen mallory@example.com | imsg-register -q'
at mallory 'imsg-lookup -q bob@example.com | head -n 1 > ../desktop.jsonl'
at mallory 'echo "send money" | imsg-seal -R ../desktop.jsonl > ../honest.json'
# shellcheck disable=SC2016 # $a is jq's
at mallory 'jq -c --slurpfile a ../envelopes ".from = \$a[0].from | .from_token = \$a[0].from_token" ../honest.json > ../forged.json'
must_fail 1 bob-desktop 'imsg-open ../forged.json'

say 'Alice loses her phone and removes it: nothing is sealed for it any more.'
at alice-laptop 'imsg-register --remove phone'
at bob-desktop 'echo "still there?" | imsg-seal --no-self -r alice@example.com > ../last; wc -l < ../last'
[ "$(wc -l <last)" -eq 1 ]
at bob-desktop 'imsg-push ../last'
at alice-laptop 'imsg-pull | imsg-open'

say 'What was sealed before the phone was removed still waits for whoever holds it; the last message does not.'
at alice-phone 'imsg-pull | imsg-open -q | grep "still there" || echo "not there"'

say 'Nobody has an account: a script can tell.'
must_fail 67 alice-laptop 'imsg-lookup nobody@example.com'

say 'All of it worked.'
