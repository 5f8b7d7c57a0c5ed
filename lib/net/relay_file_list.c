/* What waits in a mailbox, and what has waited too long. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "net/relay_folder.h"

#define MESSAGE_AGE (IMSG_RELAY_DAYS * 86400) /* seconds */
#define SWEEP_EVERY 3600                      /* seconds; a bulk sender would read the folder for each message */

struct found {
    struct timespec time;
    char name[65];
};

struct list {
    struct found *items;
    size_t count, cap;
};

static enum imsg_status add_found(struct list *list, const char *name, const struct stat *st, struct imsg_error *err)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 64;
        struct found *items = realloc(list->items, cap * sizeof *items);
        if (!items)
            return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        list->items = items;
        list->cap = cap;
    }
    struct found *found = &list->items[list->count++];
    found->time = st->st_mtim;
    memcpy(found->name, name, sizeof found->name);
    return IMSG_OK;
}

static int older_first(const void *left, const void *right)
{
    const struct found *a = left, *b = right;
    if (a->time.tv_sec != b->time.tv_sec)
        return a->time.tv_sec < b->time.tv_sec ? -1 : 1;
    if (a->time.tv_nsec != b->time.tv_nsec)
        return a->time.tv_nsec < b->time.tv_nsec ? -1 : 1;
    return strcmp(a->name, b->name);
}

static bool is_old(const struct stat *st, time_t now, time_t age)
{
    return st->st_mtim.tv_sec < now - age;
}

/* Between looking at a message and removing its name, others may have removed it and delivered it anew; so take what
 * has the name aside first, look again, and put a fresh one back. */
static void expire_message(const struct mailbox *box, int new, const char *name, time_t now)
{
    uint8_t random[16];
    char aside[2 * sizeof random + 1];
    struct stat st;
    int tmp = -1;
    if (imsg_random(random, sizeof random, NULL) != IMSG_OK)
        goto out;
    imsg_hex(random, sizeof random, aside);
    tmp = imsg_mailbox_open(box, "tmp");
    if (tmp < 0 || renameat(new, name, tmp, aside) != 0)
        goto out;
    if (fstatat(tmp, aside, &st, AT_SYMLINK_NOFOLLOW) == 0 && !is_old(&st, now, MESSAGE_AGE)) {
        if (renameat(tmp, aside, new, name) == 0)
            fsync(new);
    } else {
        unlinkat(tmp, aside, 0);
    }
out:
    if (tmp >= 0)
        close(tmp);
}

bool imsg_mailbox_has(const struct mailbox *box, const char *name)
{
    bool has = false;
    struct stat st;
    time_t now = imsg_now();
    int new = imsg_mailbox_open(box, "new");
    if (new < 0 || fstatat(new, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        goto out;
    has = !is_old(&st, now, MESSAGE_AGE);
    if (!has)
        expire_message(box, new, name, now);
out:
    if (new >= 0)
        close(new);
    return has;
}

static DIR *open_folder(const struct mailbox *box, const char *name)
{
    int fd = imsg_mailbox_open(box, name);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder && fd >= 0) {
        int number = errno;
        close(fd);
        errno = number;
    }
    return folder;
}

/* One look at new: old messages go, the others are added to *list (may be NULL). */
static enum imsg_status read_mailbox(const struct relay_folder *relay, const char *token, const struct mailbox *box,
                                     struct list *list, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    struct dirent *entry;
    struct stat st;
    time_t now = imsg_now();
    DIR *new = open_folder(box, "new");
    if (!new && (errno == ENOENT || errno == ENOTDIR))
        return imsg_mailbox_missing(relay, token, err);
    if (!new)
        return imsg_folder_fail(&relay->folder, box->new, errno, err);
    while (status == IMSG_OK) {
        errno = 0;
        if ((entry = readdir(new)) == NULL) {
            if (errno != 0)
                status = imsg_folder_fail_read(&relay->folder, box->new, errno, err);
            break;
        }
        if (!imsg_name_is_hash(entry->d_name) || fstatat(dirfd(new), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (is_old(&st, now, MESSAGE_AGE))
            expire_message(box, dirfd(new), entry->d_name, now);
        else if (list)
            status = add_found(list, entry->d_name, &st, err);
    }
    closedir(new);
    return status;
}

/* True once an hour per mailbox, more often where two share a slot. */
static bool sweep_is_due(struct relay_folder *relay, const char *token)
{
    char digits[3] = {token[0], token[1], '\0'};
    size_t slot = strtoul(digits, NULL, 16) % SWEPT;
    time_t now = imsg_now();
    if (strcmp(relay->swept[slot].token, token) == 0 && relay->swept[slot].when + SWEEP_EVERY > now)
        return false;
    memcpy(relay->swept[slot].token, token, sizeof relay->swept[slot].token);
    relay->swept[slot].when = now;
    return true;
}

void imsg_mailbox_sweep(struct relay_folder *relay, const char *token, const struct mailbox *box)
{
    if (!sweep_is_due(relay, token))
        return;
    imsg_folder_sweep(imsg_mailbox_open(box, "tmp"), NULL);
    (void)read_mailbox(relay, token, box, NULL, NULL);
}

enum imsg_status imsg_relay_file_list(void *opaque, const char *token, struct imsg_waiting *out, struct imsg_error *err)
{
    struct relay_folder *relay = opaque;
    struct mailbox box = {0};
    struct list list = {0};
    struct imsg_waiting waiting = {0};
    enum imsg_status status = imsg_mailbox_paths(relay, token, &box, err);
    if (status != IMSG_OK)
        goto out;
    imsg_relay_watch(relay, token, &box);
    if (sweep_is_due(relay, token))
        imsg_folder_sweep(imsg_mailbox_open(&box, "tmp"), NULL);
    status = read_mailbox(relay, token, &box, &list, err);
    if (status != IMSG_OK || list.count == 0)
        goto out;
    qsort(list.items, list.count, sizeof *list.items, older_first);
    waiting.names = calloc(list.count, sizeof *waiting.names);
    if (!waiting.names) {
        status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < list.count; i++) {
        status = imsg_strdup(list.items[i].name, &waiting.names[i], err);
        if (status != IMSG_OK)
            goto out;
        waiting.count++;
    }
out:
    if (status == IMSG_OK)
        *out = waiting;
    else
        imsg_waiting_free(&waiting);
    free(list.items);
    imsg_mailbox_free(&box);
    return status;
}
