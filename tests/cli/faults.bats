#!/usr/bin/env bats
# Killed or refused at a system call: old state or new state, a right status, nothing lost, nothing twice. A sample of
# the points; tests/deep/faults-*.bats have all of them.
load common
load faults
setup_file() { faults_setup_file; }
setup() { faults_setup; }
teardown() { cd /; rm -rf "${ALL:-$T}"; }

@test "imsg-pull: no message is lost or in two places" { faults pull 5 4; }
@test "imsg-push: what is not delivered is kept" { faults push 3 4; }
@test "imsg-attach get: a whole file or none" { faults get 3 4; }
@test "imsg-attach put: a whole object or none" { faults put 2 2; }
@test "imsg-keygen: a whole identity or none" { faults keygen 2 2; }
@test "imsg-keygen --rotate: the old identity or the new" { faults rotate 1 1; }
@test "imsg-register, for the first time: an entry that verifies or none" { faults register 2 2; }
@test "imsg-register, another device: the old entry or the new" { faults update 2 1; }

@test "every read, write and fsync interrupted once, and a few bytes at a time: nothing changes" {
  command -v "${CC:-cc}" >/dev/null || skip 'no C compiler'
  fresh
  cat >short.c <<'EOF'
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static unsigned turn;

static int interrupted(void)
{
    errno = EINTR;
    return turn++ % 2 == 0;
}

static size_t few(size_t n)
{
    return n > 7 ? 7 : n;
}

ssize_t write(int fd, const void *from, size_t n)
{
    return interrupted() ? -1 : syscall(SYS_write, fd, from, few(n));
}

ssize_t read(int fd, void *to, size_t n)
{
    return interrupted() ? -1 : syscall(SYS_read, fd, to, few(n));
}

ssize_t pread(int fd, void *to, size_t n, off_t at)
{
    return interrupted() ? -1 : syscall(SYS_pread64, fd, to, few(n), at);
}

ssize_t pread64(int fd, void *to, size_t n, off_t at)
{
    return pread(fd, to, n, at);
}

/* What read is called by under _FORTIFY_SOURCE. */
ssize_t __read_chk(int fd, void *to, size_t n, size_t room)
{
    return n > room ? -1 : read(fd, to, n);
}

int fsync(int fd)
{
    return interrupted() ? -1 : (int)syscall(SYS_fsync, fd);
}
EOF
  "${CC:-cc}" -shared -fPIC -o short.so short.c
  short() { # the sanitizers' runtime would be first; its own wrappers of these calls are not what is tested
    local user=$1
    shift
    ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 LD_PRELOAD=$W/short.so as "$user" "$@"
  }
  head -c 20000 /dev/urandom >data
  # The shim is in force: a program that does not expect it says less.
  run env LD_PRELOAD="$W/short.so" dd if=data of=short.out bs=20000 count=2 status=none
  [ "$(wc -c 2>/dev/null <short.out || echo 0)" -lt 20000 ]
  short dora imsg-keygen -n dora dora@example.com >dora.d
  short dora imsg-register -q dora.d
  short alice imsg-lookup -q dora@example.com | cmp - dora.d
  short alice imsg-attach put data >data.d
  short alice imsg-seal -q -r dora@example.com --no-self -a data.d photo.d >sealed
  short alice imsg-push sealed
  short dora imsg-pull >pulled
  cmp sealed pulled
  short dora imsg-open -q -o opened pulled
  cmp opened photo.d
  as dora imsg-open -q -j pulled >lines
  mkdir got
  short dora imsg-attach get -o got lines >/dev/null
  cmp data got/data
  short dora imsg-keygen --rotate >rotated
  as dora imsg-keygen -y >out
  same_record rotated out
}
