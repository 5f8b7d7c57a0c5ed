#!/usr/bin/env bats
# Other people's servers in the place of ours and before it: nginx as a store (WebDAV), as the host of all three services
# by halves, and as the proxy of imsg-serve.
load common
load nginx
load serve
setup_file() {
  setup_common
  make_ca
  make_cert good DNS:localhost,IP:127.0.0.1
  keep_base
}
setup() {
  setup_base
  command -v nginx >/dev/null || skip "nginx is not here"
  nginx -V 2>&1 | grep -q http_dav_module || skip "nginx has no WebDAV here"
  export IMSG_CACERT=$T/ca.pem
}
teardown() {
  end_servers
  serve_teardown
}

# webdav [LINE...]: a store at https://localhost:PORT, its files in $T/dav.
# shellcheck disable=SC2120
webdav() {
  mkdir -p dav
  start_nginx dav "$(tls good)" "root $T/dav;" 'client_max_body_size 0;' \
    'location / { dav_methods PUT; create_full_put_path on; }' "$@"
  export IMSG_STORE=https://localhost:$PORT
}

@test "WebDAV is a store: what is put is there by its hash, and comes back" {
  webdav
  head -c 3000000 /dev/urandom >photo.jpg
  new_user alice
  as alice imsg-attach put photo.jpg >photo.d
  sum=$(jq -r .sha256 photo.d)
  [ "$(jq -r .uri photo.d)" = "https://localhost:$PORT/store/$sum" ]
  [ "$(sha256sum <"dav/store/$sum" | cut -c1-64)" = "$sum" ]
  mkdir got
  imsg-attach get -o got photo.d >line
  cmp photo.jpg got/photo.jpg
  # Without a key of one's own as well, and put once more by somebody else.
  new_user bob
  as bob imsg-attach put photo.jpg >bob.d
  as alice imsg-attach get -o got bob.d >line
  cmp photo.jpg got/photo-1.jpg
}

# get_the_rest: a photo of 3 MB is put into the store; a get of it finds the first megabyte there.
get_the_rest() {
  new_user alice
  head -c 3000000 /dev/urandom >photo.jpg
  as alice imsg-attach put photo.jpg >photo.d
  sum=$(jq -r .sha256 photo.d)
  mkdir got
  head -c 1000000 "dav/store/$sum" >"got/.$sum.part"
  imsg-attach get -o got photo.d >line
  cmp photo.jpg got/photo.jpg
}

@test "a get from WebDAV goes on where it was" {
  webdav
  get_the_rest
  grep -q "GET /store/$sum HTTP/2.0\" 206 2000000 " dav.log
  # A part that is as long as the object, and one that is longer than what the server has.
  cp "dav/store/$sum" "got/.$sum.part"
  imsg-attach get -o got photo.d >line
  cmp photo.jpg got/photo-1.jpg
  truncate -s 500000 "dav/store/$sum"
  head -c 1000000 /dev/urandom >"got/.$sum.part"
  expect 1 imsg-attach get -o got photo.d
  errors_are 1
  [ ! -e "got/.$sum.part" ]
}

@test "a host that gives no parts gives all of it again, and what was there is passed over" {
  webdav 'max_ranges 0;'
  get_the_rest
  [ "$(grep -c "GET /store/$sum HTTP/2.0\" 200 3000000 " dav.log)" -eq 1 ]
}

@test "a host that may be read only, or has no room, keeps the descriptor from being made" {
  mkdir dav
  start_nginx dav "$(tls good)" "root $T/dav;"
  echo hi >f
  expect 69 imsg-attach put --store "https://localhost:$PORT" f
  no_out
  errors_are 1
  start_nginx full "$(tls good)" 'location / { return 507; }'
  expect 75 imsg-attach put --retry-for 0 --store "https://localhost:$PORT" f
  no_out
}

@test "directory on a static host, store on WebDAV, relay in a folder" {
  webdav
  new_user alice
  new_user bob
  mv .local/share/imsg/directory site
  start_nginx static "$(tls good)" "root $T/site;"
  export IMSG_DIRECTORY=https://localhost:$PORT IMSG_RELAY=$T/relay
  as bob imsg-pull
  head -c 100000 /dev/urandom >photo.jpg
  as alice imsg-attach put photo.jpg | as alice imsg-seal --no-self -r bob@example.com -a - | as alice imsg-push
  mkdir got
  as bob imsg-pull | as bob imsg-open -j | as bob imsg-attach get -o got >line
  cmp photo.jpg got/photo.jpg
}

# proxied [LINE...]: imsg-serve on a Unix socket, behind nginx.
# shellcheck disable=SC2120
proxied() {
  start_nginx front "$(tls good)" 'client_max_body_size 0; proxy_request_buffering off;' \
    "location / { proxy_pass http://unix:$T/serve.sock:; proxy_http_version 1.1; proxy_read_timeout 400; }" "$@"
  URL=https://localhost:$PORT
  imsg-serve -l "$T/serve.sock" -D data --plain-http --register open --origin "$URL" >serve.said 2>serve.err 3>&- &
  SERVER_PID=$!
  until grep -q listening serve.said; do kill -0 "$SERVER_PID"; done
  export IMSG_SERVER=$URL
}

@test "imsg-serve behind nginx, over HTTP/2: everything works" {
  proxied
  new_user alice
  new_user bob
  new_device phone bob bob@example.com
  head -c 2000000 /dev/urandom >photo.jpg
  as alice imsg-attach put photo.jpg | as alice imsg-seal -r bob@example.com -a - | as alice imsg-push
  seq 100 | jq -c '{to: ["bob@example.com"], content: tostring}' | as alice imsg-seal -q --each --no-self | as alice imsg-push
  for device in bob phone; do
    mkdir "got.$device"
    as "$device" imsg-pull >"$device.pulled"
    as "$device" imsg-open -qj "$device.pulled" | as "$device" imsg-attach get -o "got.$device" >"$device.opened"
    cmp photo.jpg "got.$device/photo.jpg"
    jq -r 'select(.header.attachments | not).content' "$device.opened" | sort -n | cmp - <(seq 100)
  done
  grep -q 'POST /3/device/.* HTTP/2.0" 200' front.log
  grep -q 'POST /3/device/.*/acknowledge HTTP/2.0" 200' front.log
  expect 67 imsg-lookup nobody@example.com
}

@test "a long poll through nginx ends with what came" {
  proxied
  new_user alice
  new_user bob
  as bob imsg-pull -w >stream 3>&- &
  pull=$!
  echo hello | as alice imsg-seal --no-self -r bob@example.com | as alice imsg-push
  while [ "$(wc -l <stream)" -lt 1 ]; do kill -0 $pull; done
  kill $pull
  wait $pull || true
  [ "$(as bob imsg-open -q stream)" = hello ]
}

@test "a proxy whose server is away is tried again, then 75" {
  proxied
  new_user alice
  serve_stop
  expect 75 as alice imsg-pull --retry-for 1
  errors_are 1
}
