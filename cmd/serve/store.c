/* /store/SHA256: ciphertexts, as files DATA/store/xx/SHA256. A PUT is streamed into a file of DATA/partial and hashed
 * on the way; what its name does not match never appears. */
#include "serve/serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define READ_BLOCK 32768 /* bytes */
#define STALL_MS 60000   /* a block must be taken in that time */

struct upload {
    struct request *request;
    int fd;
    char *temp;
    struct imsg_digest *digest;
    uint64_t size, reserved;
    bool exists; /* it is here already: the body is only thrown away */
};

static enum imsg_status blob_path(const struct serve *serve, const uint8_t hash[static 32], char **path,
                                  struct imsg_error *err)
{
    char name[80], hex[65];
    imsg_hex(hash, 32, hex);
    snprintf(name, sizeof name, "%.2s/%s", hex, hex);
    return imsg_path_join(serve->blobs, name, path, err);
}

static bool take_name(struct request *request)
{
    if (strlen(request->tail) == 64 && route_hash(request->tail, request->hash))
        return true;
    reply_reason(request, MHD_HTTP_NOT_FOUND, "BadPath");
    return false;
}

/* ---- room ---- */

static bool fits(uint64_t used, uint64_t bytes, uint64_t quota)
{
    return bytes <= quota && used <= quota - bytes;
}

/* Of the device first, then of the store. */
static bool reserve(struct upload *upload, uint64_t bytes)
{
    struct serve *serve = upload->request->serve;
    struct store *store = &serve->store;
    struct box *box = upload->request->box;
    pthread_mutex_lock(&serve->boxes.lock);
    bool own = fits(box->stored + box->reserved, bytes, serve->device_quota);
    box->reserved += own ? bytes : 0;
    pthread_mutex_unlock(&serve->boxes.lock);
    pthread_mutex_lock(&store->lock);
    bool all = own && fits(store->used + store->reserved, bytes, serve->quota);
    store->reserved += all ? bytes : 0;
    pthread_mutex_unlock(&store->lock);
    if (own && !all) {
        pthread_mutex_lock(&serve->boxes.lock);
        box->reserved -= bytes;
        pthread_mutex_unlock(&serve->boxes.lock);
    }
    upload->reserved += all ? bytes : 0;
    if (!all)
        reply_later(upload->request, MHD_HTTP_INSUFFICIENT_STORAGE, "QuotaExceeded", 3600);
    return all;
}

/* What was reserved is no more; so many bytes are now in the store, and the device's part of it. */
static void settle(struct upload *upload, uint64_t stored, uint64_t own)
{
    struct serve *serve = upload->request->serve;
    struct box *box = upload->request->box;
    pthread_mutex_lock(&serve->store.lock);
    serve->store.used += stored;
    serve->store.reserved -= upload->reserved;
    pthread_mutex_unlock(&serve->store.lock);
    pthread_mutex_lock(&serve->boxes.lock);
    box->stored += own;
    box->reserved -= upload->reserved;
    pthread_mutex_unlock(&serve->boxes.lock);
    upload->reserved = 0;
}

/* ---- PUT ---- */

static enum imsg_status open_partial(struct upload *upload, struct imsg_error *err)
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
    return upload->fd >= 0 ? IMSG_OK : imsg_fail(err, IMSG_TEMPORARY, "\"%s\": %s", upload->temp, strerror(errno));
}

static bool is_there(struct request *request)
{
    char *path = NULL;
    bool there = blob_path(request->serve, request->hash, &path, NULL) == IMSG_OK && access(path, F_OK) == 0;
    free(path);
    return there;
}

static void put_begin(struct request *request)
{
    struct serve *serve = request->serve;
    struct imsg_error err = {0};
    const char *length = request_header(request, "Content-Length");
    if (!take_name(request) || !authorize(request, request->sender) || !rate_allows(request, request->sender))
        return;
    pthread_mutex_lock(&serve->boxes.lock);
    request->box = box_find(&serve->boxes, request->sender, false);
    bool listed = request->box && request->box->limit > 0;
    int64_t gone = request->box ? request->box->gone : 0;
    pthread_mutex_unlock(&serve->boxes.lock);
    if (!listed) {
        reply_unregistered(request, gone);
        return;
    }
    struct upload *upload = request->upload = calloc(1, sizeof *upload);
    if (!upload) {
        reply_failure(request, IMSG_NO_MEMORY);
        return;
    }
    *upload = (struct upload){.request = request, .fd = -1, .exists = is_there(request)};
    if (upload->exists && request_header(request, "Expect"))
        reply_empty(request, MHD_HTTP_NO_CONTENT); /* spares the client the body */
    if (upload->exists || (length && !reserve(upload, strtoull(length, NULL, 10))))
        return;
    if (open_partial(upload, &err) != IMSG_OK) {
        cli_note(serve->cli, "%s", err.text);
        reply_failure(request, IMSG_TEMPORARY);
    }
}

static void put_data(struct request *request, struct imsg_view bytes)
{
    struct upload *upload = request->upload;
    struct imsg_error err = {0};
    upload->size += bytes.len;
    if (upload->exists)
        return;
    /* A length that was not announced is counted as it comes. */
    if (upload->size > upload->reserved && !reserve(upload, upload->size - upload->reserved))
        return;
    enum imsg_status status = imsg_digest_update(upload->digest, bytes, &err);
    if (status == IMSG_OK)
        status = imsg_write_all(upload->fd, bytes, &err);
    request->serve->metrics.blob_bytes_in += bytes.len;
    if (status != IMSG_OK) {
        cli_note(request->serve->cli, "\"%s\": %s", upload->temp, err.text);
        reply_failure(request, IMSG_TEMPORARY);
    }
}

struct blob_job {
    struct job job;
    const struct request *request;
    bool new_row; /* its bytes are the device's from now on */
};

static enum imsg_status record_run(struct serve *serve, struct job *job, struct imsg_error *err)
{
    struct blob_job *record = (struct blob_job *)job;
    const struct request *request = record->request;
    database_blob(&serve->db, SQL_BLOB_AGAIN, 1, imsg_view_of(request->hash, 32));
    database_number(&serve->db, SQL_BLOB_AGAIN, 2, imsg_now());
    enum imsg_status status = database_run(&serve->db, SQL_BLOB_AGAIN, err);
    record->new_row = status == IMSG_OK && sqlite3_changes(serve->db.writer) == 0;
    if (!record->new_row)
        return status;
    database_blob(&serve->db, SQL_BLOB_SET, 1, imsg_view_of(request->hash, 32));
    database_blob(&serve->db, SQL_BLOB_SET, 2, imsg_view_of(request->sender, IMSG_TOKEN));
    database_number(&serve->db, SQL_BLOB_SET, 3, (int64_t)request->upload->size);
    database_number(&serve->db, SQL_BLOB_SET, 4, imsg_now());
    return database_run(&serve->db, SQL_BLOB_SET, err);
}

/* *made: its file is there now, also where it failed after that. */
static enum imsg_status keep(struct serve *serve, struct request *request, bool *made, struct imsg_error *err)
{
    struct upload *upload = request->upload;
    char *path = NULL;
    struct stat file;
    enum imsg_status status = blob_path(serve, request->hash, &path, err);
    if (status == IMSG_OK && !upload->exists) {
        char *slash = strrchr(path, '/');
        *slash = 0;
        status = imsg_make_folders(path, 0700, err);
        *slash = '/';
        if (status == IMSG_OK && fsync(upload->fd) != 0)
            status = imsg_fail(err, IMSG_TEMPORARY, "\"%s\": %s", upload->temp, strerror(errno));
        if (status == IMSG_OK) {
            *made = link(upload->temp, path) == 0;
            if (!*made && errno != EEXIST)
                status = imsg_fail(err, IMSG_TEMPORARY, "\"%s\": %s", path, strerror(errno));
        }
    }
    if (status == IMSG_OK) /* who made it may not have come to this yet, or failed */
        status = imsg_sync_folder_of(path, err);
    /* Of a blob that was there before, the body is not what counts. */
    if (status == IMSG_OK && stat(path, &file) != 0)
        status = imsg_fail(err, IMSG_TEMPORARY, "\"%s\": %s", path, strerror(errno));
    else if (status == IMSG_OK)
        upload->size = (uint64_t)file.st_size;
    free(path);
    return status;
}

static enum imsg_status put_run(struct serve *serve, struct job *job, struct imsg_error *err)
{
    struct request *request = (struct request *)job;
    struct blob_job record = {.job = {.run = record_run}, .request = request};
    bool made = false;
    enum imsg_status status = keep(serve, request, &made, err);
    /* A blob that is there already waits another --store-days from now on. */
    if (status == IMSG_OK && queue_wait(&serve->writer, &record.job) != IMSG_OK)
        status = imsg_fail(err, IMSG_TEMPORARY, "the blob cannot be recorded");
    /* The store is what files there are, a device's part of it what rows there are: one may be made without the other,
     * and the other when the client tries again. */
    settle(request->upload, made ? request->upload->size : 0,
           status == IMSG_OK && record.new_row ? request->upload->size : 0);
    /* Its row says from now on that it is young; but its time may have been over a moment ago. */
    if (status == IMSG_OK && !is_there(request))
        status = imsg_fail(err, IMSG_TEMPORARY, "the blob expired meanwhile");
    request->created = made;
    return status;
}

static void put_done(struct serve *serve, struct job *job, enum imsg_status status)
{
    struct request *request = (struct request *)job;
    (void)serve;
    request->failure = status;
    request_resume(request);
}

static void put_end(struct request *request)
{
    struct upload *upload = request->upload;
    uint8_t hash[32];
    if (!upload->exists) {
        if (imsg_digest_final(upload->digest, hash, NULL) != IMSG_OK) {
            reply_failure(request, IMSG_INTERNAL);
            return;
        }
        if (memcmp(hash, request->hash, sizeof hash) != 0) {
            reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadHash");
            return;
        }
    }
    request->job.run = put_run;
    request->job.done = put_done;
    request_park(request, &request->serve->files);
}

static void put_woken(struct request *request)
{
    if (request->failure != IMSG_OK)
        reply_failure(request, request->failure);
    else
        reply_empty(request, request->created ? MHD_HTTP_CREATED : MHD_HTTP_NO_CONTENT);
}

static void put_drop(struct request *request)
{
    struct upload *upload = request->upload;
    if (!upload)
        return;
    if (upload->fd >= 0) {
        close(upload->fd);
        unlink(upload->temp);
    }
    settle(upload, 0, 0);
    imsg_digest_free(upload->digest);
    free(upload->temp);
    free(upload);
    request->upload = NULL;
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
        return MHD_CONTENT_READER_END_WITH_ERROR; /* shorter than it was: no good answer is left */
    download->peer->deadline = now_ms() + STALL_MS;
    download->serve->metrics.blob_bytes_out += (uint64_t)got;
    return got;
}

static void download_free(void *context)
{
    struct download *download = context;
    close(download->fd);
    free(download);
}

static bool number(const char **text, uint64_t *out)
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

/* One range of bytes (RFC 9110 §14.1.2); several, or what is no range, count as none. *last is inclusive. */
static enum range take_range(const char *text, uint64_t size, uint64_t *first, uint64_t *last)
{
    uint64_t from = 0, to = 0;
    if (!text || strncmp(text, "bytes=", 6) != 0)
        return RANGE_NONE;
    text += 6;
    if (*text == '-') {
        text++;
        if (!number(&text, &to) || *text)
            return RANGE_NONE;
        *first = to < size ? size - to : 0;
        *last = size - 1;
        return to == 0 || size == 0 ? RANGE_BAD : RANGE_GOOD;
    }
    if (!number(&text, &from) || *text++ != '-')
        return RANGE_NONE;
    bool open_end = *text == 0;
    if (!open_end && (!number(&text, &to) || *text || to < from))
        return RANGE_NONE;
    *first = from;
    *last = open_end || to >= size ? size - 1 : to;
    return from < size ? RANGE_GOOD : RANGE_BAD;
}

static void bad_range(struct request *request, uint64_t size)
{
    char text[48];
    snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
    reply_reason(request, MHD_HTTP_RANGE_NOT_SATISFIABLE, "BadRange");
    reply_header(request, "Content-Range", text);
}

/* fd becomes ours. */
static void send_file(struct request *request, int fd, uint64_t size, const char *tag)
{
    const char *if_range = request_header(request, "If-Range");
    uint64_t first = 0, last = size ? size - 1 : 0;
    char text[96];
    enum range range = RANGE_NONE;
    if (!if_range || strcmp(if_range, tag) == 0)
        range = take_range(request_header(request, "Range"), size, &first, &last);
    struct download *download = range == RANGE_BAD ? NULL : calloc(1, sizeof *download);
    if (!download) {
        close(fd);
        if (range == RANGE_BAD)
            bad_range(request, size);
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

static void get_end(struct request *request)
{
    char *path = NULL, tag[67];
    struct stat file;
    if (!take_name(request))
        return;
    if (blob_path(request->serve, request->hash, &path, NULL) != IMSG_OK) {
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
        send_file(request, fd, (uint64_t)file.st_size, tag);
    }
    if (request->status >= MHD_HTTP_BAD_REQUEST)
        return;
    reply_header(request, "ETag", tag);
    /* The name is the content's hash: what was fetched once is right for ever. */
    reply_header(request, "Cache-Control", "public, max-age=31536000, immutable");
}

const struct verb store_verbs[] = {
    {.method = "GET", .end = get_end},
    {.method = "PUT", .begin = put_begin, .data = put_data, .end = put_end, .woken = put_woken, .drop = put_drop},
    {.method = NULL},
};
