#!/bin/sh
# Files go through the store, which sees ciphertext only; the message contains the key. imsg-seal -S sends a text
# that is too long for a relay in the same way.
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
for person in alice bob; do
  "$person" imsg-keygen -n "$person" "$person@example.com" | "$person" imsg-register -q
done

# 300 kB in place of a photo.
openssl rand 300000 >photo.jpg

echo "== alice puts the file into the store, and sends its descriptor in a message with a text"
alice imsg-attach put photo.jpg >photo.jsonl
jq -c '{imsg, name, size, sha1}' photo.jsonl
echo "the view from up there" >text
alice imsg-seal -q -r bob@example.com -a photo.jsonl text | alice imsg-push

echo "== or all of it in one pipe, with no text"
alice imsg-attach put photo.jpg | alice imsg-seal -q -r bob@example.com -a - | alice imsg-push

echo "== what the store has is not the file"
for object in .local/share/imsg/store/*; do
  [ "$(wc -c <"$object")" -eq 300000 ]
  if cmp -s "$object" photo.jpg; then exit 1; fi
done

echo "== bob reads the messages, and gets the files into a folder; the second gets a name of its own"
mkdir received
bob imsg-pull | bob imsg-open -q -j | bob imsg-attach get -o received >messages.jsonl
jq -r '"\(.content)\(.path)"' messages.jsonl
jq -r .path messages.jsonl | sort >paths
[ "$(wc -l <paths)" -eq 2 ]
while read -r path; do
  cmp photo.jpg "$path"
done <paths
[ -e received/photo.jpg ]
[ -e received/photo-1.jpg ]

echo "== a text of 100 kB is too long for a message"
seq 20000 | head -c 100000 >long.txt
status=0
alice imsg-seal -q -r bob@example.com long.txt >nothing || status=$?
[ "$status" -eq 65 ]
[ ! -s nothing ]

echo "== with -S it goes through the store"
alice imsg-seal -q -S -r bob@example.com long.txt | alice imsg-push
bob imsg-pull | bob imsg-open -q -j | bob imsg-attach get -o received |
  jq -r '"\(.header.attachments[0].type): \(.path)"'
cmp long.txt received/long.txt
