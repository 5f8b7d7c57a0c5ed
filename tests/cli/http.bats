#!/usr/bin/env bats
# What the tools do with a server that is good, and with all that are not: over TLS by nginx, and over plain HTTP on
# loopback by tests/cli/wire.c.
load common
load nginx
setup_file() {
  setup_common
  make_ca
  make_cert good DNS:localhost,IP:127.0.0.1
  make_cert other DNS:other.example
  make_cert old DNS:localhost,IP:127.0.0.1 0
  new_user alice
  new_user bob
  keep_base
}
setup() {
  setup_base
  command -v nginx >/dev/null || skip "nginx is not here"
  BUILD=${BUILD:-$(dirname "$BIN")}
  mv .local/share/imsg/directory site
  ENTRY=$(imsg-lookup --path bob@example.com)
  unset IMSG_CACERT IMSG_PIN
}
teardown() {
  end_servers
  teardown_common
}

static() { start_nginx static "$(tls "${1:-good}")" "root $T/site;" "${@:2}"; }
look() { as alice imsg-lookup -d "https://localhost:$PORT" "$@" bob@example.com; }
# plain [OPTION...]: bob at the server that wire is.
plain() { as alice imsg-lookup -d "http://127.0.0.1:$PORT" "$@" bob@example.com; }

# shim NAME [OPTION...] <SOURCE: $T/NAME.so, for LD_PRELOAD.
shim() {
  command -v "${CC:-cc}" >/dev/null || skip "no compiler is here"
  cat >"$1.c"
  "${CC:-cc}" -shared -fPIC -o "$1.so" "$1.c" "${@:2}"
}

@test "a plain web host serves a directory over TLS, by its CA or by its pin" {
  static
  as alice imsg-lookup -d site bob@example.com >want
  expect 0 look --cacert ca.pem
  cmp want out
  expect 0 look --pin "$(pin_of good.pem)"
  cmp want out
  IMSG_CACERT=ca.pem expect 0 look
  cmp want out
  IMSG_PIN=$(pin_of good.pem) expect 0 look
  echo "IMSG_CACERT=$T/ca.pem" >alice/config
  expect 0 look
  cmp want out
  # HTTP/2, since the server has it.
  grep -q 'GET /imsg/v1/h/.* HTTP/2.0" 200' static.log
  expect 67 as alice imsg-lookup -d "https://localhost:$PORT" nobody@example.com
  err_has "https://localhost:$PORT"
}

@test "a path below the host, and a slash at its end, are taken" {
  mkdir -p outer/deep
  mv site outer/deep/er
  start_nginx static "$(tls good)" "root $T/outer;"
  for url in "https://localhost:$PORT/deep/er" "https://localhost:$PORT/deep/er/"; do
    expect 0 as alice imsg-lookup -q --cacert ca.pem -d "$url" bob@example.com
  done
}

@test "a certificate by an unknown CA, for another name, or over: 1, and nothing is asked" {
  static good
  expect 1 look
  err_has "directory \"https://localhost:$PORT\": SSL certificate"
  errors_are 1
  [ ! -s static.log ]
  expect 1 look --cacert other.pem
  start_nginx wrong "$(tls other)" "root $T/site;"
  expect 1 look --cacert ca.pem
  err_has 'localhost'
  start_nginx late "$(tls old)" "root $T/site;"
  expect 1 look --cacert ca.pem
  err_has 'expired'
  [ ! -s wrong.log ]
  [ ! -s late.log ]
}

@test "a self-signed certificate is believed by its pin alone" {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout self.key -out self.pem -days 9 -subj /CN=x 2>/dev/null
  static self
  expect 1 look
  expect 1 look --pin "$(pin_of good.pem)"
  err_has 'pin'
  [ ! -s static.log ]
  expect 0 look --pin "$(pin_of self.pem)"
  expect 0 look --pin "$(pin_of good.pem);$(pin_of self.pem)"
}

@test "a CA file is in the place of the system's CAs" {
  local system
  system=$(curl-config --ca 2>/dev/null) && [ -e "$system" ] || skip "where the system keeps its CAs is not known"
  can_mount
  static
  mkdir certs
  cp ca.pem "certs/${system##*/}"
  cp ca.pem certs
  openssl rehash certs 2>/dev/null
  with_system() { with_mounts sh -c "mount --bind certs '${system%/*}' && exec \"\$@\"" - "$@"; }
  export IMSG_HOME=$T/alice
  expect 0 with_system imsg-lookup -d "https://localhost:$PORT" bob@example.com
  expect 1 with_system imsg-lookup -d "https://localhost:$PORT" --cacert other.pem bob@example.com
}

@test "a pin that is none, and a CA file that is not there, are 78" {
  static
  for pin in x "$(pin_of good.pem | cut -c 9-)" "sha256//AAAA" "$T/good.pem" "$(pin_of good.pem);" ''; do
    [ -z "$pin" ] || expect 78 look --pin "$pin"
  done
  expect 78 look --cacert missing.pem
  # http has no key to pin.
  expect 78 as alice imsg-lookup --pin "$(pin_of good.pem)" -d "http://127.0.0.1:$PORT" bob@example.com
}

@test "TLS 1.1 is not spoken" {
  static good 'ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;'
  expect 76 look --cacert ca.pem
  [ ! -s static.log ]
  # Nor is it where OpenSSL would let it.
  shim lax -lssl -lcrypto <<'EOF'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <openssl/ssl.h>
SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)
{
    SSL_CTX *(*next)(const SSL_METHOD *), *context;
    *(void **)&next = dlsym(RTLD_NEXT, "SSL_CTX_new");
    context = next(method);
    SSL_CTX_set_security_level(context, 0);
    return context;
}
EOF
  expect 76 preload "$T/lax.so" look --cacert ca.pem
  [ ! -s static.log ]
}

@test "what does not speak TLS, and what does not speak HTTP, is 76" {
  start_nginx static "listen 127.0.0.1:%PORT%;" "root $T/site;"
  expect 76 look --cacert ca.pem
  echo "SSH-2.0-nonsense" >noise
  start_wire wire noise
  expect 76 plain
}

@test "a connection that ends in the handshake may pass: 75" {
  start_wire wire end
  expect 75 as alice imsg-lookup -d "https://127.0.0.1:$PORT" --retry-for 0 bob@example.com
  errors_are 1
}

@test "http is for this machine, or for --insecure-http" {
  start_nginx static "listen 127.0.0.1:%PORT%;" "root $T/site;"
  for host in 127.0.0.1 localhost; do
    expect 0 as alice imsg-lookup -d "http://$host:$PORT" bob@example.com
  done
  for url in http://directory.example http://10.0.0.1:8080/x http://128.0.0.1; do
    expect 78 as alice imsg-lookup -d "$url" bob@example.com
    err_has 'http is for this machine only'
    err_has --insecure-http
  done
  # The other side of the switch: it is tried then.
  expect 69 as alice imsg-lookup --insecure-http --retry-for 0 -d http://directory.invalid bob@example.com
  err_has 'directory "http://directory.invalid"'
}

@test "a location that is no URL of a host is 78" {
  for url in https:// https://-x.example https://user@host.example https://host:0 https://host:65536 'https://ho st' \
    https://host/a?b https://host/a#b https://1.2.3 https://0x7f000001 https://[::1 ftp://host.example http+unix://relative; do
    expect 78 as alice imsg-lookup -d "$url" bob@example.com
  done
}

@test "a server behind a Unix socket" {
  start_nginx static "listen unix:$T/site.sock;" "root $T/site;"
  expect 0 as alice imsg-lookup -d "http+unix://${T//\//%2F}%2Fsite.sock" bob@example.com
  expect 75 as alice imsg-lookup --retry-for 0 -d "http+unix://${T//\//%2F}%2Fgone.sock" bob@example.com
}

@test "a server that wants a client certificate gets the one configured" {
  make_cert client DNS:alice
  cat client.pem client.key >both.pem
  static good "ssl_client_certificate $T/ca.pem; ssl_verify_client on;"
  expect 69 look --cacert ca.pem
  IMSG_CLIENT_CERT=$T/both.pem expect 0 look --cacert ca.pem
  IMSG_CLIENT_CERT=$T/ca.pem expect 78 look --cacert ca.pem
}

@test "an entry read before is asked for by its ETag, and the copy used only after a 304" {
  static
  expect 0 look --cacert ca.pem
  mv out first
  expect 0 look --cacert ca.pem
  cmp first out
  grep -q '" 304 ' static.log
  [ "$(find .cache/imsg -type f | wc -l)" -eq 1 ]
  [ "$(find .cache -type f -perm /077 | wc -l)" -eq 0 ]
  # Another copy than the host's is not taken without its word …
  cp -r site kept
  as bob imsg-keygen -q -o phone.json -n phone bob@example.com | as bob imsg-register -q -d site
  expect 0 look --cacert ca.pem
  [ "$(wc -l <out)" -eq 2 ]
  # … which is the copy from now on …
  mv out second
  expect 0 look --cacert ca.pem
  cmp second out
  [ "$(grep -c '" 304 ' static.log)" -eq 2 ]
  # … nor where the host is away, or has none any more.
  kill "$(cat static.pid)"
  while [ -e static.pid ]; do :; done
  expect 75 look --cacert ca.pem --retry-for 0
  # What was done to the copy does not matter to anybody but him who believes it: the signature does.
  find .cache/imsg -type f -exec sh -c 'echo nonsense >"$1"' - {} \;
  static
  expect 0 look --cacert ca.pem
  [ "$(wc -l <out)" -eq 2 ]
  XDG_CACHE_HOME=/dev/null/x expect 0 look --cacert ca.pem
}

@test "a redirect is not followed: 76" {
  static good 'location / { return 302 https://localhost:%PORT%/elsewhere; }'
  expect 76 look --cacert ca.pem
  err_has '302'
  err_has 'imsg-lookup: hint: if the service has moved, give its new address'
  [ "$(wc -l <static.log)" -eq 1 ]
}

@test "no for good is 69 with the reason, and asked once" {
  echo '{"reason":"BadPath"}' | answer no '400 Bad Request'
  start_wire wire no
  expect 69 plain
  err_has "directory \"http://127.0.0.1:$PORT\": 400 BadPath"
  [ "$(requests wire)" -eq 1 ]
  # A reason that is no word is not shown.
  printf '{"reason":"\\u001b[31mred"}' | answer no '403 Forbidden'
  expect 69 plain
  err_has '403'
  without grep -q 'red' err
}

@test "a name that does not resolve is 69" {
  expect 69 as alice imsg-lookup -d https://directory.invalid bob@example.com
  err_has 'directory "https://directory.invalid"'
}

@test "nobody there is 75" {
  start_wire wire deaf # it keeps the port, which another test's server could get
  expect 75 plain --retry-for 0
  errors_are 1
}

@test "an answer that is too long, or never ends, is 76 and not waited for" {
  printf 'HTTP/1.1 200 OK\r\n\r\n' >endless
  start_wire wire endless
  expect 76 plain
  err_has 'over 1048576 bytes'
  head -c 2000000 /dev/zero | answer long '200 OK'
  start_wire second long
  expect 76 plain
  # An error that never ends is an error.
  printf 'HTTP/1.1 403 Forbidden\r\n\r\n' >endless
  start_wire third endless
  expect 69 plain
}

@test "503 and 429 are tried again after Retry-After, 408 and 500 too" {
  answer ok '200 OK' <"site/$ENTRY"
  for status in '503 Service Unavailable' '429 Too Many Requests' '408 Request Timeout' '500 Internal Server Error'; do
    : | answer busy "$status" 'retry-after: 1'
    start_wire wire busy ok
    start=$(date +%s%3N)
    expect 0 plain
    [ $(($(date +%s%3N) - start)) -ge 1000 ]
    [ "$(requests wire)" -eq 2 ]
  done
}

@test "the time for trying again starts anew after each answer" {
  answer bob.ok '200 OK' <"site/$ENTRY"
  answer alice.ok '200 OK' <"site/$(imsg-lookup --path alice@example.com)"
  : | answer busy '503 Service Unavailable' 'retry-after: 1'
  start_wire wire busy alice.ok busy bob.ok
  expect 0 plain --retry-for 2 alice@example.com
  [ "$(requests wire)" -eq 4 ]
}

@test "without a Retry-After it is tried again after a while, less and less often" {
  : | answer busy '503 Service Unavailable'
  start_wire wire busy
  start=$(date +%s%3N)
  expect 75 plain --retry-for 4
  # The waits are random. Four of them always fit into the 4 s, and next to never into 0.1 s.
  [ "$(requests wire)" -ge 4 ]
  [ "$(requests wire)" -le 12 ]
  [ $(($(date +%s%3N) - start)) -ge 100 ]
}

@test "a Retry-After beyond --retry-for is not waited for: 75, with the time" {
  echo '{"reason":"Busy"}' | answer busy '503 Service Unavailable' 'Retry-After: 31'
  start_wire wire busy
  expect 75 plain
  err_has "directory \"http://127.0.0.1:$PORT\": 503 Busy, retry after 31 s"
  [ "$(requests wire)" -eq 1 ]
  # As a date as well; one that is past asks for nothing.
  : | answer busy '503 Service Unavailable' "retry-after: $(LC_ALL=C date -u -d '+1 hour' '+%a, %d %b %Y %H:%M:%S GMT')"
  expect 75 plain
  grep -qE '503, retry after 3[0-9]{3} s' err
  : | answer busy '503 Service Unavailable' 'retry-after: Sun, 06 Nov 1994 08:49:37 GMT'
  expect 75 plain --retry-for 0
  without grep 'retry after' err
  : | answer busy '503 Service Unavailable'
  expect 75 plain --retry-for 0
  err_has "directory \"http://127.0.0.1:$PORT\": 503"
  [ "$(requests wire)" -eq 4 ]
}

@test "a connection cut before, in, and after the request, or in the answer, is tried again" {
  answer ok '200 OK' <"site/$ENTRY"
  head -c 200 ok >half
  printf 'HTTP/1.1 200 OK\r\ncontent-' >quarter
  start_wire wire cut drop quarter half ok
  as alice imsg-lookup -d site bob@example.com >want
  expect 0 plain
  cmp want out
  [ "$(requests wire)" -eq 4 ]
}

# register USER: at the server that wire is.
register() { as "$1" imsg-register -d "http://127.0.0.1:$PORT" "$1.jsonl"; }

@test "a change that is tried again because its answer was lost is no conflict with itself" {
  : | answer none '404 Not Found'
  : | answer changed '412 Precondition Failed'
  as carol imsg-keygen carol@example.com >carol.jsonl
  start_wire wire none drop changed echo
  expect 0 register carol
  err_has 'registered 1 device for mailto:carol@example.com (seq 1)'
  [ "$(grep -c '^PUT' wire.log)" -eq 2 ]
  [ "$(requests wire)" -eq 4 ]
}

@test "412 or 409 because of somebody else's change is a conflict" {
  : | answer none '404 Not Found'
  as mallory imsg-keygen dave@example.com | as mallory imsg-register -q -d theirs
  answer theirs.answer '200 OK' 'etag: "1"' <"theirs/$(imsg-lookup --path dave@example.com)"
  as dave imsg-keygen dave@example.com >dave.jsonl
  for status in '412 Precondition Failed' '409 Conflict'; do
    : | answer changed "$status"
    start_wire wire none changed theirs.answer
    expect 1 register dave
    err_has 'its entry is by account key'
    [ "$(grep -c '^PUT' wire.log)" -eq 1 ]
  done
}

@test "nothing is changed at a host that gives no ETag: 76" {
  as carol imsg-keygen carol@example.com | as carol imsg-register -q -d carols
  answer entry '200 OK' <"carols/$(imsg-lookup --path carol@example.com)"
  as carol imsg-keygen --rotate >carol.jsonl
  start_wire wire entry
  expect 76 register carol
  err_has 'gives no ETag'
  [ "$(grep -c '^PUT' wire.log)" -eq 0 ]
}

@test "a get that breaks off again and again goes on as long as each try brings something" {
  head -c 90000 /dev/urandom >f
  as alice imsg-attach put --store store f >f.d
  sum=$(jq -r .sha256 f.d)
  for i in 0 1 2 3 4 5 6 7 8; do
    at=$((i * 10000))
    {
      printf 'HTTP/1.1 %s\r\ncontent-length: %d\r\n' "$([ $i -eq 0 ] && echo 200 OK || echo 206 Part)" $((90000 - at))
      printf 'content-range: bytes %d-89999/90000\r\n\r\n' $at
      head -c $((at + 10000)) "store/$sum" | tail -c 10000
    } >"part.$i"
  done
  start_wire wire part.{0..8}
  jq -c ".uri = \"http://127.0.0.1:$PORT/store/$sum\"" f.d >remote.d
  mkdir got
  # Eight waits of up to a quarter of a second each, and none counts with the one before.
  expect 0 as alice imsg-attach get --retry-for 1 --store "http://127.0.0.1:$PORT" -o got remote.d
  cmp f got/f
  [ "$(requests wire)" -eq 9 ]
}

@test "a server that says nothing, or next to nothing, is 75 in time" {
  not_under_valgrind 'it would have no time to start'
  # A clock that is twenty times as fast: 10 s to connect, 30 s without a byte, 60 s for an entry.
  export CLOCK_SPEED=20
  fast() { IMSG_HOME=$T/alice with_clock timeout 240 "$@" --retry-for 0; }
  printf 'HTTP/1.1 200 OK\r\n\r\n' >endless
  start_wire wire hang
  expect 75 fast imsg-pull --relay "http://127.0.0.1:$PORT"
  errors_are 1
  expect 75 fast imsg-attach put --store "http://127.0.0.1:$PORT" site/"$ENTRY"
  errors_are 1
  expect 75 fast imsg-pull --relay "https://127.0.0.1:$PORT"
  errors_are 1
  # Who waits for a message hears nothing for 50 s, and that is no fault.
  : | answer nothing '200 OK'
  start_wire second nothing hang
  IMSG_HOME=$T/alice expect 124 with_clock timeout 2 imsg-pull -w --relay "http://127.0.0.1:$PORT"
  [ "$(requests second)" -le 2 ]
  start_wire third drip
  expect 75 fast imsg-lookup -d "http://127.0.0.1:$PORT" bob@example.com
  errors_are 1
}

@test "--retry-for takes seconds" {
  for seconds in -1 x 1.5 '' 99999999; do expect 64 as alice imsg-lookup -d site --retry-for "$seconds" bob@example.com; done
}
