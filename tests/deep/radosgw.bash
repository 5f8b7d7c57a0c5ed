# A real S3 server that verifies signatures: Ceph's RadosGW from Debian, with one monitor and one OSD in memory, all of it
# below $T on loopback, ended by its own pids.

S3_KEY=AKIDEXAMPLE S3_SECRET=wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY
NOTHING=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
some_port() {
  local port
  while port=$((20000 + RANDOM % 12000)); ! port_free "$port"; do :; done
  echo "$port"
}

# ceph_started NAME COMMAND...: in the background, its pid in $T/NAME.pid.
ceph_started() {
  local name=$1
  shift
  "$@" >"$T/$name.out" 2>&1 3>&- &
  echo $! >"$T/$name.pid"
}

# radosgw_start: sets S3 (http://127.0.0.1:PORT), with a bucket "bucket".
radosgw_start() {
  local mon port fsid osd
  mon=$(some_port) port=$(some_port)
  fsid=$(cat /proc/sys/kernel/random/uuid) osd=$(cat /proc/sys/kernel/random/uuid)
  local libraries
  libraries=$(dirname "$(find /usr/lib -type d -name rados-classes | head -n 1)")
  cat >"$T/ceph.conf" <<END
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$mon]
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms mon cluster mode = crc
ms mon service mode = crc
ms client mode = crc
ms cluster mode = crc
ms service mode = crc
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
mon allow pool size one = true
mon max pg per osd = 1000
osd crush chooseleaf type = 0
run dir = $T
admin socket = $T/\$name.asok
log file = $T/\$name.log
keyring = $T/keyring
mon data = $T/mon
osd data = $T/osd
osd objectstore = memstore
memstore device bytes = 1073741824
osd class dir = $libraries/rados-classes
plugin dir = $libraries/ceph
erasure code dir = $libraries/ceph/erasure-code
rgw frontends = beast endpoint=127.0.0.1:$port
rgw data = $T/rgw
END
  export CEPH_CONF=$T/ceph.conf
  mkdir "$T/osd" "$T/rgw"
  ceph-authtool --create-keyring "$T/keyring" --gen-key -n client.rgw
  monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon]" "$T/monmap"
  ceph-mon --mkfs -i a --monmap "$T/monmap"
  ceph_started mon ceph-mon -f -i a
  ceph --connect-timeout 60 osd new "$osd"
  ceph-osd -i 0 --mkfs --osd-uuid "$osd" 2>/dev/null
  ceph_started osd ceph-osd -f -i 0
  timeout 120 radosgw-admin user create --uid=user --display-name=user --access-key="$S3_KEY" --secret="$S3_SECRET" >"$T/user"
  ceph_started rgw radosgw -f -n client.rgw
  while port_free "$port"; do kill -0 "$(cat "$T/rgw.pid")"; done
  S3=http://127.0.0.1:$port
  s3 -X PUT "$S3/bucket"
}
radosgw_stop() {
  local name
  for name in rgw osd mon; do
    [ ! -s "$T/$name.pid" ] || kill -9 "$(cat "$T/$name.pid")" 2>/dev/null || true
  done
}
# s3 CURL-ARGUMENT...: somebody else's client.
s3() {
  curl -sS -f --aws-sigv4 aws:amz:us-east-1:s3 -u "$S3_KEY:$S3_SECRET" -H "x-amz-content-sha256: $NOTHING" "$@"
}
