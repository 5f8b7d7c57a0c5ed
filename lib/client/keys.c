/* Key files: read as ssh reads them, created once, and replaced only as a whole. */
#define _GNU_SOURCE /* realpath */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/text.h"
#include "client/client.h"

#define KEY_FILE_MAX 1048576 /* bytes */

/* ---- reading ---- */

static enum imsg_status check_file(const struct imsg_key_file *file, int fd, const char *role, struct imsg_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return imsg_fail_errno(err, IMSG_IO, errno, "%s \"%s\"", role, file->path);
    if (S_ISDIR(st.st_mode))
        return imsg_fail(err, IMSG_NO_INPUT, "%s \"%s\": %s", role, file->path, strerror(EISDIR));
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || !(st.st_mode & 077) || file->others_may_read)
        return IMSG_OK;
    enum imsg_status status = imsg_fail(err, IMSG_PERMISSION, "%s \"%s\": mode %04o lets others read it", role,
                                        file->path, (unsigned)st.st_mode & 07777);
    imsg_error_suggest(err, IMSG_HINT_MODE, file->path);
    return status;
}

enum imsg_status imsg_key_file_read(const struct imsg_key_file *file, const char *role, struct imsg_buf *out,
                                    struct imsg_error *err)
{
    int fd = file->has_fd ? file->fd : open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return imsg_fail(err, IMSG_NO_INPUT, "%s \"%s\": %s", role, file->path, strerror(errno));
    enum imsg_status status = file->has_fd ? IMSG_OK : check_file(file, fd, role, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_read_all(fd, KEY_FILE_MAX, out, err);
    if (status == IMSG_TOO_LONG)
        status = imsg_fail(err, IMSG_MALFORMED, "larger than a key file can be");
    if (status != IMSG_OK)
        imsg_error_prefix(err, "%s \"%s\"", role, file->path);
out:
    if (!file->has_fd)
        close(fd);
    return status;
}

enum imsg_status imsg_key_file_passphrase(const struct imsg_key_file *file, const char *role, struct imsg_buf *out,
                                          struct imsg_error *err)
{
    char what[400];
    snprintf(what, sizeof what, "%s \"%s\"", role, file->path);
    return file->passphrase ? file->passphrase(file->context, what, out, err)
                            : imsg_fail(err, IMSG_PERMISSION, "%s is encrypted", what);
}

enum imsg_status imsg_identity_load(const struct imsg_key_file *file, struct imsg_identity *out, struct imsg_error *err)
{
    struct imsg_buf bytes = {0}, passphrase = {0};
    enum imsg_status status = imsg_key_file_read(file, "identity file", &bytes, err);
    if (status == IMSG_OK && imsg_identity_is_encrypted(imsg_buf_view(&bytes)))
        status = imsg_key_file_passphrase(file, "identity file", &passphrase, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_identity_parse(imsg_buf_view(&bytes), imsg_buf_view(&passphrase), out, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "identity file \"%s\"", file->path);
out:
    imsg_buf_free(&bytes);
    imsg_buf_free(&passphrase);
    return status;
}

enum imsg_status imsg_identity_load_token(const struct imsg_key_file *file, uint8_t token[static IMSG_TOKEN],
                                          struct imsg_error *err)
{
    struct imsg_buf bytes = {0};
    json_t *object = NULL;
    enum imsg_status status = imsg_key_file_read(file, "identity file", &bytes, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_json_document(imsg_buf_view(&bytes), KEY_FILE_MAX, "identity/1", &object, err);
    if (status == IMSG_OK)
        status = imsg_json_hex(object, "token", token, IMSG_TOKEN, NULL, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "identity file \"%s\"", file->path);
out:
    json_decref(object);
    imsg_buf_free(&bytes);
    return status;
}

/* ---- writing ---- */

enum imsg_status imsg_key_file_create(const char *path, struct imsg_view bytes, struct imsg_error *err)
{
    enum imsg_status status = imsg_write_file(path, bytes, 0600, IMSG_NO_REPLACE, err);
    if (status == IMSG_CONFLICT)
        status = imsg_fail(err, IMSG_CANNOT_CREATE, "\"%s\" exists and is never replaced", path);
    return status;
}

enum imsg_status imsg_identity_create(const char *path, const struct imsg_identity *identity, struct imsg_error *err)
{
    struct imsg_buf bytes = {0};
    enum imsg_status status = imsg_identity_print(identity, &bytes, err);
    if (status == IMSG_OK)
        status = imsg_key_file_create(path, imsg_buf_view(&bytes), err);
    imsg_buf_free(&bytes);
    return status;
}

/* Two changes at once would lose one of them, and with it perhaps a new prekey. The lock is a file beside the identity,
 * because a lock on the identity itself would stay with the file that was replaced. */
static enum imsg_status lock_identity(const char *path, int *lock, struct imsg_error *err)
{
    struct imsg_buf name = {0};
    enum imsg_status status = imsg_buf_text(&name, path, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&name, ".lock", err);
    if (status == IMSG_OK)
        status = imsg_lock((const char *)name.ptr, 0600, lock, err);
    imsg_buf_free(&name);
    return status;
}

typedef enum imsg_status identity_change(struct imsg_identity *identity, const char *argument, struct imsg_error *err);

static enum imsg_status change_file(const struct imsg_key_file *file, identity_change *change, const char *argument,
                                    struct imsg_identity *out, struct imsg_error *err)
{
    struct imsg_identity identity = {0};
    struct imsg_key_file target = *file;
    struct imsg_buf bytes = {0};
    enum imsg_status status = IMSG_OK;
    int lock = -1;
    char *real = realpath(file->path, NULL);
    if (real) { /* where there is no file, reading it says so */
        target.path = real;
        status = lock_identity(real, &lock, err);
    }
    if (status == IMSG_OK)
        status = imsg_identity_load(&target, &identity, err);
    if (status == IMSG_OK)
        status = change(&identity, argument, err);
    if (status == IMSG_OK)
        status = imsg_identity_print(&identity, &bytes, err);
    if (status == IMSG_OK)
        status = imsg_write_file(target.path, imsg_buf_view(&bytes), 0600, IMSG_REPLACE, err);
    if (status == IMSG_OK) {
        *out = identity;
        identity = (struct imsg_identity){0};
    }
    if (lock >= 0)
        close(lock);
    imsg_buf_free(&bytes);
    imsg_identity_free(&identity);
    free(real);
    return status;
}

static enum imsg_status rotate(struct imsg_identity *identity, const char *argument, struct imsg_error *err)
{
    (void)argument;
    return imsg_identity_rotate(identity, err);
}

enum imsg_status imsg_identity_rotate_file(const struct imsg_key_file *file, struct imsg_identity *out,
                                           struct imsg_error *err)
{
    return change_file(file, rotate, NULL, out, err);
}

enum imsg_status imsg_identity_account_file(const struct imsg_key_file *file, const char *thumbprint,
                                            struct imsg_identity *out, struct imsg_error *err)
{
    return change_file(file, imsg_identity_set_account, thumbprint, out, err);
}
