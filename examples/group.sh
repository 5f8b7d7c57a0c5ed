#!/bin/sh
# A group of three. A group needs no setup: the same people and the same name always mean the same group, whoever writes, and
# an answer to a message goes to all members.
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

alice() { IMSG_HOME=$work/alice "$@"; }
bob() { IMSG_HOME=$work/bob "$@"; }
carol() { IMSG_HOME=$work/carol "$@"; }

for person in alice bob carol; do
  "$person" imsg-keygen -n "$person" "$person@example.com" | "$person" imsg-register -q
done

echo "== alice writes to the group"
echo "climbing on saturday?" |
  alice imsg-seal -q -g climbers -r bob@example.com -r carol@example.com | alice imsg-push
for person in bob carol; do
  "$person" imsg-pull | "$person" imsg-open -j >"$person.jsonl"
  jq -r '"group \(.header.group.name): \(.content)"' "$person.jsonl"
  [ "$(jq -r .content "$person.jsonl")" = "climbing on saturday?" ]
done

echo "== carol answers: to alice and bob, in the same group"
echo "yes, at nine" | carol imsg-seal -q --reply carol.jsonl | carol imsg-push
for person in alice bob; do
  "$person" imsg-pull | "$person" imsg-open -j >"$person-2.jsonl"
  jq -r '"group \(.header.group.name): \(.content)"' "$person-2.jsonl"
  [ "$(jq -r .content "$person-2.jsonl")" = "yes, at nine" ]
  [ "$(jq -r .from "$person-2.jsonl")" = mailto:carol@example.com ]
  [ "$(jq -r .header.group.id "$person-2.jsonl")" = "$(jq -r .header.group.id carol.jsonl)" ]
  [ "$(jq -r .header.reply_to "$person-2.jsonl")" = "$(jq -r .id carol.jsonl)" ]
done

echo "== bob writes to the group by its name: it is the same one, in whatever order he names the others"
echo "me too" | bob imsg-seal -q -g climbers -r carol@example.com -r alice@example.com | bob imsg-push
alice imsg-pull | alice imsg-open -j >alice-3.jsonl
[ "$(jq -r .header.group.id alice-3.jsonl)" = "$(jq -r .header.group.id bob.jsonl)" ]

echo "== and tells alice alone that he has read her message"
bob imsg-seal -q --reply bob.jsonl --receipt read | bob imsg-push
alice imsg-pull | alice imsg-open -j >receipt.jsonl
jq -c '.header.receipt' receipt.jsonl
[ "$(jq -r .header.receipt.of receipt.jsonl)" = "$(jq -r .id bob.jsonl)" ]
[ "$(carol imsg-pull | carol imsg-open -q)" = "me too" ] # no receipt for carol
