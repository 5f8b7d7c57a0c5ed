#!/usr/bin/env bats
# libcurl is loaded when the first remote location turns up, and only then.
load common
load nginx
setup() {
  setup_common
  BUILD=${BUILD:-$(dirname "$BIN")}
  mkdir lib
}
teardown() {
  end_servers
  teardown_common
}

# with_lib COMMAND...: it finds the libcurl in $T/lib before the system's.
with_lib() { LD_LIBRARY_PATH=$T/lib "$@"; }
# fails_everywhere WORDS: every tool that talks says it, in one line, with 78 and what to do.
fails_everywhere() {
  local url=http://127.0.0.1:1 command
  new_user alice
  new_user bob
  echo hello >hello
  as alice imsg-seal -q --no-self -r bob@example.com hello >sealed
  as alice imsg-attach put hello >hello.d
  as alice imsg-keygen -y >alice.jsonl
  for command in "imsg-lookup -d $url bob@example.com" "imsg-register -d $url alice.jsonl" "imsg-push --relay $url sealed" \
    "imsg-pull --relay $url" "imsg-pull -w --relay $url" "imsg-attach put --store $url hello"; do
    # shellcheck disable=SC2086 # words
    expect 78 with_lib as alice $command
    no_out
    errors_are 1
    err_has 'cannot speak HTTP: '
    err_has "$1"
    err_has "${command%% *}: hint: install libcurl 4 (7.85 or newer)"
    [ "$(wc -l <err)" -eq 2 ]
  done
}

@test "a libcurl that cannot be loaded is one clear line and 78" {
  echo nonsense >lib/libcurl.so.4
  fails_everywhere libcurl.so.4
}

@test "a libcurl without what is needed is the same" {
  command -v "${CC:-cc}" >/dev/null || skip "no compiler is here"
  echo 'int curl_global_init(long flags) { return (int)flags; }' >curl.c
  "${CC:-cc}" -shared -fPIC -o lib/libcurl.so.4 curl.c
  fails_everywhere 'undefined symbol: curl_version'
}

@test "a libcurl that is too old is the same" {
  command -v "${CC:-cc}" >/dev/null || skip "no compiler is here"
  {
    for name in global_init version slist_append slist_free_all easy_init easy_setopt easy_getinfo easy_cleanup easy_header \
      easy_strerror multi_init multi_setopt multi_add_handle multi_remove_handle multi_perform multi_poll \
      multi_info_read multi_cleanup; do
      echo "void *curl_$name(void) { return 0; }"
    done
    echo 'static struct { int age; const char *version; unsigned number; } old = {9, "7.84.0", 0x075400};'
    echo 'void *curl_version_info(void) { return &old; }'
  } >curl.c
  "${CC:-cc}" -shared -fPIC -o lib/libcurl.so.4 curl.c
  fails_everywhere 'libcurl.so.4 is older than 7.85'
}

@test "what needs no server does not load it" {
  echo nonsense >lib/libcurl.so.4
  with_lib new_user alice
  with_lib new_user bob
  echo hello >hello
  expect 0 with_lib as alice imsg-lookup -q bob@example.com
  cp out bob.jsonl
  with_lib as alice imsg-attach put hello | with_lib as alice imsg-seal -q --no-self -r bob@example.com -a - hello >sealed
  expect 0 with_lib as alice imsg-push sealed
  expect 0 with_lib as bob imsg-pull
  cp out pulled
  expect 0 with_lib as bob imsg-open -qj pulled
  cp out opened
  expect 0 with_lib as bob imsg-attach get opened
  cmp hello hello-1
  expect 0 with_lib imsg-inspect sealed
  # A server that is configured and not asked, and offline altogether.
  export IMSG_SERVER=https://server.example
  expect 0 with_lib as alice imsg-seal -q --no-self -R bob.jsonl hello
  expect 0 with_lib as alice imsg-keygen -y
  expect 0 with_lib as bob imsg-pull --new
  expect 0 with_lib as alice imsg-lookup --path bob@example.com
  expect 0 with_lib as alice imsg-lookup --pins
}

@test "-v says what was loaded, once, and nothing says so where nothing was" {
  new_user alice
  new_user bob
  expect 0 as alice imsg-lookup -v bob@example.com
  without grep -q loaded err
  start_nginx static 'listen 127.0.0.1:%PORT%;' "root $T/.local/share/imsg/directory;"
  expect 0 as alice imsg-lookup -v -d "http://127.0.0.1:$PORT" bob@example.com alice@example.com
  [ "$(grep -c '^imsg-lookup: loaded libcurl/[1-9]' err)" -eq 1 ]
  expect 0 as alice imsg-lookup -d "http://127.0.0.1:$PORT" bob@example.com
  without grep -q loaded err
}
