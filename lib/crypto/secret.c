/* mmap's MAP_ANONYMOUS and madvise are not in POSIX. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif

#include "crypto/internal.h"

#include <sys/mman.h>
#include <unistd.h>

#include <openssl/crypto.h>

bool imsg_equal_ct(const void *a, const void *b, size_t len)
{
    return len == 0 || CRYPTO_memcmp(a, b, len) == 0;
}

enum imsg_status imsg_secret_alloc(struct imsg_secret *secret, size_t len, struct imsg_error *err)
{
    long page = sysconf(_SC_PAGESIZE);
    if (page <= 0)
        page = 4096;
    size_t unit = (size_t)page;
    if (len > SIZE_MAX - unit)
        return imsg_fail(err, IMSG_NO_MEMORY, "no memory for a secret of %zu bytes", len);
    /* An empty secret has a page too: its pointer is never NULL. */
    size_t mapped = len == 0 ? unit : (len + unit - 1) / unit * unit;
    void *ptr = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ptr == MAP_FAILED)
        return imsg_fail(err, IMSG_NO_MEMORY, "no memory for a secret of %zu bytes", len);
    /* Both best effort: RLIMIT_MEMLOCK may be zero, and a kernel may lack the advice. */
    (void)mlock(ptr, mapped);
#ifdef MADV_DONTDUMP
    (void)madvise(ptr, mapped, MADV_DONTDUMP);
#endif
    *secret = (struct imsg_secret){.ptr = ptr, .len = len, .mapped = mapped};
    return IMSG_OK;
}

void imsg_secret_free(struct imsg_secret *secret)
{
    if (secret->ptr) {
        imsg_wipe(secret->ptr, secret->mapped);
        munmap(secret->ptr, secret->mapped);
    }
    *secret = (struct imsg_secret){0};
}
