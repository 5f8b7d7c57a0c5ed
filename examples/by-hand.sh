#!/bin/sh
# Opens a message by hand, with openssl, jq and xxd: it shows the parts of a payload of each format, the use of each key,
# and every check that imsg-open makes. imsg-formats(5), sections 1 to 5, explains the numbers.
# This script puts private keys and secrets into files and on command lines, where other users could see them. Use it for
# study only.
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

# ---- bytes ----

# bytes FILE OFFSET [LENGTH]: a part of FILE.
bytes() {
  tail -c +$(($2 + 1)) "$1" | if [ $# -gt 2 ]; then head -c "$3"; else cat; fi
}
size() { wc -c <"$1" | tr -d ' '; }
hex() { xxd -p | tr -d '\n'; }
unhex() { xxd -r -p; }
field() { jq -r ".$2" "$1" | base64 -d; } # field FILE NAME: a base64 member of a document
show() { printf '  %-22s %s\n' "$1" "$2"; }
is() { # is WHAT ACTUAL EXPECTED
  [ "$2" = "$3" ] || { echo "$1: $2, not $3" >&2; exit 1; }
  show "$1" "$2"
}

# ---- keys ----

# point_pem: 04 X Y or 02/03 X on stdin, as a public P-256 key. The prefix is the DER of "EC key on P-256".
point_pem() {
  point=$(hex)
  case $point in
    04*) head=3059301306072a8648ce3d020106082a8648ce3d030107034200 ;;
    *) head=3039301306072a8648ce3d020106082a8648ce3d030107032200 ;;
  esac
  printf %s "$head$point" | unhex | openssl pkey -pubin -inform DER -ec_conv_form uncompressed
}

# lift FILE: the point of a compact key, 32 bytes x. Its y is the smaller of the two roots, y <= (p-1)/2, which is even for
# half of all keys; so both compressed forms are tried.
half=7fffffff800000008000000000000000000000007fffffffffffffffffffffff
lift() {
  for sign in 02 03; do
    printf %s "$sign$(hex <"$1")" | unhex | point_pem >lifted.pem
    y=$(openssl pkey -pubin -in lifted.pem -outform DER | tail -c 32 | hex)
    if [ "$(printf '%s\n' "$y" "$half" | LC_ALL=C sort | head -n 1)" = "$y" ]; then
      cat lifted.pem
      return
    fi
  done
  return 1
}

# der_signature FILE: r||s, 64 bytes, as the DER that openssl needs. A DER integer has no leading zeros, except for one zero
# byte if the first bit is set.
der_integer() {
  number=$(printf %s "$1" | sed 's/^\(00\)*//')
  case $number in [89a-f]*) number=00$number ;; esac
  printf '02%02x%s' $((${#number} / 2)) "$number"
}
der_signature() {
  both=$(hex <"$1")
  numbers=$(der_integer "$(printf %s "$both" | cut -c 1-64)")$(der_integer "$(printf %s "$both" | cut -c 65-128)")
  printf '30%02x%s' $((${#numbers} / 2)) "$numbers" | unhex
}

# ---- the messages ----

alice imsg-keygen -n laptop alice@example.com >alice.jsonl
bob imsg-keygen -n laptop bob@example.com >bob.jsonl
# The text is so long that a part of the "pair" ciphertext is outside the RSA block.
printf 'the quick brown fox jumps over the lazy dog\n' >text
for format in pair pair-ec; do
  alice imsg-seal -E "$format" -R bob.jsonl -o "$format.jsonl" text
  bob imsg-open -q -R alice.jsonl "$format.jsonl" | cmp - text
done

# Bob has the private keys in his identity, and Alice's public record.
for key in encryption signing device prekey; do
  jq -r ".keys.$key" bob/identity.json >"bob-$key.pem"
done

# check_message ENVELOPE: checks that the file message is a header line that belongs to ENVELOPE, and then the content.
check_message() {
  head -n 1 message | jq -c '{imsg, from, to, type}'
  is "id" "$(head -n 1 message | jq -r .id)" "$(jq -r .id "$1")"
  tail -n +2 message | cmp - text
  show "content" "$(tail -n +2 message)"
}

echo "== pair"
field pair.jsonl payload >payload.bin
show "payload" "$(size payload.bin) bytes"

# The frame: 02, u16be length, body, u8 length, signature.
is "version" "$(bytes payload.bin 0 1 | hex)" 02
body_length=$((0x$(bytes payload.bin 1 2 | hex)))
bytes payload.bin 3 "$body_length" >body
signature_length=$((0x$(bytes payload.bin $((3 + body_length)) 1 | hex)))
bytes payload.bin $((4 + body_length)) >signature
show "body" "$body_length bytes"
is "signature" "$(size signature)" "$signature_length"

# The signature: ECDSA with SHA-1 over the body, by the sender's signing key, which is in the sender's public identity.
field alice.jsonl identity >alice.identity
bytes alice.identity 7 65 | point_pem >alice-signing.pem
is "signature over body" "$(openssl dgst -sha1 -verify alice-signing.pem -signature signature body)" "Verified OK"

# The block: RSA-OAEP with Bob's encryption key. It contains the AES key and the first 100 bytes of the ciphertext.
bytes body 0 160 >block
openssl pkeyutl -decrypt -inkey bob-encryption.pem -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1 \
  -pkeyopt rsa_mgf1_md:sha1 -in block -out opened
key=$(bytes opened 0 16 | hex)
show "key" "$key"
{ bytes opened 16; bytes body 160; } >ciphertext
show "ciphertext" "$(size ciphertext) bytes"
openssl enc -d -aes-128-ctr -K "$key" -iv 00000000000000000000000000000001 -in ciphertext -out message

# The tag: the key is 11 random bytes, the seed, and then the first 40 bits of HMAC(seed, message || 02 || hash(sender) ||
# hash(recipient)). Each hash covers the two inner parts of a public identity.
field bob.jsonl identity >bob.identity
hash() { { bytes "$1" 5 67; bytes "$1" 75 174; } | openssl dgst -sha256 -binary; }
{ cat message; printf '\002'; hash alice.identity; hash bob.identity; } >tagged
seed=$(bytes opened 0 11 | hex)
tag=$(openssl dgst -sha256 -mac HMAC -macopt "hexkey:$seed" -binary tagged | head -c 5 | hex)
is "tag" "$(bytes opened 11 5 | hex)" "$tag"
check_message pair.jsonl

echo "== pair-ec"
field pair-ec.jsonl payload >payload.bin
show "payload" "$(size payload.bin) bytes"

# The outer protobuf. The last three fields have fixed lengths: 12 20 ephemeral key, 1A 40 signature, 9A 06 07 validator,
# 110 bytes together. The first is 0A, a length, and the ciphertext.
end=$(size payload.bin)
is "field 2" "$(bytes payload.bin $((end - 110)) 2 | hex)" 1220
is "field 3" "$(bytes payload.bin $((end - 76)) 2 | hex)" 1a40
is "field 99" "$(bytes payload.bin $((end - 10)) 3 | hex)" 9a0607
bytes payload.bin $((end - 108)) 32 >ephemeral
bytes payload.bin $((end - 74)) 64 >signature
bytes payload.bin $((end - 7)) 7 >validator

# varint FILE OFFSET: sets $value and $next. Seven bits in each byte, the low bits first; the top bit is set if more follow.
varint() {
  value=0
  shift_by=0
  next=$2
  while :; do
    byte=$((0x$(bytes "$1" "$next" 1 | hex)))
    value=$((value | (byte & 127) << shift_by))
    shift_by=$((shift_by + 7))
    next=$((next + 1))
    [ "$byte" -ge 128 ] || return 0
  done
}
is "field 1" "$(bytes payload.bin 0 1 | hex)" 0a
varint payload.bin 1
is "ciphertext" "$value" $((end - 110 - next))
bytes payload.bin "$next" "$value" >ciphertext

# The compact keys from the records, and the validator, which identifies them.
field alice.jsonl device_key >alice-device
field bob.jsonl device_key >bob-device
field bob.jsonl prekey >bob-prekey-record
bytes bob-prekey-record 2 32 >bob-prekey
is "validator" "$(hex <validator)" \
  "$({ bytes alice-device 0 2; bytes bob-device 0 2; bytes bob-prekey 0 2; printf '\014'; } | hex)"

# The prekey record: Bob's device key signs it, so that nobody can replace the prekey.
{ printf NGMPrekeySignature; cat bob-prekey; bytes bob-prekey-record 101 8; } >prekey-signed
bytes bob-prekey-record 36 64 >prekey-signature
lift bob-device >bob-device.pub.pem
der_signature prekey-signature >prekey-signature.der
is "signature of prekey" \
  "$(openssl dgst -sha256 -verify bob-device.pub.pem -signature prekey-signature.der prekey-signed)" "Verified OK"

# ECDH of the ephemeral key and Bob's prekey; then the signature: ECDSA with SHA-256 by Alice's device key. It covers the
# secret too, so only a device that can open a message can check who sent it.
lift ephemeral >ephemeral.pem
openssl pkeyutl -derive -inkey bob-prekey.pem -peerkey ephemeral.pem -out secret
show "secret" "$(hex <secret)"
cat secret bob-prekey ephemeral bob-device ciphertext >signed
lift alice-device >alice-device.pem
der_signature signature >signature.der
is "signature" "$(openssl dgst -sha256 -verify alice-device.pem -signature signature.der signed)" "Verified OK"

# HKDF derives the key and the first counter block from the secret. (openssl counts in all 16 bytes of the block, the format
# in the last 8. The results are the same unless the last 8 bytes overflow.)
openssl kdf -keylen 48 -kdfopt digest:SHA256 -kdfopt "hexkey:$(hex <secret)" -kdfopt salt:LastPawn-MessageKeys \
  -binary -out key-iv HKDF
key=$(bytes key-iv 0 32 | hex)
iv=$(bytes key-iv 32 16 | hex)
show "key" "$key"
show "iv" "$iv"
openssl enc -d -aes-256-ctr -K "$key" -iv "$iv" -in ciphertext -out padded

# Padding: n random bytes, and then n as u32le. The padded length is a multiple of 16, plus 4.
end=$(size padded)
n=$((0x$(bytes padded $((end - 4)) 4 | hex | sed 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/')))
show "padding" "$n bytes"
bytes padded 0 $((end - 4 - n)) >inner

# The inner protobuf: 0A length message, 10 counter.
is "field 1" "$(bytes inner 0 1 | hex)" 0a
varint inner 1
bytes inner "$next" "$value" >message
counter=$((next + value))
is "field 2" "$(bytes inner "$counter" 1 | hex)" 10
varint inner $((counter + 1))
is "counter" "$value" 0
is "end" "$next" "$(size inner)"
check_message pair-ec.jsonl

echo "both formats opened by hand"
