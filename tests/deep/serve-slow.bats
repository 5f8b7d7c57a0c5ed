#!/usr/bin/env bats
# Who is slow at imsg-serve: cut off, while others are served. Takes as long as the server's patience, about a minute.
load ../cli/common
load ../cli/serve
setup_file() { people alice bob; }
setup() { setup_base; }
teardown() {
  [ -z "${DRIP:-}" ] || kill "$DRIP" 2>/dev/null || true
  serve_teardown
}

@test "slow headers, idle connections, slow bodies and slow readers are cut, who waits for a message is not" {
  ready --plain-http
  head -c 30000000 /dev/zero >large
  req PUT "/store/$(sha256sum large | cut -c 1-64)" -H "$(auth bob)" --data-binary @large
  is 201
  port=${URL##*:}
  # 4: says nothing. 5: headers without an end. 6: a request, and nothing after it. 7: a body that does not come.
  # 8: a body that drips. 9: takes 30 MB and reads none of it.
  for fd in 4 5 6 7 8 9; do eval "exec $fd<>/dev/tcp/127.0.0.1/$port"; done
  printf 'GET /healthz HTTP/1.1\r\nHost: x\r\nx: y' >&5
  printf 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n' >&6
  for fd in 7 8; do
    printf 'POST /3/device/%s HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 1000\r\n\r\n{' "$(token bob)" "$(auth alice)" >&$fd
  done
  (while printf x >&8; do sleep 1; done) 2>/dev/null 3>&- &
  DRIP=$!
  printf 'GET /store/%s HTTP/1.1\r\nHost: x\r\n\r\n' "$(sha256sum large | cut -c 1-64)" >&9
  poll bob polled 300
  until_metric imsg_long_polls 1
  # The two without headers go first.
  until_metric imsg_connections_overdue_total 2 60
  cat <&4 >end.4
  cat <&5 >end.5
  [ "$(metric imsg_connections)" = 6 ] # and this one
  until_metric imsg_connections_overdue_total 6 120
  for fd in 6 7 8; do eval "cat <&$fd >end.$fd"; done
  [ "$(head -n 1 end.6 | tr -d '\r')" = 'HTTP/1.1 200 OK' ]
  cat end.4 end.5 end.7 end.8 | cmp - /dev/null
  cat <&9 >end.9
  [ "$(wc -c <end.9)" -lt 30000000 ]
  kill -0 "$POLL"
  until_metric imsg_connections 2
  post alice bob line
  is 200
  poll_ends polled
  cmp line polled
}

@test "a TLS connection that says nothing is cut" {
  ready
  exec 4<>"/dev/tcp/127.0.0.1/${URL##*:}"
  until_metric imsg_connections_overdue_total 1
  cat <&4 >end
  cmp end /dev/null
  req GET /healthz
  is 200
}
