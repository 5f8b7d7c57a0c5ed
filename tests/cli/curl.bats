#!/usr/bin/env bats
# docs/curl.md: every command on the page, in one shell.
load common
setup() { setup_common; }
teardown() { teardown_common; }

@test "the page's commands need only what it says" {
  commands curl.md | grep -oE '\bimsg-[a-z]+' | sort -u >used
  printf '%s\n' imsg-keygen imsg-open imsg-seal imsg-serve | diff used -
  # What stands where a command can stand, but for the page's own functions and the shell's words.
  # (A string of jq's may go over lines.)
  commands curl.md | sed 's/#.*//' | tr '\n' '\001' | sed "s/'[^']*'//g" | tr '\001' '\n' | sed -E 's/[(][(]//g; s/[A-Z_]+=[a-z]+ imsg-/imsg-/g' |
    grep -oE '(^|[|;{(]|\bdo|\bthen) *[a-z_0-9-]+( |$)' | sed -E 's/^.*[|;{( ]([a-z_0-9-]+) *$/\1/; s/ *$//; s/^ *//' | sort -u >used
  commands curl.md | grep -oE '^[a-z0-9_]+\(\)' | tr -d '()' >known
  echo "curl openssl xxd jq cat head tail tr wc sed grep fold cmp date printf echo mkdir mkfifo umask kill wait read" \
    "case esac for while do done if then fi break imsg-keygen imsg-open imsg-seal imsg-serve" | tr ' ' '\n' >>known
  [ "$(wc -l <used)" -gt 15 ]
  grep -vxFf known used >others || true
  diff /dev/null others
}

@test "the commands run, and the message and the file arrive" {
  commands curl.md >walk
  [ "$(wc -l <walk)" -gt 80 ]
  mkdir empty
  # A server that the page could not end is ended by its own pid.
  echo "trap 'kill \"\$server\" 2>/dev/null || true' EXIT" | cat - walk >script
  (cd empty && bash -eu -o pipefail ../script >../said 3>&-)
  grep -qx 'hello Bob' said
  grep -qx 'Verified OK' said
  grep -qx InvalidProviderToken said
  grep -i "^apns-id: $(jq -r .id empty/envelope.json)" said
  grep -q '^{"alg":"ES256","jwk"' said
  diff empty/bob.jsonl empty/found.jsonl
  tail -c 10 empty/ciphertext | xxd | grep -qxFf - said
}

@test "what the page registers and delivers, the tools take, and the other way round" {
  mkdir empty
  {
    echo "trap 'kill \"\$server\" 2>/dev/null || true' EXIT"
    # Before the end, the tools themselves.
    commands curl.md | sed '/^kill \$server/,$d'
    cat <<'END'
export IMSG_SERVER=$url IMSG_PIN=$pin
IMSG_HOME=alice imsg-lookup -q bob@example.com >looked-up
echo again | IMSG_HOME=alice imsg-seal -q -r bob@example.com | IMSG_HOME=alice imsg-push
ask -f -H "authorization: bearer $(bearer bob)" "$url/3/device/$token" >inbox.jsonl
IMSG_HOME=bob imsg-open -q inbox.jsonl >opened
END
  } >script
  (cd empty && bash -eu -o pipefail ../script >../said 3>&-)
  cmp empty/looked-up empty/bob.jsonl
  echo again | cmp - empty/opened
}
