#!/bin/sh
# Seals and opens with no network, no directory and no relay. The public records of the two people are files, which they
# exchange once over a channel that both trust. The envelopes are a file as well, which can be transferred in any way.
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

echo "== each makes keys, and gives the public record to the other"
alice imsg-keygen -n laptop alice@example.com >alice.jsonl
bob imsg-keygen -n laptop bob@example.com >bob.jsonl

echo "== they compare the fingerprints over the telephone"
alice imsg-keygen -F
[ "$(alice imsg-keygen -F | awk '$1 == "device" { print $2 }')" = "$(jq -r .token alice.jsonl)" ]

echo "== alice seals a file for exactly bob's record"
seq 1000 >numbers.txt
alice imsg-seal -R bob.jsonl -o numbers.imsg numbers.txt
echo "$(wc -c <numbers.imsg) bytes"

echo "== bob opens it, with alice's record to verify with"
bob imsg-open -R alice.jsonl --from alice@example.com -o numbers.out numbers.imsg
cmp numbers.txt numbers.out

echo "== he expects nobody else: carol's file is refused, though it is for him and properly signed"
IMSG_HOME=$work/carol imsg-keygen -n laptop carol@example.com >carol.jsonl
echo "it is alice" | IMSG_HOME=$work/carol imsg-seal -R bob.jsonl -o other.imsg
status=0
bob imsg-open -R alice.jsonl -R carol.jsonl --from alice@example.com -o other.out other.imsg || status=$?
[ "$status" -eq 1 ]
[ ! -e other.out ]

echo "== so is one that was changed on its way"
jq -c '.payload |= (.[0:400] + (if .[400:401] == "A" then "B" else "A" end) + .[401:])' numbers.imsg >changed.imsg
status=0
bob imsg-open -R alice.jsonl -o changed.out changed.imsg || status=$?
[ "$status" -eq 1 ]
[ ! -e changed.out ]

# No service was used: the default folders of the services contain no file.
find . -path './.local/*' -type f >used
[ ! -s used ]
