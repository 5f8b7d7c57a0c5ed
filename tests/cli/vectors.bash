# Identities from tests/vectors/keys.json, or with the keys of one format only; the hex and P-256 that this needs.

unhex() { tr a-f A-F | basenc --base16 -d; }

# Lines x41ab… into x\x41\xab…, for printf %b "${line#x}": a process per file would be most of a test's time.
escape_hex() { sed '/^x/{s/^x//;s/../\\x&/g;s/^/x/}'; }

# The field's prime and the group's order.
P256_P=ffffffff00000001000000000000000000000000ffffffffffffffffffffffff
# shellcheck disable=SC2034 # for raw.bats
P256_N=ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551

# A - B, 64 hex digits each.
hex_minus() {
  local i difference borrow=0 digits result=
  for ((i = 56; i >= 0; i -= 8)); do
    difference=$((16#${1:i:8} - 16#${2:i:8} - borrow))
    borrow=$((difference < 0))
    printf -v digits %08x $((difference & 0xffffffff))
    result=$digits$result
  done
  echo "$result"
}

# The point of the PEM key on stdin, 04 X Y.
point_of() { openssl pkey -text_pub -noout | sed -n 's/^    //p' | tr -d ':\n'; }

# The same with the smaller root, as a compact key means it.
compact_point_of() {
  local point y other
  point=$(point_of)
  y=${point:66}
  other=$(hex_minus "$P256_P" "$y")
  [[ $y < $other ]] || y=$other
  echo "${point:0:66}$y"
}

token_of() { unhex <<<"$1" | openssl dgst -sha256 -r | cut -d' ' -f1; }

# restrict all|pair|pair-ec FILE: the identity in FILE with the keys of one format only, and the token that follows.
restrict() {
  local point
  if [ "$1" = pair ]; then
    point=$(jq -r .keys.signing "$2" | point_of)
  else
    point=$(jq -r .keys.device "$2" | compact_point_of)
  fi
  jq -c --arg kind "$1" --arg token "$(token_of "$point")" '.token = $token
    | if $kind == "pair" then del(.keys.device, .keys.prekey, .prekey_record) else . end
    | if $kind == "pair-ec" then del(.keys.encryption, .keys.signing) else . end' "$2"
}

# vector_identity USER all|pair|pair-ec: identity/1 of that device of the vectors, on stdout.
vector_identity() {
  local file record
  file=$(mktemp "$T/identity.XXXXXX")
  record=$(jq -r ".$1.prekey_record" "$VECTORS/keys.json" | unhex | base64 -w0)
  jq --arg user "$1" --arg record "$record" '.[$user] | {imsg: "identity/1", handles: ["mailto:\($user)@example.com"],
    name: $user, token: "", created: "2026-11-24T03:20:00Z", keys: {encryption: .encryption_pkcs8_pem,
    signing: .signing_pkcs8_pem, device: .device_pkcs8_pem, prekey: .prekey_pkcs8_pem}, prekey_record: $record}' \
    "$VECTORS/keys.json" >"$file"
  restrict "$2" "$file"
  rm "$file"
}
