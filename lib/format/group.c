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
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        if (i > 0 && strcmp(sorted[i], sorted[i - 1]) == 0)
            continue;
        status = imsg_buf_text(&text, sorted[i], err);
        if (status == IMSG_OK)
            status = imsg_buf_text(&text, "\n", err);
    }
    if (status == IMSG_OK)
        status = imsg_buf_text(&text, name, err);
    if (status == IMSG_OK)
        status = imsg_uuid_v5(group_space, imsg_buf_view(&text), out, err);
    imsg_buf_free(&text);
    free(sorted);
    return status;
}
