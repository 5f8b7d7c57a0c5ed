/* What a tool that only reads, computes and writes files never needs: a socket, another program, another process's
 * memory. Refused with EPERM rather than by killing, so that a library that merely tries goes on. */
#define _GNU_SOURCE
#include "cli/cli.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#ifdef __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#define FOREIGN_BIT 0x40000000u /* x32 calls: numbers this filter does not know */
#else
#define ARCH AUDIT_ARCH_AARCH64
#define FOREIGN_BIT 0xffffffffu
#endif

#define DENY(nr)                                                                                                       \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (EPERM & 0xffff))

static void narrow(bool talking)
{
    static const struct sock_filter head[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (EPERM & 0xffff)),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FOREIGN_BIT, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (EPERM & 0xffff)),
        DENY(SYS_execve),
        DENY(SYS_execveat),
        DENY(SYS_ptrace),
        DENY(SYS_process_vm_readv),
        DENY(SYS_process_vm_writev),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    static const struct sock_filter sockets[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        DENY(SYS_socket),
        DENY(SYS_socketpair),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof head / sizeof head[0], (struct sock_filter *)(uintptr_t)head};
    const struct sock_fprog silence = {sizeof sockets / sizeof sockets[0], (struct sock_filter *)(uintptr_t)sockets};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return;
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0); /* a kernel without it: no sandbox, no error */
    if (!talking)
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &silence, 0, 0);
}
#else
static void narrow(bool talking)
{
    (void)talking;
}
#endif

void cli_sandbox(void)
{
    narrow(false);
}

void cli_sandbox_talking(void)
{
    narrow(true);
}

void cli_sandbox_for(struct cli *cli, unsigned services, const char *directory, const char *relay, const char *store)
{
    const char *const options[] = {[CLI_DIRECTORY] = directory, [CLI_RELAY] = relay, [CLI_STORE] = store};
    bool talking = false;
    for (unsigned i = 0; i < sizeof options / sizeof options[0]; i++) {
        char *location = NULL;
        /* What is wrong with the configuration is reported when it is used. */
        if ((services & CLI_USES(i)) &&
            cli_configured(cli, (enum cli_service)i, options[i], &location, NULL) == IMSG_OK)
            talking |= location && imsg_location_is_remote(location);
        free(location);
    }
    narrow(talking);
}
