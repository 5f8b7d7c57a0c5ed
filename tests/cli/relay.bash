# Shared by the Bats files about push and pull: alice and bob made once per file, envelopes made from one.
relay_setup_file() {
  setup_common
  new_user alice
  new_user bob
  echo hello | as alice imsg-seal -q -r bob@example.com >one
  keep_base
}

relay_setup() {
  in_memory
  setup_base
  TOKEN=$(jq -r .to_token one)
  RELAY=$T/.local/share/imsg/relay
  # shellcheck disable=SC2034 # for the tests
  BOX=$RELAY/$TOKEN/new # bob's
  # shellcheck disable=SC2034
  NEW=$T/bob/inbox/new CUR=$T/bob/inbox/cur
}

# envelopes N [FIRST]: lines for bob with payloads of their own, "payload FIRST" and so on (nobody on the way opens one).
envelopes() {
  jq -c --argjson n "$1" --argjson first "${2:-1}" 'range($first; $first + $n) as $i | .payload = ("payload \($i)" | @base64)' one
}

# How many files (hidden ones too) are in these folders; one that is not there has none.
files_in() { find "$@" -mindepth 1 -maxdepth 1 ! -type d 2>/dev/null | wc -l; }
holds() { # N FOLDER
  local n
  n=$(files_in "$2")
  [ "$n" -eq "$1" ] || { echo "$n files in $2, expected $1"; ls -lA "$2"; return 1; }
}

# pipe_without_reader FD: FD is open for writing, and whoever writes to it gets EPIPE.
pipe_without_reader() {
  mkfifo "$T/no-reader"
  exec 8<>"$T/no-reader"
  eval "exec $1>\"\$T/no-reader\""
  exec 8<&-
}
