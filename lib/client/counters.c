#include "client/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "crypto/crypto.h"

enum {
    TAG = 12,
    SLOT = TAG + 4,
    SET = 8 * SLOT,
    SETS = 8192,
    FILE_SIZE = SET * SETS, /* all sizes in bytes */
    RANGE_MAX = 256,        /* sets that are read and written at once, 32 KiB */
    LOCK_TRIES = 200,
    LOCK_PAUSE = 10000000, /* ns */
};

struct wanted {
    uint32_t set;
    uint8_t tag[TAG];
    size_t index; /* in the caller's list */
};

/* ---- One counter ----------------------------------------------------------------------------------------------- */

static uint32_t load_number(const uint8_t bytes[static 4])
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void store_number(uint32_t number, uint8_t bytes[static 4])
{
    for (size_t i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(number >> (24 - 8 * i));
}

static enum imsg_status find_slot(const uint8_t own_x[static 32], const struct imsg_device *device, struct wanted *out,
                                  struct imsg_error *err)
{
    uint8_t keys[3 * 32], hash[32];

    memcpy(keys, own_x, 32);
    memcpy(keys + 32, device->device_x, 32);
    memcpy(keys + 64, device->prekey.x, 32);
    enum imsg_status status = imsg_sha256(imsg_view_of(keys, sizeof keys), hash, err);
    if (status == IMSG_OK) {
        out->set = load_number(hash) % SETS;
        memcpy(out->tag, hash + 4, TAG);
    }
    return status;
}

static uint32_t set_count_up(uint8_t set[static SET], const uint8_t tag[static TAG])
{
    size_t at = 0; /* of the slot, or of the last one */
    uint32_t counter = 0;

    while (at < SET - SLOT && memcmp(set + at, tag, TAG) != 0)
        at += SLOT;
    if (memcmp(set + at, tag, TAG) == 0)
        counter = load_number(set + at + TAG);
    memmove(set + SLOT, set, at);
    memcpy(set, tag, TAG);
    store_number(counter + 1, set + TAG); /* modulo 2^32 */
    return counter;
}

/* ---- The file -------------------------------------------------------------------------------------------------- */

/* Whoever has the lock has it for a moment; a process that was stopped meanwhile must not stop this one. */
static enum imsg_status file_lock(int fd, struct imsg_error *err)
{
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE};

    for (int tries = 0; tries < LOCK_TRIES; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return IMSG_OK;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return imsg_fail_errno(err, IMSG_IO, errno, "cannot lock");
        nanosleep(&pause, NULL);
    }
    return imsg_fail(err, IMSG_TEMPORARY, "another process has it locked");
}

/* O_NONBLOCK: a pipe in its place would not open. */
static enum imsg_status file_open(const char *path, int *out, struct imsg_error *err)
{
    enum imsg_status status = IMSG_IO;
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

    if (fd < 0)
        return imsg_fail_errno(err, status, errno, "cannot open");
    status = file_lock(fd, err);
    if (status == IMSG_OK && fstat(fd, &st) != 0)
        status = imsg_fail_errno(err, IMSG_IO, errno, "cannot read");
    else if (status == IMSG_OK && !S_ISREG(st.st_mode))
        status = imsg_fail(err, IMSG_IO, "not a regular file");
    else if (status == IMSG_OK && st.st_size != FILE_SIZE && (ftruncate(fd, 0) != 0 || ftruncate(fd, FILE_SIZE) != 0))
        status = imsg_fail_errno(err, IMSG_IO, errno, "cannot write");
    if (status == IMSG_OK)
        *out = fd;
    else
        close(fd);
    return status;
}

static int by_set(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    if (x->set != y->set)
        return x->set < y->set ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* How many of `wanted` (in the order of by_set) are within RANGE_MAX sets of the first. */
static size_t range_count(const struct wanted *wanted, size_t count)
{
    size_t n = 1;
    while (n < count && wanted[n].set - wanted[0].set < RANGE_MAX)
        n++;
    return n;
}

/* Count up those of one range. */
static enum imsg_status count_range(int fd, const struct wanted *wanted, size_t n, uint8_t *sets, uint32_t *counters,
                                    struct imsg_error *err)
{
    uint32_t first = wanted[0].set;
    uint64_t at = (uint64_t)first * SET;
    size_t got = 0, len = (size_t)(wanted[n - 1].set - first + 1) * SET;
    enum imsg_status status = imsg_read_at(fd, at, sets, len, &got, err);
    if (status != IMSG_OK)
        return status;
    memset(sets + got, 0, len - got);
    for (size_t i = 0; i < n; i++)
        counters[wanted[i].index] = set_count_up(sets + (size_t)(wanted[i].set - first) * SET, wanted[i].tag);
    return imsg_write_at(fd, at, imsg_view_of(sets, len), err);
}

enum imsg_status imsg_counters_take(const char *home, const uint8_t own_x[static 32],
                                    const struct imsg_device *const *devices, size_t count, uint32_t *counters,
                                    struct imsg_error *err)
{
    enum imsg_status status = IMSG_NO_MEMORY;
    struct wanted *wanted = calloc(count > 0 ? count : 1, sizeof *wanted);
    uint8_t *sets = malloc(count > 1 ? RANGE_MAX * SET : SET);
    char *path = NULL;
    int fd = -1;

    memset(counters, 0, count * sizeof *counters);
    if (!wanted || !sets) {
        imsg_fail(err, status, "out of memory");
        goto out;
    }
    status = imsg_path_join(home, "counters", &path, err);
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        status = find_slot(own_x, devices[i], &wanted[i], err);
        wanted[i].index = i;
    }
    if (status == IMSG_OK)
        status = file_open(path, &fd, err);
    qsort(wanted, count, sizeof *wanted, by_set);
    for (size_t at = 0, n; status == IMSG_OK && at < count; at += n) {
        n = range_count(wanted + at, count - at);
        status = count_range(fd, wanted + at, n, sets, counters, err);
    }
    if (status != IMSG_OK && path)
        imsg_error_prefix(err, "\"%s\"", path);
out:
    if (fd >= 0)
        close(fd);
    free(path);
    free(sets);
    free(wanted);
    return status;
}
