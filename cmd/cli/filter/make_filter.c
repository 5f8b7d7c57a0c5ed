/* Run by make: prints, as a C header, the seccomp filters that sandbox_linux.c installs, made by libseccomp from the
 * lists below. The tools link no libseccomp, and a table costs nothing at their start.
 *
 * The lists name what the tools' own code, glibc, OpenSSL, libcurl, SQLite, libmicrohttpd and GnuTLS use, on glibc 2.31
 * to 2.43, and what valgrind and the sanitizers need beside that. A call that is not on a list fails with ENOSYS, as on
 * a kernel that does not have it: libraries then do without it. The same holds for the calls of another architecture.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/prctl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define CALLS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NAMESPACES 0x7e020080u /* CLONE_NEWTIME, …NS, …CGROUP, …UTS, …IPC, …USER, …PID, …NET */
#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define INSTRUCTIONS_MAX 4096

/* What TCGETS2 and its kin are: <asm/termbits.h> does not go together with <termios.h>. */
#define TERMIOS2 0x802c542aul
#define TERMIOS2_SET 0x402c542bul

static const char *const memory[] = {
    "brk",    "mmap",    "mmap2", "munmap",  "mremap",     "mprotect",         "madvise", "mlock",
    "mlock2", "munlock", "msync", "mincore", "membarrier", "map_shadow_stack", "mseal",   NULL};

static const char *const files[] = {"read",
                                    "write",
                                    "readv",
                                    "writev",
                                    "pread64",
                                    "pwrite64",
                                    "preadv",
                                    "pwritev",
                                    "preadv2",
                                    "pwritev2",
                                    "open",
                                    "openat",
                                    "close",
                                    "close_range",
                                    "lseek",
                                    "_llseek",
                                    "stat",
                                    "fstat",
                                    "lstat",
                                    "stat64",
                                    "fstat64",
                                    "lstat64",
                                    "newfstatat",
                                    "fstatat64",
                                    "statx",
                                    "access",
                                    "faccessat",
                                    "faccessat2",
                                    "readlink",
                                    "readlinkat",
                                    "getdents",
                                    "getdents64",
                                    "fcntl",
                                    "fcntl64",
                                    "flock",
                                    "fsync",
                                    "fdatasync",
                                    "syncfs",
                                    "ftruncate",
                                    "ftruncate64",
                                    "fallocate",
                                    "fadvise64",
                                    "fadvise64_64",
                                    "copy_file_range",
                                    "sendfile",
                                    "sendfile64",
                                    "dup",
                                    "dup2",
                                    "dup3",
                                    "pipe",
                                    "pipe2",
                                    "sendmsg", /* an open file, through a socket that is there: imsg-pull -x */
                                    "mkdir",
                                    "mkdirat",
                                    "rename",
                                    "renameat",
                                    "renameat2",
                                    "link",
                                    "linkat",
                                    "unlink",
                                    "unlinkat",
                                    "rmdir",
                                    "chmod",
                                    "fchmod",
                                    "fchmodat",
                                    "fchmodat2",
                                    "fchown",
                                    "fchown32",
                                    "utimensat",
                                    "umask",
                                    "getcwd",
                                    "statfs",
                                    "fstatfs",
                                    "statfs64",
                                    "fstatfs64",
                                    "inotify_init1",
                                    "inotify_add_watch",
                                    "inotify_rm_watch",
                                    "eventfd2",
                                    "poll",
                                    "ppoll",
                                    "select",
                                    "pselect6",
                                    "epoll_create",
                                    "epoll_create1",
                                    "epoll_ctl",
                                    "epoll_wait",
                                    "epoll_pwait",
                                    "epoll_pwait2",
                                    NULL};

static const char *const process[] = {"exit",
                                      "exit_group",
                                      "getpid",
                                      "getppid",
                                      "gettid",
                                      "getuid",
                                      "geteuid",
                                      "getgid",
                                      "getegid",
                                      "getuid32",
                                      "geteuid32",
                                      "getgid32",
                                      "getegid32",
                                      "getresuid",
                                      "getresgid",
                                      "getpgrp",
                                      "getpgid",
                                      "sched_yield",
                                      "sched_getaffinity",
                                      "sched_getparam",
                                      "sched_getscheduler",
                                      "sched_get_priority_max",
                                      "sched_get_priority_min",
                                      "set_tid_address",
                                      "set_robust_list",
                                      "rseq",
                                      "futex",
                                      "futex_time64",
                                      "futex_waitv",
                                      "arch_prctl",
                                      "getrlimit",
                                      "ugetrlimit",
                                      "getrusage",
                                      "uname",
                                      "sysinfo",
                                      "times",
                                      "getcpu",
                                      "restart_syscall",
                                      "rt_sigaction",
                                      "rt_sigprocmask",
                                      "rt_sigreturn",
                                      "rt_sigsuspend",
                                      "rt_sigtimedwait",
                                      "rt_sigtimedwait_time64",
                                      "rt_sigpending",
                                      "sigaltstack",
                                      "tgkill",
                                      "tkill",
                                      "clock_gettime",
                                      "clock_gettime64",
                                      "clock_getres",
                                      "gettimeofday",
                                      "time",
                                      "clock_nanosleep",
                                      "clock_nanosleep_time64",
                                      "nanosleep",
                                      "getrandom",
                                      NULL};

/* Of a connection that is there. */
static const char *const connection[] = {"sendto",      "sendmmsg",   "recvfrom",   "recvmsg",
                                         "recvmmsg",    "getsockopt", "setsockopt", "getsockname",
                                         "getpeername", "shutdown",   NULL};
static const char *const connecting[] = {"connect", "bind", "socketpair", NULL};
static const char *const accepting[] = {"accept", "accept4", NULL};

enum use { SILENT, TALKING, SERVING };

static int allow(scmp_filter_ctx filter, const char *const *names)
{
    int failed = 0;
    for (; *names; names++) {
        int number = seccomp_syscall_resolve_name(*names);
        /* A name that this libseccomp does not know yet, or that this architecture does not have. */
        if (number != __NR_SCMP_ERROR && number >= 0)
            failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) != 0;
    }
    return failed;
}

/* Only with this value as argument `at`. */
static int allow_value(scmp_filter_ctx filter, int number, unsigned at, unsigned long value)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1, SCMP_CMP(at, SCMP_CMP_MASKED_EQ, 0xffffffffu, value)) !=
           0;
}

static int allow_values(scmp_filter_ctx filter)
{
    /* Terminals and pipes; not TIOCSTI, which types what the next program of the terminal reads. */
    static const unsigned long requests[] = {TCGETS,       TCSETS,           TCSETSW,         TCSETSF,
                                             TIOCGWINSZ,   FIONREAD,         FIONBIO,         TERMIOS2,
                                             TERMIOS2_SET, TERMIOS2_SET + 1, TERMIOS2_SET + 2};
    /* Not PR_SET_DUMPABLE and PR_SET_PTRACER, which would let others look in. */
    static const unsigned long options[] = {PR_SET_NAME, PR_GET_NAME,    PR_GET_DUMPABLE,
                                            PR_SET_VMA,  PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS};
    int failed = 0;
    for (size_t i = 0; i < COUNT(requests); i++)
        failed |= allow_value(filter, SCMP_SYS(ioctl), 1, requests[i]);
    for (size_t i = 0; i < COUNT(options); i++)
        failed |= allow_value(filter, SCMP_SYS(prctl), 0, options[i]);
    failed |= allow_value(filter, SCMP_SYS(prlimit64), 0, 0); /* of itself */
    /* Threads. clone3 has its flags in memory, where no filter sees them; without it glibc calls clone. */
    failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                               SCMP_CMP(0, SCMP_CMP_MASKED_EQ, NAMESPACES | CLONE_THREAD, CLONE_THREAD)) != 0;
    return failed;
}

static int allow_sockets(scmp_filter_ctx filter)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK}; /* the last two: looking up a name */
    int failed = 0;
    for (size_t i = 0; i < COUNT(families); i++)
        failed |= allow_value(filter, SCMP_SYS(socket), 0, (unsigned long)families[i]);
    return failed;
}

static int fill(scmp_filter_ctx filter, enum use use)
{
    int failed = allow(filter, memory) | allow(filter, files) | allow(filter, process) | allow_values(filter);
    failed |= seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS)) != 0;
    failed |= seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0) != 0;
    /* A tree: the kernel asks the filter about each number once, when it is installed. Older ones have no tree. */
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (use != SILENT)
        failed |= allow(filter, connection);
    if (use == TALKING)
        failed |= allow(filter, connecting) | allow_sockets(filter);
    if (use == SERVING)
        failed |= allow(filter, accepting);
    return failed;
}

static int print(enum use use, const char *name)
{
    static struct sock_filter table[INSTRUCTIONS_MAX];
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    FILE *file = tmpfile();
    int failed = !filter || !file || fill(filter, use) || seccomp_export_bpf(filter, fileno(file)) != 0;
    size_t count = 0;
    if (!failed) {
        rewind(file);
        count = fread(table, sizeof table[0], INSTRUCTIONS_MAX, file);
        failed = count == 0 || count == INSTRUCTIONS_MAX;
    }
    if (!failed) {
        printf("static const struct sock_filter %s[] = {\n", name);
        for (size_t i = 0; i < count; i++)
            printf("    {0x%02x, %u, %u, 0x%08x},\n", table[i].code, table[i].jt, table[i].jf, table[i].k);
        printf("};\n");
    }
    if (file)
        fclose(file);
    if (filter)
        seccomp_release(filter);
    return failed;
}

int main(void)
{
    printf("/* Made by cmd/cli/filter/make_filter.c. */\n#define SANDBOX_FILTERS 1\n");
    int failed = print(SILENT, "silent_filter") | print(TALKING, "talking_filter") | print(SERVING, "serving_filter");
    if (failed)
        fprintf(stderr, "make_filter: libseccomp made no filter\n");
    return failed;
}
