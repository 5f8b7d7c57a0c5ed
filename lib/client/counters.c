/* counters.json: {"imsg":"counters/1","counters":{"OWN/RECIPIENT/PREKEY":N}}, the three keys' x in hex, in the order of
 * their last use. */
#include "client/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/text.h"

#define LOCK_TRIES 200 /* about two seconds */
#define COUNTERS_MAX ((size_t)64 << 20) /* bytes */
#define KEPT 1024 /* counters, or all of one sealing: 0.2 MB that every sealing reads and writes */

/* The file itself is the lock, and is rewritten in place: a crash may cost the counts, never a message. Whoever
 * holds it does so for a moment; one that is stopped there must not stop us. */
static int open_locked(const char *home)
{
    char *path = NULL;
    struct stat st;
    const struct timespec moment = {.tv_nsec = 10000000}; /* 10 ms */
    int fd = -1;
    bool locked = false;
    if (imsg_path_join(home, "counters.json", &path, NULL) == IMSG_OK)
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600); /* a pipe would not open */
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        for (int tries = 0; !locked && tries < LOCK_TRIES; tries++) {
            locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
            if (!locked)
                nanosleep(&moment, NULL);
        }
    if (fd >= 0 && !locked) {
        close(fd);
        fd = -1;
    }
    free(path);
    return fd;
}

static json_t *load(int fd)
{
    struct imsg_buf text = {0};
    json_t *document = NULL;
    if (imsg_read_all(fd, COUNTERS_MAX, &text, NULL) != IMSG_OK ||
        imsg_json_document(imsg_buf_view(&text), COUNTERS_MAX, "counters/1", &document, NULL) != IMSG_OK ||
        !json_is_object(json_object_get(document, "counters"))) {
        json_decref(document);
        document = json_pack("{s:s,s:{}}", "imsg", "counters/1", "counters");
    }
    imsg_buf_free(&text);
    return document;
}

/* Cut to its length last, and only where that changes: a file that was emptied first is one that ext4 flushes when it
 * is closed. */
static bool store(int fd, const json_t *document)
{
    struct imsg_buf text = {0};
    struct stat st;
    bool ok = imsg_json_print(document, &text, NULL) == IMSG_OK && imsg_buf_text(&text, "\n", NULL) == IMSG_OK &&
              lseek(fd, 0, SEEK_SET) == 0 && imsg_write_all(fd, imsg_buf_view(&text), NULL) == IMSG_OK &&
              fstat(fd, &st) == 0 && (st.st_size == (off_t)text.len || ftruncate(fd, (off_t)text.len) == 0);
    imsg_buf_free(&text);
    return ok;
}

bool imsg_counters_take(const char *home, const uint8_t own_x[static 32], const struct imsg_device *const *devices,
                        size_t count, uint32_t *counters)
{
    char name[3 * 65];
    int fd = open_locked(home);
    json_t *document = fd >= 0 ? load(fd) : NULL;
    json_t *all = json_object_get(document, "counters");
    bool ok = all != NULL;
    memset(counters, 0, count * sizeof *counters);
    for (size_t i = 0; ok && i < count; i++) {
        imsg_hex(own_x, 32, name);
        name[64] = '/';
        imsg_hex(devices[i]->device_x, 32, name + 65);
        name[129] = '/';
        imsg_hex(devices[i]->prekey.x, 32, name + 130);
        counters[i] = (uint32_t)json_integer_value(json_object_get(all, name));
        json_object_del(all, name); /* to the end */
        ok = json_object_set_new(all, name, json_integer((json_int_t)counters[i] + 1)) == 0;
    }
    while (ok && json_object_size(all) > (count > KEPT ? count : KEPT))
        ok = json_object_del(all, json_object_iter_key(json_object_iter(all))) == 0;
    ok = ok && store(fd, document);
    json_decref(document);
    if (fd >= 0)
        close(fd);
    return ok;
}
