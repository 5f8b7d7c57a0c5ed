#!/usr/bin/env bats
# imsg-serve killed at 100 random moments while it is pushed to and acknowledged at: what was answered 200 has happened,
# once. ROUNDS: another number of kills.
load ../cli/common
load ../cli/serve
setup_file() { people alice bob; }
setup() { setup_base; }
teardown() {
  [ -z "${ACKS:-}" ] || kill "$ACKS" 2>/dev/null || true
  serve_teardown
}

# to_push FILE...: alice's envelopes, into push.config; push prints "STATUS FILE" for each into "pushed".
to_push() { printf '%s\n' "$@" | sed "s|.*|/3/device/$(token bob) & &|" | transfers POST "$(auth alice)" >push.config; }
push() { curl -s -Z --parallel-max 16 -K push.config >pushed 2>/dev/null; }
milliseconds() { echo $(($(date +%s%N) / 1000000)); }
none() { # on standard input
  cut -c 1-500 >some
  [ ! -s some ] || { head -n 3 some; return 1; }
}
acks() { awk -v path="/3/device/$(token bob)" '{ print path "/" $1, NR }' "$1" | transfers DELETE "$(auth bob)" >ack.config; }
answered() { sed -n 's/^200 //p' "$1" | sort; }

# The names of the envelopes of text.* (docs/format.md §7), in their order, into "hashes". They differ in their payloads.
name_start() {
  local text
  printf 'imsg envelope/1\n'
  while IFS= read -r text; do
    printf %08x "${#text}" | xxd -r -p
    printf %s "$text"
  done < <(jq -r '.id, .from, .from_token, .to, .to_token, .format, .time' line)
}
names() {
  local file text length start
  start=$(name_start | xxd -p | tr -d '\n' | sed 's/../\\x&/g')
  for file in text.*; do
    text=$(<"$file")
    printf -v length '\\x00\\x00\\x00\\x%02x' $((${#text} + 1))
    printf '%b%b%s\n' "$start" "$length" "$text" >"name.${file#text.}"
  done
  sha256sum name.* >hashes
  [ "$(head -n 1 hashes | cut -d' ' -f1)" = "$(name_of "$(cat line.000)")" ]
}

@test "kill -9 at random moments under load" {
  ready --rate 0 --stranger-rate 0
  : >kept # lines that must be there, in the order of "hashes"
  : >hashes
  span=500 # milliseconds that 300 pushes take, or more
  answered_at_all=0 stored_unanswered=0 acknowledged=0 idle=0 cut=0
  for round in $(seq 1 "${ROUNDS:-100}"); do
    rm -f line.* text.* name.*
    seq 0 299 | sed "s/.*/round $round message &/" | split -a 3 -d -l 1 - text.
    cat text.* | jq -Rc --slurpfile line line '$line[0] + {payload: ("\(.)\n" | @base64)}' | split -a 3 -d -l 1 - line.
    # What is there from the last round is acknowledged meanwhile.
    mv hashes old
    acks old
    names
    to_push line.???
    if [ -s ack.config ]; then curl -s -Z --parallel-max 8 -K ack.config >acked 2>/dev/null 3>&- & else : >acked & fi
    ACKS=$!
    push 3>&- &
    POLL=$!
    sleep "$(printf '0.%03d' $((RANDOM % span)))" # the random moment
    serve_kill
    wait "$POLL" || true
    wait "$ACKS" || true
    serve_start --rate 0 --stranger-rate 0
    get bob
    is 200
    sort body >there
    uniq -d there | none
    # Pushed and answered: there.
    answered pushed | xargs -r cat | sort >must
    comm -23 must there | none
    # Acknowledged and answered: not there. Neither: still there.
    awk 'NR == FNR { if ($1 == 200) done[$2] = 1; next } FNR in done' acked kept | sort >gone
    comm -12 gone there | none
    awk 'NR == FNR { tried[$2] = 1; next } !(FNR in tried)' acked kept | sort >untouched
    comm -23 untouched there | none
    # Nothing that nobody sent.
    cat line.??? kept | sort >sent
    comm -13 sent there | none
    n=$(wc -l <must)
    answered_at_all=$((answered_at_all + n))
    acknowledged=$((acknowledged + $(wc -l <gone)))
    stored_unanswered=$((stored_unanswered + $(cat line.??? | sort | comm -12 - there | wc -l) - n))
    case $n in 0) idle=$((idle + 1)) ;; 300) ;; *) cut=$((cut + 1)) ;; esac
    # What both do about the others: once more. Then each of this round is there, once, and nothing else.
    if [ -s old ]; then
      acks old
      curl -sS -Z -K ack.config >acked 2>/dev/null
      [ "$(answered acked | wc -l)" -eq 300 ]
    fi
    answered pushed >through
    printf '%s\n' line.??? | comm -23 - through >again
    if [ -s again ]; then
      # shellcheck disable=SC2046 # names without spaces
      to_push $(cat again)
      started=$(milliseconds)
      push
      [ "$(wc -l <again)" -lt 300 ] || span=$((($(milliseconds) - started) * 5 / 4))
      [ $span -lt 1000 ] || span=999
      [ "$(answered pushed | wc -l)" -eq "$(wc -l <again)" ]
    fi
    get bob
    cat line.??? >kept
    sort kept >all
    sort body >there
    diff all there | none
  done
  echo "# ${ROUNDS:-100} kills, $cut in the middle of the pushes, $idle before the first answer;" \
    "$answered_at_all pushes answered, $stored_unanswered stored whose answer was lost," \
    "$acknowledged acknowledged; 0 lost, 0 twice" >&3
  [ "$cut" -gt 0 ]
  quality 'imsg-serve killed under load: what was answered 200 has happened, once' "${ROUNDS:-100}"
}
