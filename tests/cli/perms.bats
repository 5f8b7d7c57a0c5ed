#!/usr/bin/env bats
# Who may read what: modes of what is made, and key files that others can read.
load common

# alice has keys, an account and a registration.
setup_file() {
  setup_common
  (umask 000 && as alice imsg-keygen -n alice alice@example.com >record && as alice imsg-register -q record)
  keep_base
}
setup() { setup_base; }
teardown() { teardown_common; }

modes_of() { find "$1" -type "$2" -printf '%m\n' | sort -u | tr '\n' ' '; }

@test "keys and state are 0600 and their folders 0700, whatever the umask" {
  [ "$(modes_of alice f)" = "600 " ]
  [ "$(modes_of alice d)" = "700 " ]
  echo hi | as alice imsg-seal -q -r alice@example.com -R record | as alice imsg-push -q
  (umask 000 && as alice imsg-pull >line && as alice imsg-keygen --rotate -q >record && as alice imsg-open -q line >text)
  [ "$(modes_of alice f)" = "600 " ]
  [ "$(modes_of alice d)" = "700 " ]
  (umask 000 && as bob imsg-keygen -o other.json bob@example.com >record)
  [ "$(stat -c %a other.json)" = 600 ]
}

@test "IMSG_HOME is made 0700 with its parents, and one that is there keeps its mode" {
  (umask 022 && IMSG_HOME=$T/a/b/c imsg-keygen a@example.com >record)
  [ "$(modes_of a d)" = "700 " ]
  mkdir -m 755 there
  as there imsg-keygen a@example.com >record
  [ "$(stat -c %a there)" = 755 ]
  IMSG_HOME=x/ imsg-lookup --pins
  [ "$(stat -c %a x)" = 700 ]
}

@test "an IMSG_HOME that others can write to is 77, and the hinted command mends it" {
  for mode in 0720 0702 0775 0777 1777; do
    chmod $mode alice
    for command in 'keygen -y' 'keygen -F' 'lookup alice@example.com' 'register record' pull \
      'seal -r alice@example.com record'; do
      # shellcheck disable=SC2086 # a tool and its arguments
      expect 77 as alice imsg-$command
      no_out
      err_has "IMSG_HOME \"$T/alice\": mode $mode lets others write to it"
    done
    hint=$(sed -n 's/.*hint: //p' err | head -n 1)
    [ "$hint" = "chmod go-w $T/alice" ]
    sh -c "$hint"
    expect 0 as alice imsg-keygen -y
  done
  chmod 755 alice
  expect 0 as alice imsg-keygen -y
}

@test "an IMSG_HOME of another user is 77" {
  [ "$(id -u)" -eq 0 ] || skip 'needs root'
  chown -R 65534 alice
  chmod 755 "$T" alice
  chmod 644 alice/*
  expect 77 setpriv --reuid 65533 --clear-groups env IMSG_HOME="$T/alice" "$BIN/imsg-lookup" --pins
  err_has 'belongs to another user'
}

@test "an IMSG_HOME that is a file or below one is 73" {
  : >file
  for home in file file/below; do
    IMSG_HOME=$home expect 73 imsg-keygen a@example.com
    errors_are 1
    no_out
  done
}

@test "service folders and what is in them go by the umask" {
  for mask in 022:755:644 027:750:640 077:700:600 002:775:664; do
    IFS=: read -r mask folder file <<<"$mask"
    rm -rf bob s
    mkdir bob
    (umask "$mask" && as bob imsg-keygen bob@example.com >record &&
      as bob env IMSG_SERVER=s imsg-register -q record && echo x >x && IMSG_SERVER=s imsg-attach put x >descriptor)
    [ "$(modes_of s d)" = "$folder " ]
    [ "$(find s -type f ! -name lock -printf '%m\n' | sort -u | tr '\n' ' ')" = "$file " ]
    # Reading a file is enough to lock it, so only those who may write may read the lock.
    [ "$(stat -c %a s/directory/imsg/v1/lock)" = "$(printf %o $((0622 & ~0$mask)))" ]
  done
}

@test "a key file that others can read or write is 77, and the hinted command mends it" {
  for mode in 0644 0604 0640 0620 0602 0610 0660 0777; do
    chmod $mode alice/identity.json
    for option in -y -F --rotate; do
      expect 77 as alice imsg-keygen $option
      no_out
      errors_are 1
      err_has "error: identity file \"$T/alice/identity.json\": mode $mode lets others read it"
    done
    [ "$(stat -c %a alice/identity.json)" = "${mode#0}" ]
  done
  mkdir "with 'blank"
  mv alice/identity.json "with 'blank/-a"
  cd "with 'blank"
  for file in -a "$PWD/-a"; do
    chmod 644 ./-a
    expect 77 imsg-keygen -y -i "$file"
    bash -c "$(sed -n 's/^imsg-keygen: hint: //p' "$T/err")"
    [ "$(stat -c %a ./-a)" = 600 ]
    expect 0 imsg-keygen -y -i "$file"
  done
}

@test "one's own modes are one's own" {
  for mode in 0600 0400 0700 0500; do
    chmod $mode alice/identity.json alice/account.pem
    expect 0 as alice imsg-keygen -F
  done
}

@test "--allow-insecure-key uses it all the same" {
  chmod 644 alice/identity.json alice/account.pem
  for option in -y -F --rotate; do expect 0 as alice imsg-keygen $option --allow-insecure-key; done
  expect 0 as alice imsg-register --allow-insecure-key record
  chmod 644 alice/identity.json # --rotate has made it 0600
  echo hi | as alice imsg-seal -q --allow-insecure-key -R record >line
  expect 77 as alice imsg-open -R record line
  no_out
  expect 0 as alice imsg-open -R record --allow-insecure-key line
}

@test "an account key that others can read is 77, wherever it would count" {
  chmod 640 alice/account.pem
  expect 77 as alice imsg-keygen -F
  as bob imsg-keygen -q -o new alice@example.com >second
  expect 77 as alice imsg-register second
  expect 77 as alice imsg-lookup alice@example.com # what is one's own is judged by it
  no_out
  err_has "chmod 600"
  expect 77 as bob imsg-register --account alice/account.pem second
  expect 77 as alice imsg-keygen -y # its thumbprint goes into the record
}

@test "links to key files are followed, to the mode of what they name" {
  mv alice/identity.json real.json
  mv alice/account.pem real.pem
  ln -s ../real.json alice/identity.json
  ln -s "$T/real.pem" alice/account.pem
  expect 0 as alice imsg-keygen -F
  as bob imsg-keygen -q -o new alice@example.com | expect 0 as alice imsg-register
  chmod 644 real.json
  expect 77 as alice imsg-keygen -y
}

@test "a key file that is somebody else's is theirs to guard" {
  [ "$(id -u)" -eq 0 ] || skip 'only root can give files away'
  chmod 644 alice/identity.json
  chown 65534 alice/identity.json
  expect 0 as alice imsg-keygen -y
}

@test "a key comes from a pipe, a descriptor or standard input" {
  imsg-keygen -y -i alice/identity.json >want
  chmod 644 alice/identity.json # of no account for a pipe
  expect 0 imsg-keygen -y -i - < <(cat alice/identity.json)
  same_record want out
  expect 0 imsg-keygen -y -i <(cat alice/identity.json)
  same_record want out
  mkfifo -m 666 pipe
  cat alice/identity.json >pipe &
  local writer=$!
  expect 0 imsg-keygen -y -i pipe
  same_record want out
  wait $writer
  expect 0 imsg-keygen -y -i - <alice/identity.json
  same_record want out
}

@test "standard input has one owner" {
  echo hi >text
  as alice imsg-seal -q -R record text >line
  expect 64 as alice imsg-open -i - -R record <alice/identity.json
  expect 64 as alice imsg-open -i - -R record - <alice/identity.json
  expect 64 as alice imsg-open -i - -R - line <alice/identity.json
  expect 0 as alice imsg-open -i - -R record line <alice/identity.json
  [ "$(cat out)" = hi ]
}

@test "nothing is written through a link that stands where a key is to be made" {
  mkdir -m 700 bob
  ln -s ../target bob/identity.json
  expect 73 as bob imsg-keygen bob@example.com
  [ ! -e target ]
  [ -L bob/identity.json ]
  : >target
  expect 73 as bob imsg-keygen bob@example.com
  [ ! -s target ]
}

@test "a key that could not be made leaves nothing behind" {
  printf x >file
  for output in file . missing/file file/file; do
    expect 73 as bob imsg-keygen -o "$output" bob@example.com
  done
  [ "$(cat file)" = x ]
  [ -z "$(find . -name '.file*' -o -name '.missing*')" ]
  [ -z "$(find bob -type f)" ]
}

@test "of many that make the same identity at once one does, and the others are 73" {
  for i in 1 2 3 4 5; do
    as bob imsg-keygen -n "$i" bob@example.com >"record$i" 2>"err$i" &
    pids[i]=$!
  done
  for i in 1 2 3 4 5; do
    got=0
    wait "${pids[i]}" || got=$?
    statuses+="$got "
  done
  [ "$(printf %s "$statuses" | tr ' ' '\n' | sort | tr '\n' ' ')" = "0 73 73 73 73 " ]
  as bob imsg-keygen -y >record
  cat record[1-5] >made
  same_record made record
}

@test "a key file is no larger than a megabyte, and a folder is none" {
  head -c 1048577 /dev/zero >big
  chmod 600 big
  expect 65 imsg-keygen -y -i big
  errors_are 1
  expect 66 imsg-keygen -y -i .
  expect 66 imsg-keygen -y -i missing
  expect 65 imsg-keygen -y -i /dev/null
}

@test "no core, and no other process reads the memory" {
  local as_group=() end=$((SECONDS + 60)) pid
  # /proc shows what a process allows by the owner of its files. root's own are always root's, so root takes another group.
  [ "$(id -u)" -ne 0 ] || as_group=(setpriv --regid 12345 --clear-groups)
  mkfifo in
  "${as_group[@]}" imsg-inspect <in 3>&- &
  pid=$!
  exec {FD}>in
  owner() { stat -c "$([ "$(id -u)" -eq 0 ] && echo %g || echo %u)" "/proc/$pid/environ"; }
  until grep -qs '^imsg-inspect' "/proc/$pid/comm" && [ "$(owner)" != "$([ "$(id -u)" -eq 0 ] && echo 12345 || id -u)" ]; do
    [ $SECONDS -lt $end ] || { kill $pid; return 1; }
    sleep 0.05
  done
  grep -Eq '^Max core file size +0 +0 ' "/proc/$pid/limits"
  exec {FD}>&-
  wait $pid || [ $? -eq 65 ] # nothing came
}
