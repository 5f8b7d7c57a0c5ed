#!/bin/sh
# Adds a second device, and removes a lost device. The keys of a device are made on the device and stay there; its public
# record is one line, which can be sent through any pipe, for example
#     ssh phone imsg-keygen -n phone --account THUMBPRINT alice@example.com | imsg-register
# THUMBPRINT is that of the account key, which imsg-keygen -F prints: by it the phone knows which devices are its owner's.
# Here the devices are two folders. A lost device is removed by its name, and from then on nobody seals for it.
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

laptop() { IMSG_HOME=$work/laptop "$@"; } # of alice; it has the account key
phone() { IMSG_HOME=$work/phone "$@"; }   # of alice
bob() { IMSG_HOME=$work/bob "$@"; }

laptop imsg-keygen -n laptop alice@example.com | laptop imsg-register -q
bob imsg-keygen -n desk bob@example.com | bob imsg-register -q

echo "== alice's phone makes its keys; the laptop signs for it"
account=$(laptop imsg-keygen -F -j | jq -r .account)
phone imsg-keygen -n phone --account "$account" alice@example.com | laptop imsg-register
laptop imsg-lookup alice@example.com | jq -r '"device \(.token[0:8]), \(.name)"'
[ "$(laptop imsg-lookup alice@example.com | jq -r .name | sort | xargs)" = "laptop phone" ]

echo "== the phone cannot do that by itself: it does not have the account key"
status=0
phone imsg-keygen -y | phone imsg-register || status=$?
[ "$status" -eq 1 ]

echo "== bob's message reaches both"
echo "one" | bob imsg-seal -q -r alice@example.com | bob imsg-push
for device in laptop phone; do
  [ "$("$device" imsg-pull | "$device" imsg-open)" = one ]
done

echo "== the phone is lost: the laptop removes it"
laptop imsg-register --remove phone
[ "$(laptop imsg-lookup alice@example.com | jq -r .name)" = laptop ]

echo "== bob's next message is sealed for the laptop alone"
echo "two" | bob imsg-seal -q -r alice@example.com -o two.jsonl
[ "$(jq -r .to_token two.jsonl)" = "$(laptop imsg-keygen -y | jq -r .token)" ]
bob imsg-push two.jsonl
[ "$(laptop imsg-pull | laptop imsg-open)" = two ]
phone imsg-pull >nothing
[ ! -s nothing ]

echo "== and what the finder of the phone writes is refused"
echo "it is me" | phone imsg-seal -q --no-self -r bob@example.com | phone imsg-push
status=0
bob imsg-pull >forged.jsonl
bob imsg-open forged.jsonl >nothing || status=$?
[ "$status" -eq 1 ]
[ ! -s nothing ]
