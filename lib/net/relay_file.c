/* A relay in a folder: one Maildir per token, BASE/<token>/{tmp,new}, a message named by the hash of its payload.
 *
 * link() is what makes delivering and de-duplicating one step: of any number of senders that deliver the same payload
 * one makes the name and the others learn that it is there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "net/relay_folder.h"

static void file_close(void *opaque)
{
    struct relay_folder *relay = opaque;
    if (!relay)
        return;
    imsg_relay_unwatch(relay);
    imsg_folder_free(&relay->folder);
    free(relay);
}

static enum imsg_status file_open(const char *location, struct imsg_net *net, void **out, struct imsg_error *err)
{
    (void)net;
    struct relay_folder *relay = calloc(1, sizeof *relay);
    if (!relay)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    relay->notify = -1;
    enum imsg_status status = imsg_folder_set(&relay->folder, "relay", location, err);
    if (status != IMSG_OK) {
        file_close(relay);
        return status;
    }
    *out = relay;
    return IMSG_OK;
}

/* Is part of the mailbox a symbolic link? Nothing is removed through one, so nothing is delivered there. */
static bool is_linked(const struct mailbox *box)
{
    const char *const paths[] = {box->path, box->tmp, box->new};
    struct stat st;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (lstat(paths[i], &st) == 0 && S_ISLNK(st.st_mode))
            return true;
    return false;
}

static enum imsg_status file_mailbox(void *opaque, const char *token, struct imsg_error *err)
{
    struct relay_folder *relay = opaque;
    struct mailbox box = {0};
    enum imsg_status status = imsg_mailbox_paths(relay, token, &box, err);
    if (status == IMSG_OK)
        status = imsg_folder_make_base(&relay->folder, err);
    if (status == IMSG_OK)
        status = imsg_folder_make(&relay->folder, box.path, err);
    /* new last: who finds it finds a whole mailbox. */
    if (status == IMSG_OK)
        status = imsg_folder_make(&relay->folder, box.tmp, err);
    if (status == IMSG_OK)
        status = imsg_folder_make(&relay->folder, box.new, err);
    imsg_mailbox_free(&box);
    return status;
}

/* A line and its newline, synced, under a name of its own in tmp. */
static enum imsg_status write_temp(const struct relay_folder *relay, const char *token, const struct mailbox *box,
                                   struct imsg_view line, char **temp, struct imsg_error *err)
{
    struct imsg_folder_temp file = {.fd = -1};
    struct imsg_buf text = {0};
    enum imsg_status status = imsg_buf_append(&text, line.ptr, line.len, err);
    if (status == IMSG_OK)
        status = imsg_buf_append(&text, "\n", 1, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_folder_temp(&relay->folder, box->tmp, "", &file, err);
    if (file.number == ENOENT || file.number == ENOTDIR)
        status = imsg_mailbox_missing(relay, token, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_folder_write(&relay->folder, file.path, file.fd, imsg_buf_view(&text), err);
    if (status != IMSG_OK)
        goto out;
    *temp = file.path;
    file.path = NULL;
out:
    if (file.fd >= 0)
        close(file.fd);
    if (file.path)
        unlink(file.path);
    free(file.path);
    imsg_buf_free(&text);
    return status;
}

/* Give the message its name. IMSG_OK with *duplicate: the name is taken by a message. */
static enum imsg_status link_message(const struct relay_folder *relay, const char *token, const char *temp,
                                     const char *message, bool *duplicate, struct imsg_error *err)
{
    struct stat st;
    if (link(temp, message) == 0)
        return IMSG_OK;
    int number = errno;
    if (number == ENOENT || number == ENOTDIR) {
        enum imsg_status status = imsg_mailbox_missing(relay, token, err);
        /* The mailbox may be there again, or the temporary file was swept as a leftover: trying again will tell. */
        return status == IMSG_UNAVAILABLE && access(temp, F_OK) != 0
                   ? imsg_folder_fail(&relay->folder, temp, ENOENT, err)
                   : status;
    }
    if (number != EEXIST)
        return imsg_folder_fail(&relay->folder, message, number, err);
    /* Gone again already: delivered and acknowledged. */
    if (lstat(message, &st) == 0 && !S_ISREG(st.st_mode))
        return imsg_fail(err, IMSG_PROTOCOL, "relay folder \"%s\": \"%s\" is not a regular file", relay->folder.base,
                         message);
    *duplicate = true;
    return IMSG_OK;
}

static enum imsg_status file_deliver(void *opaque, const char *token, const char *name, struct imsg_view line,
                                     bool *duplicate, struct imsg_error *err)
{
    struct relay_folder *relay = opaque;
    struct mailbox box = {0};
    char *message = NULL, *temp = NULL;
    bool twice = false;
    enum imsg_status status = imsg_mailbox_paths(relay, token, &box, err);
    if (status == IMSG_OK)
        status = imsg_path_join(box.new, name, &message, err);
    if (status == IMSG_OK && is_linked(&box))
        status = imsg_mailbox_missing(relay, token, err);
    if (status != IMSG_OK)
        goto out;
    imsg_mailbox_sweep(relay, token, &box);
    if (imsg_mailbox_has(&box, name)) {
        twice = true;
    } else {
        status = write_temp(relay, token, &box, line, &temp, err);
        if (status == IMSG_OK)
            status = link_message(relay, token, temp, message, &twice, err);
        if (temp)
            unlink(temp);
        if (status != IMSG_OK)
            goto out;
    }
    /* For a duplicate too: the process that made the name may have ended before it synced the folder. */
    status = imsg_folder_sync_of(&relay->folder, message, err);
    if (status == IMSG_OK)
        *duplicate = twice;
out:
    free(temp);
    free(message);
    imsg_mailbox_free(&box);
    return status;
}

static enum imsg_status file_fetch(void *opaque, const char *token, const char *name, size_t max, struct imsg_buf *out,
                                   struct imsg_error *err)
{
    struct relay_folder *relay = opaque;
    struct mailbox box = {0};
    char *message = NULL;
    bool found = false;
    enum imsg_status status = imsg_mailbox_paths(relay, token, &box, err);
    if (status == IMSG_OK)
        status = imsg_path_join(box.new, name, &message, err);
    if (status == IMSG_OK)
        status = imsg_folder_read(&relay->folder, message, max, out, &found, err);
    /* The sender's umask may forbid reading it: this does not pass by itself, and must not stop the other messages. */
    if (status == IMSG_TEMPORARY && access(message, R_OK) != 0 && errno == EACCES)
        status = imsg_fail(err, IMSG_PROTOCOL, "relay folder \"%s\": message %.8s… may not be read", relay->folder.base,
                           name);
    if (status == IMSG_OK && !found)
        status = imsg_fail(err, IMSG_NO_INPUT, "relay folder \"%s\": message %.8s… is gone", relay->folder.base, name);
    free(message);
    imsg_mailbox_free(&box);
    return status;
}

static enum imsg_status file_acknowledge(void *opaque, const char *token, const char *const *names, size_t count,
                                         struct imsg_error *err)
{
    struct relay_folder *relay = opaque;
    struct mailbox box = {0};
    bool removed = false;
    int new = -1;
    enum imsg_status status = imsg_mailbox_paths(relay, token, &box, err);
    if (status != IMSG_OK)
        goto out;
    new = imsg_mailbox_open(&box, "new");
    if (new < 0) { /* no mailbox, no message */
        status = errno == ENOENT || errno == ENOTDIR ? imsg_folder_check(&relay->folder, err)
                                                     : imsg_folder_fail(&relay->folder, box.new, errno, err);
        goto out;
    }
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        if (unlinkat(new, names[i], 0) == 0)
            removed = true;
        else if (errno != ENOENT)
            status = imsg_folder_fail(&relay->folder, box.new, errno, err);
    }
    if (status == IMSG_OK && removed)
        status = imsg_folder_sync_file(&relay->folder, box.new, new, err);
out:
    if (new >= 0)
        close(new);
    imsg_mailbox_free(&box);
    return status;
}

const struct relay_backend imsg_relay_file = {
    .scheme = "file",
    .open = file_open,
    .mailbox = file_mailbox,
    .deliver = file_deliver,
    .list = imsg_relay_file_list,
    .fetch = file_fetch,
    .acknowledge = file_acknowledge,
    .wait = imsg_relay_file_wait,
    .close = file_close,
};
