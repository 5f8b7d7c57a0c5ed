/* The folders of one mailbox. */
#define _GNU_SOURCE /* O_PATH */
#include "net/relay_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"

void imsg_mailbox_free(struct mailbox *box)
{
    free(box->path);
    free(box->tmp);
    free(box->new);
    *box = (struct mailbox){0};
}

enum imsg_status imsg_mailbox_paths(const struct relay_folder *relay, const char *token, struct mailbox *out,
                                    struct imsg_error *err)
{
    struct mailbox box = {0};
    enum imsg_status status = imsg_path_join(relay->folder.base, token, &box.path, err);
    if (status == IMSG_OK)
        status = imsg_path_join(box.path, "tmp", &box.tmp, err);
    if (status == IMSG_OK)
        status = imsg_path_join(box.path, "new", &box.new, err);
    if (status == IMSG_OK)
        *out = box;
    else
        imsg_mailbox_free(&box);
    return status;
}

int imsg_mailbox_open(const struct mailbox *box, const char *name)
{
    int fd = -1, path = open(box->path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (path < 0)
        return -1;
    fd = openat(path, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int number = errno;
    close(path);
    errno = number;
    return fd;
}

enum imsg_status imsg_mailbox_missing(const struct relay_folder *relay, const char *token, struct imsg_error *err)
{
    enum imsg_status status = imsg_folder_check(&relay->folder, err);
    if (status == IMSG_OK)
        status = imsg_fail(err, IMSG_UNAVAILABLE, "relay folder \"%s\": no mailbox for token %.4s…", relay->folder.base,
                           token);
    return status;
}
