#!/usr/bin/env bats
# The S3 store against Ceph's RadosGW, which verifies signatures.
load ../cli/common
load radosgw
setup() {
  setup_common
  command -v radosgw >/dev/null || skip "radosgw is not here"
  unset AWS_SESSION_TOKEN AWS_REGION AWS_DEFAULT_REGION AWS_ENDPOINT_URL_S3 AWS_PROFILE AWS_SHARED_CREDENTIALS_FILE
  radosgw_start >start.log 2>&1 || { cat start.log; return 1; }
  export AWS_ACCESS_KEY_ID=$S3_KEY AWS_SECRET_ACCESS_KEY=$S3_SECRET AWS_ENDPOINT_URL=$S3
}
teardown() {
  radosgw_stop
  teardown_common
}

@test "put, get, resume, twice, and what is refused" {
  new_user alice
  new_user bob
  export IMSG_STORE=s3://bucket/some/prefix
  mkdir got
  for size in 0 1 262144 30000000; do
    head -c "$size" /dev/urandom >f
    imsg-attach put f >f.d
    sum=$(jq -r .sha256 f.d)
    s3 "$S3/bucket/some/prefix/$sum" >object
    [ "$(sha256sum <object | cut -c1-64)" = "$sum" ]
    imsg-attach get -o got f.d >line
    cmp f got/f
    rm got/f
  done
  head -c 10000000 object >"got/.$sum.part"
  imsg-attach get -o got f.d >line
  cmp f got/f
  # Over what is there nothing is written: 412 is the server's word.
  [ "$(s3 -o answer -w '%{http_code}' -X PUT -H 'content-length: 0' -H 'if-none-match: *' "$S3/bucket/some/prefix/$sum" || true)" = 412 ]
  # The whole way.
  imsg-attach put f | as alice imsg-seal --no-self -r bob@example.com -a - | as alice imsg-push
  as bob imsg-pull | as bob imsg-open -j | as bob imsg-attach get -o got >line
  cmp f got/f-1
  # Neither with another secret, nor in a bucket that is not there, nor an object that is not.
  AWS_SECRET_ACCESS_KEY=wrong expect 69 imsg-attach put f
  no_out
  IMSG_STORE=s3://nobodys expect 69 imsg-attach put f
  no_out
  AWS_SECRET_ACCESS_KEY=wrong expect 69 imsg-attach get -o got f.d
  s3 -X DELETE "$S3/bucket/some/prefix/$sum"
  expect 69 imsg-attach get -o got f.d
  errors_are 1
}
