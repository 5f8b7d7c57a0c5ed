#!/usr/bin/env bats
# What takes too long for make check: an attachment of 100 MB over imsg-serve, and servers that say nothing.
load ../cli/common
load ../cli/serve
load ../cli/nginx
setup() {
  setup_common
  BUILD=${BUILD:-$(dirname "$BIN")}
  SIZE=104857600
}
teardown() {
  end_servers
  serve_teardown
}

# again: the server that was killed, at the same place.
again() {
  local place=${URL#https://}
  serve_start -l "$place" --register open
}
# rest_of DEVICE: gets photo.jpg while the server is killed in the middle; false where it was too fast for that.
rest_of() {
  local get part='' sent
  rm -rf got
  mkdir got
  as "$1" imsg-attach get -o got opened >line 2>err 3>&- &
  get=$!
  while [ -z "$part" ] && kill -0 $get 2>/dev/null; do part=$(find got -name '*.part' -size +1M); done
  serve_kill
  again
  wait $get || { cat err; return 2; }
  cmp photo.jpg got/photo.jpg || return 2
  sent=$(metric imsg_store_sent_bytes_total)
  echo "# the rest: $sent of $SIZE bytes"
  [ "$sent" -gt 0 ] && [ "$sent" -lt "$SIZE" ]
}

@test "an attachment of 100 MB, in both directions, to two devices, in constant memory" {
  serve_start --register open
  export IMSG_SERVER=$URL IMSG_PIN=$PIN
  new_user alice
  new_device alice-phone alice alice@example.com
  new_user bob
  new_device bob-phone bob bob@example.com
  head -c "$SIZE" /dev/urandom >photo.jpg
  for pair in alice:bob bob-phone:alice; do
    from=${pair%:*} to=${pair#*:}
    as "$from" /usr/bin/time -o size -f %M imsg-attach put photo.jpg >put.d
    [ "$(cat size)" -lt 49152 ] || [ -n "${VALGRIND:-}${SAN:-}" ]
    as "$from" imsg-seal -q -r "$to@example.com" -a put.d </dev/null | as "$from" imsg-push
    for device in "$to" "$to-phone"; do
      mkdir "got.$from.$device"
      as "$device" imsg-pull >pulled
      as "$device" imsg-open -qj pulled >opened
      as "$device" /usr/bin/time -o size -f %M imsg-attach get -o "got.$from.$device" opened >line
      [ "$(cat size)" -lt 49152 ] || [ -n "${VALGRIND:-}${SAN:-}" ]
      cmp photo.jpg "got.$from.$device/photo.jpg"
    done
  done
}

@test "a get of 100 MB goes on where it was when the server comes back" {
  serve_start --register open
  export IMSG_SERVER=$URL IMSG_PIN=$PIN
  new_user alice
  head -c "$SIZE" /dev/urandom >photo.jpg
  as alice imsg-attach put photo.jpg >opened
  # A fast one may be at its end when the server is.
  for _ in 1 2 3 4 5; do
    status=0
    rest_of alice || status=$?
    [ $status -eq 1 ] || break
  done
  [ $status -eq 0 ]
}

@test "a server that says nothing, or stops in the middle, is given up after 30 seconds: 75" {
  printf 'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{' >stuck
  start_wire silent hang
  as alice imsg-lookup -d "http://127.0.0.1:$PORT" --retry-for 0 bob@example.com 2>silent.err 3>&- &
  one=$!
  start_wire second stuck
  as alice imsg-lookup -d "http://127.0.0.1:$PORT" --retry-for 0 bob@example.com 2>stuck.err 3>&- &
  two=$!
  for pid in $one $two; do
    status=0
    wait "$pid" || status=$?
    [ $status -eq 75 ]
  done
  [ "$(grep -c ': error: .*too slow' silent.err)" -eq 1 ]
  [ "$(grep -c ': error: .*too slow' stuck.err)" -eq 1 ]
}
