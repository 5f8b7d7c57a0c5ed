/* The id of a group (format.md §7). */
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"

/* The namespace of group ids (RFC 4122 §4.3); chosen once for imsg. */
static const uint8_t group_space[16] = {0x7e, 0x0b, 0x3f, 0x5c, 0x4f, 0x0d, 0x5d, 0x7e,
                                        0x9a, 0x55, 0x6d, 0x1f, 0x6c, 0x0a, 0x2b, 0x11};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The text behind its length. */
static enum imsg_status append_counted(struct imsg_buf *out, const char *text, struct imsg_error *err)
{
    size_t len = strlen(text);
    const uint8_t length[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
    enum imsg_status status = imsg_buf_append(out, length, sizeof length, err);
    return status == IMSG_OK ? imsg_buf_append(out, text, len, err) : status;
}

enum imsg_status imsg_group_id(const char *const *participants, size_t count, const char *name, char out[static 37],
                               struct imsg_error *err)
{
    struct imsg_buf text = {0};
    enum imsg_status status = IMSG_OK;
    const char **sorted = calloc(count, sizeof *sorted);
    if (!sorted)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    memcpy(sorted, participants, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_text);
    for (size_t i = 0; status == IMSG_OK && i < count; i++)
        if (i == 0 || strcmp(sorted[i], sorted[i - 1]) != 0)
            status = append_counted(&text, sorted[i], err);
    if (status == IMSG_OK)
        status = append_counted(&text, name, err);
    if (status == IMSG_OK)
        status = imsg_uuid_v5(group_space, imsg_buf_view(&text), out, err);
    imsg_buf_free(&text);
    free(sorted);
    return status;
}

bool imsg_message_group_fits(const struct imsg_message *message)
{
    char id[37] = "";
    if (!message->group_id || message->receipt)
        return !message->group_id;
    const char **all = calloc(message->to_count + 1, sizeof *all);
    if (!all)
        return false;
    for (size_t i = 0; i < message->to_count; i++)
        all[i] = message->to[i];
    all[message->to_count] = message->from;
    bool fits = imsg_group_id(all, message->to_count + 1, message->group_name, id, NULL) == IMSG_OK &&
                strcmp(id, message->group_id) == 0;
    free(all);
    return fits;
}
