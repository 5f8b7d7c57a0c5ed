#!/bin/sh
# One message reaches every device of a person, and the other devices of its sender too. Each copy is sealed for one
# device alone: no device can open the copy of another.
set -eu
work=$(mktemp -d)
finish() {
  status=$?
  rm -rf "$work"
  [ "$status" -eq 0 ] || echo "${0##*/}: this is not the outcome it should have" >&2
}
trap finish EXIT
trap 'exit 1' HUP INT TERM
HOME=$work
export HOME
unset IMSG_HOME IMSG_SERVER IMSG_DIRECTORY IMSG_RELAY IMSG_STORE IMSG_PASSPHRASE_FILE XDG_CONFIG_HOME XDG_DATA_HOME
cd "$work"

laptop() { IMSG_HOME=$work/laptop "$@"; } # of alice
tablet() { IMSG_HOME=$work/tablet "$@"; } # of alice
phone() { IMSG_HOME=$work/phone "$@"; }   # of bob
desk() { IMSG_HOME=$work/desk "$@"; }     # of bob
account() { imsg-keygen -F -j | jq -r .account; }

echo "== alice has a laptop and a tablet, bob has a phone and a desk computer"
# The account key of each person stays on the first device, which registers the record of the second device. The second
# device knows that key by its thumbprint.
laptop imsg-keygen -n laptop alice@example.com | laptop imsg-register -q
tablet imsg-keygen -n tablet --account "$(laptop account)" alice@example.com | laptop imsg-register -q
phone imsg-keygen -n phone bob@example.com | phone imsg-register -q
desk imsg-keygen -n desk --account "$(phone account)" bob@example.com | phone imsg-register -q

echo "== alice writes on the laptop: one envelope a device"
echo "dinner at eight?" | laptop imsg-seal -q -r bob@example.com -o message.jsonl
jq -r '"for \(.to), device \(.to_token[0:8]), \(.format)"' message.jsonl
[ "$(wc -l <message.jsonl)" -eq 3 ]
[ "$(jq -r .id message.jsonl | sort -u | wc -l)" -eq 1 ]
laptop imsg-push message.jsonl

for device in phone desk tablet; do
  echo "== the $device gets its copy"
  "$device" imsg-pull >"$device.jsonl"
  [ "$(wc -l <"$device.jsonl")" -eq 1 ]
  [ "$("$device" imsg-open "$device.jsonl")" = "dinner at eight?" ]
done

echo "== the tablet knows that alice sent it herself"
tablet imsg-open -q -j tablet.jsonl | jq -c '{from, sent, content}'
[ "$(tablet imsg-open -q -j tablet.jsonl | jq .sent)" = true ]
[ "$(phone imsg-open -q -j phone.jsonl | jq .sent)" = false ]

echo "== the desk computer is shown the envelope of the phone, and refuses it"
status=0
desk imsg-open phone.jsonl >nothing || status=$?
[ "$status" -eq 1 ]
[ ! -s nothing ]
