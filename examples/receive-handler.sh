#!/bin/sh
# Receives without losing a message: imsg-pull -x runs a command for each envelope, and an envelope stays in inbox/new for the
# next run if the command exits with 75. The command here stores each message in a file below the name of its sender, and
# exits with 75 as long as the archive folder does not exist. imsg-open --once refuses what was opened before, but for the
# message that imsg-pull offers again.
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

cat >file-message <<'SCRIPT'
#!/bin/sh
# One envelope on standard input; $1 is the archive folder.
set -eu
# The status of imsg-open is the status of this script: 75 if the directory cannot be reached.
message=$(imsg-open -q -j --once)
[ -d "$1" ] || exit 75
folder=$1/$(printf %s "$message" | jq -r '.from | ltrimstr("mailto:") | gsub("[^a-z0-9@.+-]"; "_") | ltrimstr(".")')
file=$folder/$(printf %s "$message" | jq -r .id)
mkdir -p "$folder"
# The file gets its final name only when it is complete. A message that is handled twice makes one file.
printf %s "$message" | jq -j .content >"$file.tmp"
mv "$file.tmp" "$file"
SCRIPT
chmod +x file-message

echo "== alice sends two messages"
for text in one two; do
  echo "message $text" | alice imsg-seal -q -r bob@example.com | alice imsg-push
done

echo "== bob's archive is not there: the envelopes are received, and wait"
status=0
bob imsg-pull -x './file-message archive' || status=$?
[ "$status" -eq 75 ]
find bob/inbox/new -type f >waiting
[ "$(wc -l <waiting)" -eq 2 ]

echo "== it is there again"
mkdir archive
bob imsg-pull --new -x './file-message archive'
find bob/inbox/new -type f >waiting
[ ! -s waiting ]

echo "== a third message comes in"
echo "message three" | alice imsg-seal -q -r bob@example.com | alice imsg-push
bob imsg-pull -x './file-message archive'

echo "== the archive"
find archive -type f | sort
[ "$(find archive/alice@example.com -type f | wc -l)" -eq 3 ]
[ "$(cat archive/alice@example.com/* | sort | xargs)" = "message one message three message two" ]
