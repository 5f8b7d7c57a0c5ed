#!/usr/bin/env bats
# Clients of others that ask much at once: h2load over HTTP/1.1 to imsg-serve, and over HTTP/2 to nginx before it; wrk is
# what make bench-serve uses.
load ../cli/common
load ../cli/nginx
load ../cli/serve
setup() {
  setup_common
  command -v h2load >/dev/null || skip "h2load is not here"
  command -v nginx >/dev/null || skip "nginx is not here"
}
teardown() {
  end_servers
  serve_teardown
}

# all_good N: the last run answered N requests, each with 2xx.
all_good() { grep -q "requests: $1 total, $1 started, $1 done, $1 succeeded, 0 failed, 0 errored, 0 timeout" out && grep -q "status codes: $1 2xx" out; }

@test "imsg-serve answers h2load, over HTTP/1.1 and TLS" {
  serve_start --register open
  expect 0 h2load --h1 -n 2000 -c 16 "$URL/healthz"
  all_good 2000
}

@test "and over HTTP/2, through nginx: posts of envelopes" {
  make_ca
  make_cert good DNS:localhost,IP:127.0.0.1
  start_nginx front "$(tls good)" \
    "location / { proxy_pass http://unix:$T/serve.sock:; proxy_http_version 1.1; proxy_set_header Connection ''; }"
  URL=https://localhost:$PORT ORIGIN=https://localhost:$PORT
  imsg-serve -l "$T/serve.sock" -D data --plain-http --register open --rate 0 --origin "$ORIGIN" >said 2>serve.err 3>&- &
  SERVER_PID=$!
  until grep -q listening said; do kill -0 "$SERVER_PID"; done
  export IMSG_SERVER=$URL IMSG_CACERT=$T/ca.pem
  new_user alice
  new_user bob
  seal alice bob hello >line
  expect 0 h2load -n 1000 -c 4 -m 16 -H "$(auth alice)" -d line "$URL/3/device/$(token bob)"
  all_good 1000
  grep -q 'Application protocol: h2' out
  [ "$(as bob imsg-pull | as bob imsg-open -qj | jq -r .content)" = hello ] # the same each time, and so once
}
