# imsg-serve behind tests/cli/flaky.c, which does wrong to a part of the requests.
# shellcheck source=tests/cli/serve.bash
. "${BASH_SOURCE[0]%/*}/serve.bash"

# flaky_start PERCENT: sets URL to that of the one in front, FLAKY_PID; its counts go to $T/flaky.counts.
flaky_start() {
  local build=${BUILD:-$(dirname "$BIN")} port
  mkfifo "$T/flaky.in" "$T/flaky.port"
  "$build/flaky" "$1" 7 <"$T/flaky.in" >"$T/flaky.port" 3>&- &
  FLAKY_PID=$!
  exec 8>"$T/flaky.in" 7<"$T/flaky.port"
  read -r port <&7
  serve_start --plain-http --register open --origin "http://127.0.0.1:$port"
  echo "${URL##*:}" >&8
  exec 8>&-
  URL=http://127.0.0.1:$port
  export IMSG_SERVER=$URL
}
# flaky_stop: its counts in $T/flaky.counts.
flaky_stop() {
  [ -n "${FLAKY_PID:-}" ] || return 0
  kill "$FLAKY_PID"
  cat <&7 >"$T/flaky.counts"
  exec 7<&-
  wait "$FLAKY_PID" || true
  FLAKY_PID=
}

# flaky_messages COUNT: that many messages through a server of which 30 % of the answers are wrong; each is in the inbox
# once, and once only.
flaky_messages() {
  flaky_start 30
  new_user alice
  new_user bob
  seq "$1" | jq -c '{to: ["bob@example.com"], content: tostring}' | as alice imsg-seal -q --each --no-self >sealed
  expect 0 as alice imsg-push --retry-for 120 sealed
  expect 0 as bob imsg-pull --retry-for 120
  as bob imsg-open -qj out | jq -r .content | sort -n >numbers
  seq "$1" | cmp - numbers
  [ "$(find bob/inbox -type f ! -name '.*' | wc -l)" -eq "$1" ]
  expect 0 as bob imsg-pull --retry-for 120
  no_out
  flaky_stop
  cat flaky.counts
  # It did what it should: about 30 %, and of each kind.
  [ "$(awk '{ n += $2; if ($1 != "right") w += $2 } END { print (w > n / 5 && w < n * 2 / 5) }' flaky.counts)" = 1 ]
  [ "$(awk '$2 > 0' flaky.counts | wc -l)" -eq 7 ]
}
