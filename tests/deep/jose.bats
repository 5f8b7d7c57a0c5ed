#!/usr/bin/env bats
# Somebody else's JOSE on ours, and ours on somebody else's: the npm package jose.
load ../cli/common
load ../cli/serve
load ../cli/nginx
setup() {
  setup_common
  JOSE=${BUILD:-$(dirname "$BIN")}/node
  [ -d "$JOSE/node_modules/jose" ] || skip "jose is not here: make check-deep installs it"
  export JOSE
}
teardown() {
  end_servers
  serve_teardown
}
jose() { node "$ROOT/tests/deep/jose.mjs" "$@"; }

@test "jose verifies directory entries, and has the same thumbprint for the account key" {
  new_user alice
  new_device phone alice alice@example.com
  entry=.local/share/imsg/directory/$(imsg-lookup --path alice@example.com)
  jose entry "$entry" >said
  jq -r .payload "$entry" | basenc --base64url -d 2>/dev/null >payload || true
  head -n 1 said | cmp - <(cat payload; echo)
  [ "$(head -n 1 said | jq '.devices | length')" -eq 2 ]
  [ "$(tail -n 1 said)" = "$(imsg-inspect -j "$entry" | jq -r .account)" ]
  # What was changed neither of the two takes.
  for change in '.signature |= (.[0:10] + (if .[10:11] == "A" then "B" else "A" end) + .[11:])' \
    '.payload |= (.[0:10] + (if .[10:11] == "A" then "B" else "A" end) + .[11:])'; do
    jq -c "$change" "$entry" >changed
    without jose entry changed 2>/dev/null
    expect 1 imsg-inspect changed
  done
}

@test "jose verifies our bearer tokens" {
  new_user alice
  printf 'HTTP/1.1 204 No Content\r\n\r\n' >none
  start_wire wire none
  as alice imsg-pull --insecure-http --relay "http://127.0.0.1:$PORT"
  tr -d '\r' <wire.log | sed -n 's/^authorization: bearer //Ip' | head -n 1 >token
  jose bearer "http://127.0.0.1:$PORT" <token >said
  [ "$(head -n 1 said | jq -r .iss)" = "$(token alice)" ]
  [ "$(tail -n 1 said)" = "$(token alice)" ]
  without jose bearer "http://127.0.0.1:1" <token 2>/dev/null
}

@test "the server takes tokens that jose made, and refuses those that it should" {
  serve_start --register open
  new_user alice
  new_user bob
  put_entry alice && is 201
  auth_key alice alice.pem
  auth_key bob bob.pem
  get() { req GET "/3/device/$(token alice)?wait=0" -H "authorization: bearer $(jose make "$@")"; }
  get alice.pem "$(token alice)" "$ORIGIN" 0 ES256 && is 200
  get alice.pem "$(token alice)" "$ORIGIN" 200 ES256 && is 200
  get alice.pem "$(token alice)" "$ORIGIN" 400 ES256 && is 403 ExpiredProviderToken
  get alice.pem "$(token alice)" "$ORIGIN" -400 ES256 && is 403
  get alice.pem "$(token alice)" https://other.example 0 ES256 && is 403 InvalidProviderToken
  get bob.pem "$(token bob)" "$ORIGIN" 0 ES256 && is 403 InvalidProviderToken
  get bob.pem "$(token alice)" "$ORIGIN" 0 ES256 && is 403 InvalidProviderToken
  get alice.pem "$(token alice)" "$ORIGIN" 0 HS256 && is 403 InvalidProviderToken
}
