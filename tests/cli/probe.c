/* probe.so, for LD_PRELOAD: what a tool can still do once it has confined itself. At that moment each line of PROBE is
 * tried, a line "WORD … yes" or "WORD … no ERRNO" says on standard output how it went, and the process ends:
 *
 *   call NAME         a system call, with arguments that make it fail if it gets into the kernel
 *   read PATH, list PATH, write PATH, make PATH, remove PATH
 *
 * PROBE_FREE=1: nothing is confined, neither by seccomp nor by Landlock, as on a kernel that has neither; without PROBE
 * the tool goes on. A test program: it stands on its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LANDLOCK_FIRST 444 /* and two more */
#define TIOCSTI_REQUEST 0x5412
#define CLONE_NEWUSER_THREAD 0x10010000
#define KNOWN(number)                                                                                                  \
    {                                                                                                                  \
#number, SYS_##number,                                                                                         \
        {                                                                                                              \
            -1, -1, -1, -1, -1                                                                                         \
        }                                                                                                              \
    }
#define WITH(name, number, ...)                                                                                        \
    {                                                                                                                  \
        name, SYS_##number,                                                                                            \
        {                                                                                                              \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }

/* Through the kernel's own entry: the functions below stand in the way. */
static long call(long number, const long a[5])
{
    long result;
#if defined(__x86_64__)
    register long r10 __asm__("r10") = a[3];
    register long r8 __asm__("r8") = a[4];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a[0];
    register long x1 __asm__("x1") = a[1];
    register long x2 __asm__("x2") = a[2];
    register long x3 __asm__("x3") = a[3];
    register long x4 __asm__("x4") = a[4];
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    result = x0;
#else
    (void)number;
    (void)a;
    result = -ENOSYS;
#endif
    if (result >= 0 || result < -4095)
        return result;
    errno = (int)-result;
    return -1;
}

static const struct {
    const char *name;
    long number, args[5];
} calls[] = {
    KNOWN(execve),
    KNOWN(execveat),
    KNOWN(ptrace),
    KNOWN(process_vm_readv),
    KNOWN(process_vm_writev),
    WITH("pidfd_open", pidfd_open, -1),
    WITH("pidfd_getfd", pidfd_getfd, -1, 0, 0),
    WITH("pidfd_send_signal", pidfd_send_signal, -1),
    WITH("process_madvise", process_madvise, -1),
    WITH("io_uring_setup", io_uring_setup, 0),
    WITH("io_uring_enter", io_uring_enter, -1),
    WITH("io_uring_register", io_uring_register, -1),
    KNOWN(bpf),
    KNOWN(userfaultfd),
    KNOWN(perf_event_open),
    WITH("unshare", unshare, 0),
    WITH("setns", setns, -1, 0),
    WITH("clone-namespace", clone, CLONE_NEWUSER_THREAD),
    WITH("clone-process", clone, -1),
    WITH("clone3", clone3, 0, 0),
    WITH("mount", mount, 0, 0, 0, 0, 0),
    WITH("umount2", umount2, 0, 0),
    WITH("chroot", chroot, 0),
    WITH("pivot_root", pivot_root, 0, 0),
    WITH("keyctl", keyctl, -1),
    WITH("add_key", add_key, 0, 0, 0, 0, 0),
    WITH("memfd_create", memfd_create, 0, 0),
    WITH("open_by_handle_at", open_by_handle_at, -1, 0, 0),
    WITH("kill", kill, 0x7fffffff, 0),
    WITH("setuid", setuid, -1),
    WITH("symlinkat", symlinkat, 0, -1, 0),
    WITH("mknodat", mknodat, -1, 0, 0),
    WITH("prctl-dumpable", prctl, PR_SET_DUMPABLE, 9),
    WITH("prlimit-other", prlimit64, 0x7fffffff, RLIMIT_CORE, 0, 0),
    WITH("ioctl-sti", ioctl, -1, TIOCSTI_REQUEST, 0),
    WITH("seccomp", seccomp, -1),
    WITH("personality", personality, 0xffffffff),
    WITH("socket-inet", socket, AF_INET, -1, 0),
    WITH("socket-inet6", socket, AF_INET6, -1, 0),
    WITH("socket-unix", socket, AF_UNIX, -1, 0),
    WITH("socket-packet", socket, AF_PACKET, -1, 0),
    WITH("socket-alg", socket, AF_ALG, -1, 0),
    WITH("connect", connect, -1, 0, 0),
    WITH("bind", bind, -1, 0, 0),
    WITH("listen", listen, -1, 0),
    WITH("accept4", accept4, -1, 0, 0, 0),
    WITH("sendto", sendto, -1, 0, 0, 0, 0),
#if defined(__x86_64__)
    WITH("x32", getpid, 0), /* its number is changed below */
#endif
};

#if defined(__x86_64__)
static void ended(int number)
{
    static const char text[] = "call i386 no SIGSEGV\n";
    (void)number;
    (void)!write(STDOUT_FILENO, text, sizeof text - 1);
    _exit(0);
}

/* getpid of 32-bit programs. Last of all: a kernel without them ends the process. */
static void try_i386(void)
{
    int result;
    signal(SIGSEGV, ended);
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
    if (result >= 0)
        printf("call i386 yes\n");
    else
        printf("call i386 no %s\n", strerrorname_np(-result));
}
#endif

static int try_path(const char *word, const char *path)
{
    int fd = -1;
    if (strcmp(word, "read") == 0)
        fd = open(path, O_RDONLY | O_NONBLOCK);
    else if (strcmp(word, "list") == 0)
        fd = open(path, O_RDONLY | O_DIRECTORY);
    else if (strcmp(word, "write") == 0)
        fd = open(path, O_WRONLY | O_NONBLOCK);
    else if (strcmp(word, "make") == 0)
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    else if (strcmp(word, "remove") == 0)
        return unlink(path) == 0;
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* ENOSYS alone is the filter's answer; anything else is the kernel's own. */
static int try_call(const char *name)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (strcmp(calls[i].name, name) != 0)
            continue;
        long number = calls[i].number + (strcmp(name, "x32") == 0 ? 0x40000000 : 0);
        return call(number, calls[i].args) != -1 || errno != ENOSYS;
    }
    errno = 0;
    return 0;
}

static void probe(const char *text)
{
    char *copy = strdup(text), *rest, word[16], what[4096];
    int i386 = 0;
    setvbuf(stdout, NULL, _IONBF, 0);
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (sscanf(line, "%15s %4095[^\n]", word, what) != 2)
            continue;
        if (strcmp(what, "i386") == 0) {
            i386 = 1;
            continue;
        }
        int done = strcmp(word, "call") == 0 ? try_call(what) : try_path(word, what);
        if (done)
            printf("%s %s yes\n", word, what);
        else
            printf("%s %s no %s\n", word, what, strerrorname_np(errno));
    }
#if defined(__x86_64__)
    if (i386)
        try_i386();
#endif
    _exit(0);
}

/* ---- in place of libc's ---- */

int prctl(int option, ...)
{
    long args[5] = {option};
    const char *text = getenv("PROBE");
    va_list list;
    va_start(list, option);
    for (int i = 1; i < 5; i++)
        args[i] = va_arg(list, long);
    va_end(list);
    if (option != PR_SET_SECCOMP)
        return (int)call(SYS_prctl, args);
    int result = getenv("PROBE_FREE") ? -1 : (int)call(SYS_prctl, args);
    if (text)
        probe(text);
    return result;
}

long syscall(long number, ...)
{
    long args[5];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 5; i++)
        args[i] = va_arg(list, long);
    va_end(list);
    if (getenv("PROBE_FREE") && number >= LANDLOCK_FIRST && number < LANDLOCK_FIRST + 3) {
        errno = ENOSYS;
        return -1;
    }
    return call(number, args);
}
