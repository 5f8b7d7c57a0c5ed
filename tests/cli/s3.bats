#!/usr/bin/env bats
# An s3:// store: what goes over the wire, whose credentials, and that the signature is the one that Amazon describes.
# tests/deep/s3.bats has a real server that verifies it.
load common
load nginx
setup() {
  setup_common
  BUILD=${BUILD:-$(dirname "$BIN")}
  export AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY
  unset AWS_SESSION_TOKEN AWS_REGION AWS_DEFAULT_REGION AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_PROFILE \
    AWS_SHARED_CREDENTIALS_FILE
  printf 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n' >ok
  head -c 100000 /dev/urandom >f
}
teardown() {
  end_servers
  teardown_common
}

# s3_server ACTION...: tests/cli/wire.c as the endpoint.
s3_server() {
  start_wire wire "$@"
  export AWS_ENDPOINT_URL=http://127.0.0.1:$PORT
}
put() { imsg-attach put --retry-for 0 --store "${STORE:-s3://bucket/some/prefix}" "$@"; }
# header NAME: of the last request in the log.
header() { tr -d '\r' <wire.log | sed -n "s/^$1: *//Ip" | tail -n 1; }
hmac() { openssl dgst -sha256 -mac HMAC -macopt "$1" -binary | xxd -p -c 64; }

# The signature of the last request, by openssl from what the log says and the secret.
signature() {
  local signed headers name canonical scope date
  signed=$(header authorization | sed 's/.*SignedHeaders=\([^,]*\),.*/\1/')
  scope=$(header authorization | sed 's|.*Credential=[^/]*/\([^,]*\),.*|\1|')
  headers=$(for name in ${signed//;/ }; do printf '%s:%s\n' "$name" "$(header "$name")"; done)
  read -r method path _ < <(grep '^[A-Z]* /' wire.log | tail -n 1)
  canonical=$(printf '%s\n%s\n\n%s\n\n%s\n%s' "$method" "$path" "$headers" "$signed" "$(header x-amz-content-sha256)" |
    sha256sum | cut -c1-64)
  date=$(header x-amz-date)
  key=$(printf %s "${date%%T*}" | hmac "key:AWS4$AWS_SECRET_ACCESS_KEY")
  for part in "$(cut -d/ -f2 <<<"$scope")" s3 aws4_request; do key=$(printf %s "$part" | hmac "hexkey:$key"); done
  printf 'AWS4-HMAC-SHA256\n%s\n%s\n%s' "$date" "$scope" "$canonical" | hmac "hexkey:$key"
}
is_signed() { [ "$(header authorization | sed 's/.*Signature=//')" = "$(signature)" ] || { cat wire.log; signature; return 1; }; }

@test "a put is signed, conditional, and has the hash of the object" {
  s3_server ok
  put f >f.d
  sum=$(jq -r .sha256 f.d)
  [ "$(jq -r .uri f.d)" = "s3://bucket/some/prefix/$sum" ]
  grep -q "^PUT /bucket/some/prefix/$sum HTTP" wire.log
  [ "$(header x-amz-content-sha256)" = "$sum" ]
  [ "$(header if-none-match)" = '*' ]
  [ "$(header content-length)" = 100000 ]
  header authorization | grep -q '^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/[0-9]*/us-east-1/s3/aws4_request, '
  is_signed
  without grep -qi 'expect: *$' wire.log
}

@test "a get is signed, and goes on where it was" {
  s3_server ok
  put f >f.d
  sum=$(jq -r .sha256 f.d)
  imsg-attach put --store "$T/folder" f >other.d # for ciphertext that is known
  object=$T/folder/$(jq -r .sha256 other.d)
  { printf 'HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n'; head -c 40000 "$object"; } >half
  { printf 'HTTP/1.1 206 Partial Content\r\ncontent-length: 60000\r\ncontent-range: bytes 40000-99999/100000\r\n\r\n'
    tail -c 60000 "$object"; } >rest
  kill "$(cat wire.pid)"
  s3_server half rest
  jq -c '.uri = "s3://bucket/some/prefix/" + .sha256' other.d >remote.d
  get() { imsg-attach get --retry-for 0 --store s3://bucket/some/prefix/ -o . "$@" remote.d; }
  expect 75 get
  is_signed
  expect 0 get
  is_signed
  grep -qi '^range: bytes=40000-' wire.log
  [ "$(header x-amz-content-sha256)" = "$(sha256sum </dev/null | cut -c1-64)" ]
  cmp f f-1
}

@test "region, session and endpoint come from the environment" {
  s3_server ok
  export AWS_DEFAULT_REGION=eu-central-1 AWS_SESSION_TOKEN=FwoGZXIvYXdzEXAMPLE
  put f >f.d
  header authorization | grep -q '/eu-central-1/s3/aws4_request'
  [ "$(header x-amz-security-token)" = FwoGZXIvYXdzEXAMPLE ]
  is_signed
  AWS_REGION=eu-west-1 put f >f.d
  header authorization | grep -q '/eu-west-1/s3/aws4_request'
  export AWS_ENDPOINT_URL_S3=$AWS_ENDPOINT_URL
  AWS_ENDPOINT_URL=http://127.0.0.1:1 put f >f.d
}

@test "without an endpoint it is Amazon's of the region, with the bucket in the host where its certificate allows" {
  start_wire wire drop
  unset no_proxy NO_PROXY
  export https_proxy=http://127.0.0.1:$PORT AWS_REGION=eu-west-1 # which sees where it was to go
  expect 75 put f
  STORE=s3://bucket.example/x expect 75 put f
  [ "$(grep ^CONNECT wire.log | cut -d' ' -f2)" = "bucket.s3.eu-west-1.amazonaws.com:443
s3.eu-west-1.amazonaws.com:443" ] || { cat wire.log; false; }
}

@test "credentials come from the file, by profile" {
  s3_server ok
  mkdir .aws
  printf '%s\n' '# mine' '[default]' 'aws_access_key_id = AKIDFILE' "aws_secret_access_key=$AWS_SECRET_ACCESS_KEY" \
    'region = eu-north-1' '' '[other]' 'aws_access_key_id=AKIDOTHER' "aws_secret_access_key = $AWS_SECRET_ACCESS_KEY  " >.aws/credentials
  unset AWS_ACCESS_KEY_ID
  put f >f.d
  header authorization | grep -q 'Credential=AKIDFILE/[0-9]*/eu-north-1/'
  is_signed
  AWS_PROFILE=other put f >f.d
  header authorization | grep -q 'Credential=AKIDOTHER/[0-9]*/us-east-1/'
  is_signed
  # A session is that of its key: neither is taken from elsewhere.
  printf '%s\n' '[session]' 'aws_access_key_id=AKIDSESSION' "aws_secret_access_key=$AWS_SECRET_ACCESS_KEY" \
    'aws_session_token=FwoGZXIvYXdzFILE' >>.aws/credentials
  AWS_PROFILE=session put f >f.d
  [ "$(header x-amz-security-token)" = FwoGZXIvYXdzFILE ]
  is_signed
  s3_server ok
  AWS_SESSION_TOKEN=FwoGZXIvYXdzEXAMPLE put f >f.d
  header authorization | grep -q 'Credential=AKIDFILE/'
  [ -z "$(header x-amz-security-token)" ]
  mv .aws/credentials here
  AWS_SHARED_CREDENTIALS_FILE=$T/here put f >f.d
  header authorization | grep -q 'Credential=AKIDFILE/'
  expect 78 put f
  no_out
  errors_are 1
  err_has AWS_ACCESS_KEY_ID
  AWS_SHARED_CREDENTIALS_FILE=$T/here AWS_PROFILE=nobody expect 78 put f
}

@test "an object that is there is no failure; what the server refuses is" {
  printf 'HTTP/1.1 412 Precondition Failed\r\ncontent-length: 0\r\nconnection: close\r\n\r\n' >there
  printf 'HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n' >no
  printf 'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n' >none
  s3_server there no none
  expect 0 put f
  cp out f.d
  expect 69 put f
  no_out
  expect 69 imsg-attach get --store s3://bucket/some/prefix -o . f.d
  err_has 'has no object'
}

@test "nothing but an object of the bucket and prefix is asked for" {
  s3_server ok
  put f >f.d
  for uri in s3://bucket/other/ s3://other/some/prefix/ s3://packet/some/prefix/ s3://bucket/some/prefix/../; do
    jq -c --arg uri "$uri" '.uri = $uri + .sha256' f.d >bad.d
    expect 1 imsg-attach get --store s3://bucket/some/prefix -o . bad.d
  done
  [ "$(grep -c '^GET' wire.log)" -eq 0 ]
  # Elsewhere it means nothing.
  expect 1 imsg-attach get --store "$T/folder" -o . f.d
}

@test "a location, region or endpoint that is none is 78" {
  export AWS_ENDPOINT_URL=http://127.0.0.1:1
  for store in s3:// s3://b s3://Bucket s3://bu..cket/../x 's3://bucket/a b' s3://bucket//x s3://bucket/../x 's3://bucket/x?y'; do
    STORE=$store expect 78 put f
    errors_are 1
  done
  AWS_REGION='a/b' expect 78 put f
  AWS_ENDPOINT_URL=ftp://x expect 78 put f
  AWS_ENDPOINT_URL=http://example.com expect 78 put f # http, and not on this machine
  AWS_SECRET_ACCESS_KEY='a b' expect 78 put f
}
