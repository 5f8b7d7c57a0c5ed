/* Blobs are files DATA/store/xx/SHA256. A PUT is streamed into a file of DATA/partial and hashed on the way; the blob
 * appears under its name only when the hash is right. */
#include "serve/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "serve/device.h"
#include "serve/reply.h"
#include "serve/serve.h"

#define READ_BLOCK 32768 /* bytes */
#define STALL_MS 60000   /* a client must take a block in that time */
#define QUOTA_RETRY 3600 /* seconds */

static bool blob_name(struct request *request, uint8_t hash[static 32])
{
    if (strlen(request->tail) == 64 && hash_decode(request->tail, hash))
        return true;
    reply_reason(request, MHD_HTTP_NOT_FOUND, "BadPath");
    return false;
}

/* ---- PUT ---- */

struct upload {
    struct job job; /* of a file thread */
    struct request *request;
    uint8_t hash[32];
    bool open; /* fd is open */
    int fd;
    char *temp;
    struct imsg_digest *digest;
    uint8_t account[32]; /* whose quota it counts against */
    uint64_t size, reserved;
    bool exists;  /* the blob is stored already: the body is thrown away */
    bool created; /* this upload made the file */
};

/* Room for what came, not for what is announced: announcing costs nothing. */
static bool upload_reserve(struct upload *upload, uint64_t bytes)
{
    struct request *request = upload->request;
    struct serve *serve = request->serve;
    struct mailbox mailbox;
    if (!device_mailbox(request, request->sender, &mailbox))
        return false;
    bool good = quota_reserve(&serve->quota, upload->account, mailbox.blob_bytes, bytes);
    upload->reserved += good ? bytes : 0;
    if (!good)
        reply_later(request, MHD_HTTP_INSUFFICIENT_STORAGE, "QuotaExceeded", QUOTA_RETRY);
    return good;
}

static void upload_release(struct upload *upload)
{
    if (upload->reserved > 0)
        quota_release(&upload->request->serve->quota, upload->account, upload->reserved);
    upload->reserved = 0;
}

static enum imsg_status upload_open(struct upload *upload, struct imsg_error *err)
{
    uint8_t random[16];
    char name[33];
    enum imsg_status status = imsg_random(random, sizeof random, err);
    imsg_hex(random, sizeof random, name);
    if (status == IMSG_OK)
        status = imsg_path_join(upload->request->serve->partial, name, &upload->temp, err);
    if (status == IMSG_OK)
        status = imsg_digest_new(IMSG_SHA256, &upload->digest, err);
    if (status != IMSG_OK)
        return status;
    upload->fd = open(upload->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    upload->open = upload->fd >= 0;
    return upload->open ? IMSG_OK : imsg_fail(err, IMSG_TEMPORARY, "\"%s\": %s", upload->temp, strerror(errno));
}

static bool blob_is_there(const struct upload *upload)
{
    char *path = NULL;
    bool there = blob_path(upload->request->serve, upload->hash, &path, NULL) == IMSG_OK && access(path, F_OK) == 0;
    free(path);
    return there;
}

static void blob_put_begin(struct request *request)
{
    struct upload *upload = request->state;
    struct mailbox mailbox;
    const char *length = request_header(request, "Content-Length");
    uint64_t announced = length ? strtoull(length, NULL, 10) : 0;
    upload->request = request;
    if (!blob_name(request, upload->hash) || !authorize_sender(request) ||
        !device_mailbox(request, request->sender, &mailbox))
        return;
    memcpy(upload->account, mailbox.account, sizeof upload->account);
    upload->exists = blob_is_there(upload);
    if (upload->exists && request_header(request, "Expect"))
        reply_empty(request, MHD_HTTP_NO_CONTENT); /* the client need not send the body */
    else if (!upload->exists &&
             !quota_fits(&request->serve->quota, upload->account, mailbox.blob_bytes, announced)) /* nor here */
        reply_later(request, MHD_HTTP_INSUFFICIENT_STORAGE, "QuotaExceeded", QUOTA_RETRY);
}

static void blob_put_data(struct request *request, struct imsg_view bytes)
{
    struct upload *upload = request->state;
    struct imsg_error err = {0};
    upload->size += bytes.len;
    if (upload->exists || !upload_reserve(upload, bytes.len))
        return;
    enum imsg_status status = upload->open ? IMSG_OK : upload_open(upload, &err);
    if (status == IMSG_OK)
        status = imsg_digest_update(upload->digest, bytes, &err);
    if (status == IMSG_OK)
        status = imsg_write_all(upload->fd, bytes, &err);
    request->serve->metrics.blob_bytes_in += bytes.len;
    if (status != IMSG_OK) {
        cli_note(request->serve->cli, "upload: %s", err.text);
        reply_failure(request, IMSG_TEMPORARY);
    }
}

/* Sync the file and give it its name. Where it fails, upload->created still says whether the name was made. */
static enum imsg_status blob_keep(struct upload *upload, const char *path, struct imsg_error *err)
{
    char *folder = NULL;
    enum imsg_status status = imsg_strdup(path, &folder, err);
    if (status == IMSG_OK) {
        *strrchr(folder, '/') = 0;
        status = imsg_make_folders(folder, 0700, err);
    }
    free(folder);
    if (status == IMSG_OK && fsync(upload->fd) != 0)
        status = imsg_fail(err, IMSG_TEMPORARY, "\"%s\": %s", upload->temp, strerror(errno));
    if (status == IMSG_OK) {
        upload->created = link(upload->temp, path) == 0;
        if (!upload->created && errno != EEXIST)
            status = imsg_fail(err, IMSG_TEMPORARY, "\"%s\": %s", path, strerror(errno));
    }
    if (upload->created)
        quota_add_used(&upload->request->serve->quota, (int64_t)upload->size);
    return status;
}

static enum imsg_status blob_record(const struct upload *upload, const char *path, struct imsg_error *err)
{
    struct blob blob = {.stored = imsg_now()};
    struct stat file;
    /* The size of the file: where the blob was stored already, the body may have been anything. */
    if (stat(path, &file) != 0)
        return imsg_fail(err, IMSG_TEMPORARY, "\"%s\": %s", path, strerror(errno));
    memcpy(blob.hash, upload->hash, sizeof blob.hash);
    memcpy(blob.account, upload->account, sizeof blob.account);
    blob.size = (uint64_t)file.st_size;
    if (storage_record_blob(upload->request->serve->storage, &blob, err) != IMSG_OK)
        return IMSG_TEMPORARY;
    /* From now on it is not expired; but it may have been, just before its row said so. */
    return blob_is_there(upload) ? IMSG_OK : imsg_fail(err, IMSG_TEMPORARY, "the blob expired meanwhile");
}

/* Where it fails between file and row, the client sends the blob again, and what is missing is made then. */
static enum imsg_status blob_put_run(struct job *job, struct imsg_error *err)
{
    struct upload *upload = (struct upload *)job;
    char *path = NULL;
    enum imsg_status status = blob_path(upload->request->serve, upload->hash, &path, err);
    if (status == IMSG_OK && !upload->exists)
        status = blob_keep(upload, path, err);
    if (status == IMSG_OK) /* also where another upload made the file, which may not have synced it yet */
        status = imsg_sync_folder_of(path, err);
    if (status == IMSG_OK)
        status = blob_record(upload, path, err);
    upload_release(upload);
    free(path);
    return status;
}

static void blob_put_done(struct job *job, enum imsg_status status)
{
    request_resume(((struct upload *)job)->request, status);
}

static void blob_put_end(struct request *request)
{
    struct upload *upload = request->state;
    uint8_t hash[32];
    if (!upload->exists) {
        if (!upload->open && upload_open(upload, NULL) != IMSG_OK) { /* no bytes came */
            reply_failure(request, IMSG_TEMPORARY);
            return;
        }
        if (imsg_digest_final(upload->digest, hash, NULL) != IMSG_OK) {
            reply_failure(request, IMSG_INTERNAL);
            return;
        }
        if (memcmp(hash, upload->hash, sizeof hash) != 0) {
            reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadHash");
            return;
        }
    }
    upload->job.run = blob_put_run;
    upload->job.done = blob_put_done;
    request_park(request);
    if (!queue_add(&request->serve->files, &upload->job))
        request_resume(request, IMSG_TEMPORARY);
}

static void blob_put_woken(struct request *request)
{
    const struct upload *upload = request->state;
    if (request->result != IMSG_OK)
        reply_failure(request, request->result);
    else
        reply_empty(request, upload->created ? MHD_HTTP_CREATED : MHD_HTTP_NO_CONTENT);
}

static void blob_put_drop(struct request *request)
{
    struct upload *upload = request->state;
    if (upload->open) {
        close(upload->fd);
        unlink(upload->temp);
    }
    upload_release(upload);
    imsg_digest_free(upload->digest);
    free(upload->temp);
}

/* ---- GET ---- */

struct download {
    struct serve *serve;
    struct peer *peer;
    int fd;
    uint64_t start;
};

static ssize_t download_read(void *context, uint64_t position, char *out, size_t max)
{
    struct download *download = context;
    ssize_t got = pread(download->fd, out, max, (off_t)(download->start + position));
    if (got <= 0)
        return MHD_CONTENT_READER_END_WITH_ERROR; /* the file got shorter while its answer was being sent */
    download->peer->deadline = imsg_monotonic() + STALL_MS;
    download->serve->metrics.blob_bytes_out += (uint64_t)got;
    return got;
}

static void download_free(void *context)
{
    struct download *download = context;
    close(download->fd);
    free(download);
}

static bool read_number(const char **text, uint64_t *out)
{
    char *end = NULL;
    if (**text < '0' || **text > '9')
        return false;
    errno = 0;
    *out = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0;
}

enum range { RANGE_NONE, RANGE_GOOD, RANGE_BAD };

/* One range of bytes (RFC 9110 §14.1.2); several ranges, or a malformed one, count as none. *last is inclusive. */
static enum range parse_range(const char *text, uint64_t size, uint64_t *first, uint64_t *last)
{
    uint64_t from = 0, to = 0;
    if (!text || strncmp(text, "bytes=", 6) != 0)
        return RANGE_NONE;
    text += 6;
    if (*text == '-') {
        text++;
        if (!read_number(&text, &to) || *text)
            return RANGE_NONE;
        *first = to < size ? size - to : 0;
        *last = size - 1;
        return to == 0 || size == 0 ? RANGE_BAD : RANGE_GOOD;
    }
    if (!read_number(&text, &from) || *text++ != '-')
        return RANGE_NONE;
    bool open_end = *text == 0;
    if (!open_end && (!read_number(&text, &to) || *text || to < from))
        return RANGE_NONE;
    *first = from;
    *last = open_end || to >= size ? size - 1 : to;
    return from < size ? RANGE_GOOD : RANGE_BAD;
}

static void reply_bad_range(struct request *request, uint64_t size)
{
    char text[48];
    snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
    reply_reason(request, MHD_HTTP_RANGE_NOT_SATISFIABLE, "BadRange");
    reply_header(request, "Content-Range", text);
}

/* Answer with a file, or the range of it that was asked for. fd is closed with the answer. */
static void reply_file(struct request *request, int fd, uint64_t size, const char *tag)
{
    const char *if_range = request_header(request, "If-Range");
    uint64_t first = 0, last = size ? size - 1 : 0;
    char text[96];
    enum range range = RANGE_NONE;
    if (!if_range || strcmp(if_range, tag) == 0)
        range = parse_range(request_header(request, "Range"), size, &first, &last);
    struct download *download = range == RANGE_BAD ? NULL : calloc(1, sizeof *download);
    if (!download) {
        close(fd);
        if (range == RANGE_BAD)
            reply_bad_range(request, size);
        else
            reply_failure(request, IMSG_NO_MEMORY);
        return;
    }
    *download = (struct download){.serve = request->serve, .peer = request->peer, .fd = fd, .start = first};
    struct MHD_Response *response = MHD_create_response_from_callback(size ? last - first + 1 : 0, READ_BLOCK,
                                                                      download_read, download, download_free);
    if (!response)
        download_free(download);
    reply(request, range == RANGE_GOOD ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, response);
    reply_header(request, "Content-Type", "application/octet-stream");
    reply_header(request, "Accept-Ranges", "bytes");
    if (range == RANGE_GOOD) {
        snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)first, (unsigned long long)last,
                 (unsigned long long)size);
        reply_header(request, "Content-Range", text);
    }
}

static void blob_get_end(struct request *request)
{
    char *path = NULL, tag[67];
    uint8_t hash[32];
    struct stat file;
    if (!blob_name(request, hash))
        return;
    if (blob_path(request->serve, hash, &path, NULL) != IMSG_OK) {
        reply_failure(request, IMSG_NO_MEMORY);
        return;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int number_of_error = errno;
    free(path);
    if (fd < 0 || fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
        if (fd >= 0)
            close(fd);
        if (fd < 0 && number_of_error != ENOENT)
            reply_failure(request, IMSG_TEMPORARY);
        else
            reply_reason(request, MHD_HTTP_NOT_FOUND, "NotFound");
        return;
    }
    snprintf(tag, sizeof tag, "\"%.64s\"", request->tail);
    const char *none_match = request_header(request, "If-None-Match");
    if (none_match && (strcmp(none_match, "*") == 0 || strstr(none_match, tag))) {
        close(fd);
        reply_empty(request, MHD_HTTP_NOT_MODIFIED);
    } else {
        reply_file(request, fd, (uint64_t)file.st_size, tag);
    }
    if (request->status >= MHD_HTTP_BAD_REQUEST)
        return;
    reply_header(request, "ETag", tag);
    /* The name is the content's hash: what was fetched once never changes. */
    reply_header(request, "Cache-Control", "public, max-age=31536000, immutable");
}

const struct verb store_verbs[] = {
    {.method = "GET", .end = blob_get_end},
    {.method = "PUT",
     .state_size = sizeof(struct upload),
     .begin = blob_put_begin,
     .data = blob_put_data,
     .end = blob_put_end,
     .woken = blob_put_woken,
     .drop = blob_put_drop},
    {.method = NULL},
};
