# A real web server for the tests of what goes over the network: nginx from Debian, on a free loopback port, all of it
# below $T, ended by its own pid. Certificates come from the openssl command.

# make_ca: $T/ca.pem and its key.
make_ca() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/ca.key" -out "$T/ca.pem" -days 3650 \
    -subj /CN=test-ca -addext basicConstraints=critical,CA:TRUE 2>/dev/null
}
# make_cert NAME SUBJECTALTNAME [DAYS]: $T/NAME.pem and its key, by that CA; over for a day where DAYS is 0.
make_cert() {
  local name=$1 days=${3:-3650}
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/$name.key" -out "$T/$name.csr" -subj "/CN=$name" 2>/dev/null
  echo "subjectAltName=$2" >"$T/$name.ext"
  if [ "$days" -gt 0 ]; then
    openssl x509 -req -in "$T/$name.csr" -CA "$T/ca.pem" -CAkey "$T/ca.key" -CAcreateserial -out "$T/$name.pem" \
      -extfile "$T/$name.ext" -days "$days" 2>/dev/null
    return
  fi
  # Only "openssl ca" takes dates of one's own.
  : >"$T/index.txt"
  printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s/index.txt\nnew_certs_dir=%s\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n' \
    "$T" "$T" >"$T/ca.cnf"
  openssl ca -batch -config "$T/ca.cnf" -cert "$T/ca.pem" -keyfile "$T/ca.key" -in "$T/$name.csr" -out "$T/$name.pem" \
    -extfile "$T/$name.ext" -startdate 20200101000000Z -enddate 20200102000000Z -notext 2>/dev/null
}
# pin_of CERT: curl's form of its public key.
pin_of() {
  openssl x509 -in "$1" -pubkey -noout | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary |
    base64 | sed 's|^|sha256//|'
}

# start_nginx NAME LINE...: an nginx of its own for each NAME, with these lines in its server block, in which %PORT% is
# its port, found free by trying; PORT is it then. HTTP_LINES go into its http block.
start_nginx() {
  local name=$1 i
  shift
  mkdir -p "$T/$name.tmp"
  for i in 1 2 3 4 5 6 7 8 9 10; do
    PORT=$((20000 + RANDOM % 40000))
    {
      [ "$(id -u)" -ne 0 ] || echo 'user root;'
      echo "worker_processes 1; pid $T/$name.pid; error_log $T/$name.err;"
      echo 'events { worker_connections 256; }'
      echo "http { access_log $T/$name.log; server_tokens off;"
      for part in client_body proxy fastcgi uwsgi scgi; do echo "${part}_temp_path $T/$name.tmp/$part;"; done
      echo "${HTTP_LINES:-}"
      echo "server { server_name localhost;"
      printf '%s\n' "$@" | sed "s/%PORT%/$PORT/g"
      echo '} }'
    } >"$T/$name.conf"
    # It is back when it listens.
    if nginx -e "$T/$name.err" -c "$T/$name.conf" 2>"$T/$name.said"; then return 0; fi
    grep -q 'Address already in use' "$T/$name.err" || break
  done
  cat "$T/$name.said" "$T/$name.err"
  return 1
}
# tls CERT: the lines of a TLS server, HTTP/2 too, which nginx before 1.25.1 takes in another place.
tls() {
  local version after='' own='http2 on;'
  version=$(nginx -v 2>&1 | sed 's/.*nginx.//; s/ .*//')
  [ "$(printf '%s\n' 1.25.1 "$version" | sort -V | head -n 1)" = 1.25.1 ] || after=' http2' own=''
  echo "listen 127.0.0.1:%PORT% ssl$after; $own ssl_certificate $T/$1.pem; ssl_certificate_key $T/$1.key;"
}

# end_servers: all of them, and all of start_wire.
end_servers() {
  local file
  for file in "$T"/*.pid; do
    if [ -s "$file" ]; then kill "$(cat "$file")" 2>/dev/null || true; fi
  done
}

# start_wire NAME ACTION...: tests/cli/wire.c, a server that does with each connection what it is told; PORT is its port,
# $T/NAME.log what it was asked.
start_wire() {
  local name=$1
  shift
  [ ! -s "$T/$name.pid" ] || kill "$(cat "$T/$name.pid")" 2>/dev/null || true # the one of this name before
  rm -f "$T/$name.port"
  mkfifo "$T/$name.port"
  "$BUILD/wire" "$T/$name.log" "$@" >"$T/$name.port" 3>&- &
  echo $! >"$T/$name.pid"
  read -r PORT <"$T/$name.port"
}
# answer NAME STATUS [HEADER...]: a file that wire sends, with its stdin as the body.
answer() {
  cat >"$T/body"
  {
    printf 'HTTP/1.1 %s\r\n' "${@:2}" | sed '2,$s|^HTTP/1.1 ||'
    printf 'content-length: %s\r\nconnection: close\r\n\r\n' "$(wc -c <"$T/body")"
    cat "$T/body"
  } >"$1"
}
# requests NAME: how many wire was asked.
requests() { grep -c '^[A-Z]* /' "$T/$1.log"; }
