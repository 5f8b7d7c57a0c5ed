/* Landlock for files, seccomp for system calls. The structures and numbers of Landlock stand here, because the kernel
 * headers of a build may be older than the kernel that the tools run on. */
#define _GNU_SOURCE
#include "cli/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "sandbox-filter.h" /* made by cmd/cli/filter/make_filter.c; empty where there is no libseccomp */

/* ---- files ---- */

#ifdef IMSG_FILES_UNCONFINED /* instrumented builds write their reports and counts where they are told to */
#define CONFINE_FILES false
#else
#define CONFINE_FILES true
#endif

#define LANDLOCK_CREATE 444 /* system calls, the same on all architectures */
#define LANDLOCK_ADD 445
#define LANDLOCK_RESTRICT 446
#define LANDLOCK_VERSION_FLAG 1u
#define LANDLOCK_PATH_BENEATH 1
#define VERSION_MIN 2 /* the first with which files can be moved between folders */

enum { /* accesses: include/uapi/linux/landlock.h */
       EXECUTE = 1 << 0,
       WRITE_FILE = 1 << 1,
       READ_FILE = 1 << 2,
       READ_DIR = 1 << 3,
       MAKE_SYM = 1 << 12,
       REFER = 1 << 13,
       TRUNCATE = 1 << 14,  /* version 3 */
       IOCTL_DEV = 1 << 15, /* version 5 */
       FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV,
       TCP_BIND = 1 << 0, /* version 4 */
       TCP_CONNECT = 1 << 1,
       SCOPE_ALL = 3 /* version 6: abstract Unix sockets and signals of others */
};

struct ruleset {
    uint64_t files, network, scoped;
};
struct beneath {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

static uint64_t handled_files(int version)
{
    return (2 * REFER - 1) | (version >= 3 ? TRUNCATE : 0) | (version >= 5 ? IOCTL_DEV : 0);
}

/* Members that a kernel does not know are zero, and then it takes the whole structure. */
static struct ruleset restrictions(int version, enum sandbox_network network)
{
    return (struct ruleset){
        .files = handled_files(version),
        .network = version >= 4 && network != SANDBOX_TALKING ? TCP_BIND | TCP_CONNECT : 0,
        .scoped = version >= 6 ? SCOPE_ALL : 0,
    };
}

void sandbox_start(struct sandbox *sandbox, enum sandbox_network network)
{
    *sandbox = (struct sandbox){.network = network, .rules = -1};
    long version = syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_VERSION_FLAG);
    if (!CONFINE_FILES || version < VERSION_MIN)
        return;
    sandbox->version = (int)version;
    const struct ruleset rules = restrictions(sandbox->version, network);
    sandbox->rules = (int)syscall(LANDLOCK_CREATE, &rules, sizeof rules, 0);
}

bool sandbox_allow(const struct sandbox *sandbox, const char *path, enum sandbox_access access)
{
    struct stat st;
    if (sandbox->rules < 0)
        return true;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return false;
    uint64_t all = handled_files(sandbox->version);
    uint64_t rights = access == SANDBOX_READ ? READ_FILE | READ_DIR : all & ~(uint64_t)EXECUTE;
    if (fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode))
        rights &= FILE_RIGHTS;
    const struct beneath rule = {.allowed = rights, .parent = fd};
    /* EBADFD: what no path leads to, a pipe say, stays in any case. */
    bool added = syscall(LANDLOCK_ADD, sandbox->rules, LANDLOCK_PATH_BENEATH, &rule, 0) == 0 || errno == EBADFD;
    close(fd);
    return added;
}

/* ---- system calls ---- */

#ifdef SANDBOX_FILTERS
static bool filter_calls(enum sandbox_network network)
{
#define TABLE(filter)                                                                                                  \
    {                                                                                                                  \
        sizeof filter / sizeof filter[0], (struct sock_filter *)(uintptr_t)filter                                      \
    }
    const struct sock_fprog programs[] = {[SANDBOX_SILENT] = TABLE(silent_filter),
                                          [SANDBOX_SERVING] = TABLE(serving_filter),
                                          [SANDBOX_TALKING] = TABLE(talking_filter)};
#undef TABLE
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &programs[network], 0, 0) == 0;
}
#else
static bool filter_calls(enum sandbox_network network)
{
    (void)network;
    return false;
}
#endif

void sandbox_close(struct sandbox *sandbox)
{
    bool narrow = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    if (!narrow || sandbox->rules < 0 || syscall(LANDLOCK_RESTRICT, sandbox->rules, 0) != 0)
        sandbox->version = 0;
    if (sandbox->rules >= 0)
        close(sandbox->rules);
    sandbox->rules = -1;
    sandbox->filters = narrow && filter_calls(sandbox->network);
}
