/* /imsg/v1/h/xx/HASH.json: the directory. Entries are the same files a folder directory or a static web host has.
 *
 * Whoever is first registers a handle, if --register lets them; from then on only the account key on file changes it.
 * The entry's own signature is the proof, so a PUT needs no bearer token. An entry's writer holds `entries`; what it
 * lists goes into the index before the entry can be seen, so that nobody is sent to a mailbox that is not there. */
#include "serve/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "format/jws.h"

#define ENTRY_MODE 0644 /* before the umask: anybody may read an entry */

enum imsg_status entry_handle(struct imsg_view file, char **handle, struct imsg_error *err)
{
    struct imsg_buf payload = {0};
    uint8_t account[65];
    json_t *object = NULL;
    enum imsg_status status = imsg_jws_verify(file, &payload, account, err);
    if (status == IMSG_OK)
        status = imsg_json_document(imsg_buf_view(&payload), ENTRY_BODY_MAX, "entry/1", &object, err);
    if (status == IMSG_OK)
        status = imsg_json_handle(object, "handle", IMSG_REQUIRED, handle, err);
    json_decref(object);
    imsg_buf_free(&payload);
    return status;
}

bool entry_is_named(const char *handle, const uint8_t hash[static HANDLE_HASH])
{
    uint8_t real[32];
    return imsg_sha256(imsg_view_str(handle), real, NULL) == IMSG_OK && memcmp(real, hash, sizeof real) == 0;
}

size_t entry_listed(const struct imsg_entry *entry, struct listed out[static IMSG_DEVICES_MAX])
{
    size_t count = entry->devices.count;
    for (size_t i = 0; i < count; i++) {
        const struct imsg_device *device = &entry->devices.items[i];
        memcpy(out[i].token, device->token, IMSG_TOKEN);
        out[i].limit = (uint32_t)(device->limit < PAYLOAD_LIMIT ? device->limit : PAYLOAD_LIMIT);
    }
    return count;
}

/* xx/HASH.json with xx the hash's first digits. */
static bool take_path(struct request *request)
{
    const char *tail = request->tail;
    if (strlen(tail) == 72 && tail[2] == '/' && strncmp(tail, tail + 3, 2) == 0 && strcmp(tail + 67, ".json") == 0 &&
        route_hash(tail + 3, request->handle_hash))
        return true;
    reply_reason(request, MHD_HTTP_NOT_FOUND, "BadPath");
    return false;
}

static enum imsg_status path_of(struct request *request, char **path, struct imsg_error *err)
{
    char name[96];
    snprintf(name, sizeof name, "imsg/v1/h/%.72s", request->tail);
    return imsg_path_join(request->serve->directory, name, path, err);
}

/* The bytes on file; *found = false: none. */
static enum imsg_status read_entry(const char *path, struct imsg_buf *out, bool *found, struct imsg_error *err)
{
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    *found = fd >= 0;
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? IMSG_OK
                                                   : imsg_fail(err, IMSG_IO, "\"%s\": %s", path, strerror(errno));
    enum imsg_status status = IMSG_OK;
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) || file.st_size > ENTRY_BODY_MAX)
        status = imsg_fail(err, IMSG_IO, "\"%s\": is no entry", path);
    if (status == IMSG_OK)
        status = imsg_read_some(fd, ENTRY_BODY_MAX, out, err);
    close(fd);
    return status;
}

static enum imsg_status tag_of(struct imsg_view bytes, char tag[static 67], struct imsg_error *err)
{
    uint8_t hash[32];
    enum imsg_status status = imsg_sha256(bytes, hash, err);
    tag[0] = '"';
    imsg_hex(hash, sizeof hash, tag + 1);
    memcpy(tag + 65, "\"", 2);
    return status;
}

/* Is `tag` in a list like "a", W/"b", or is it *? Weak comparison (RFC 9110 §8.8.3.2): none of ours is weak. */
static bool tag_listed(const char *list, const char *tag)
{
    return strcmp(list, "*") == 0 || strstr(list, tag) != NULL;
}

/* ---- GET ---- */

static void get_end(struct request *request)
{
    struct imsg_buf bytes = {0};
    struct imsg_error err = {0};
    char *path = NULL, tag[67];
    bool found = false;
    const char *none_match = request_header(request, "If-None-Match");
    if (!take_path(request))
        return;
    enum imsg_status status = path_of(request, &path, &err);
    if (status == IMSG_OK)
        status = read_entry(path, &bytes, &found, &err);
    if (status == IMSG_OK && found)
        status = tag_of(imsg_buf_view(&bytes), tag, &err);
    if (status != IMSG_OK) {
        cli_note(request->serve->cli, "%s", err.text);
        reply_failure(request, status);
    } else if (!found) {
        reply_reason(request, MHD_HTTP_NOT_FOUND, "NotFound");
    } else {
        if (none_match && tag_listed(none_match, tag))
            reply_empty(request, MHD_HTTP_NOT_MODIFIED);
        else
            reply_body(request, MHD_HTTP_OK, "application/json", &bytes);
        reply_header(request, "ETag", tag);
        reply_header(request, "Cache-Control", "no-cache"); /* may be kept, must be asked about */
    }
    imsg_buf_free(&bytes);
    free(path);
}

/* ---- PUT ---- */

static void put_begin(struct request *request)
{
    const char *match = request_header(request, "If-Match"), *none = request_header(request, "If-None-Match");
    const char *code = request_header(request, "imsg-invite");
    if (!take_path(request))
        return;
    if ((!match && !none) || (match && none) || (none && strcmp(none, "*") != 0)) {
        reply_reason(request, MHD_HTTP_PRECONDITION_REQUIRED, "PreconditionRequired");
        return;
    }
    if (match && imsg_strdup(match, &request->if_match, NULL) != IMSG_OK) {
        reply_failure(request, IMSG_NO_MEMORY);
        return;
    }
    request->if_none_match = none != NULL;
    request->has_invite = code && invite_hash(code, request->invite, NULL) == IMSG_OK;
}

/* What one PUT is about, on a file thread. */
struct change {
    struct request *request;
    struct imsg_entry entry, old;
    struct imsg_buf before; /* bytes on file */
    bool exists, same, invited;
    char *path;
};

static enum imsg_status refuse(struct request *request, unsigned status, const char *reason, struct imsg_error *err)
{
    request->status = status;
    request->reason = reason;
    return imsg_fail(err, IMSG_REFUSED, "%s", reason);
}

static enum imsg_status parse_change(struct change *change, struct imsg_error *err)
{
    struct request *request = change->request;
    struct imsg_view bytes = imsg_buf_view(&request->body);
    enum imsg_status status = entry_handle(bytes, &request->handle, err);
    if (status == IMSG_OK && !entry_is_named(request->handle, request->handle_hash))
        return refuse(request, MHD_HTTP_FORBIDDEN, "BadHandle", err);
    if (status == IMSG_OK)
        status = imsg_entry_parse(bytes, request->handle, imsg_now(), &change->entry, err);
    if (status == IMSG_BAD_SIGNATURE)
        return refuse(request, MHD_HTTP_FORBIDDEN, "BadSignature", err);
    if (status == IMSG_REFUSED)
        return refuse(request, MHD_HTTP_FORBIDDEN, "ExpiredEntry", err);
    if (status == IMSG_MALFORMED || status == IMSG_UNSUPPORTED)
        return refuse(request, MHD_HTTP_BAD_REQUEST, "BadEntry", err);
    return status;
}

/* Against what is on file: key, precondition, seq and prev. */
static enum imsg_status check_change(struct change *change, struct imsg_error *err)
{
    struct request *request = change->request;
    struct imsg_pin pin = {0};
    char tag[67];
    enum imsg_status status = imsg_entry_parse(imsg_buf_view(&change->before), request->handle, 0, &change->old, err);
    if (status == IMSG_OK)
        status = tag_of(imsg_buf_view(&change->before), tag, err);
    if (status != IMSG_OK)
        return status == IMSG_NO_MEMORY ? status : imsg_fail(err, IMSG_IO, "the entry on file is damaged");
    memcpy(pin.thumbprint, change->old.thumbprint, sizeof pin.thumbprint);
    memcpy(pin.hash, change->old.hash, sizeof pin.hash);
    pin.seq = change->old.seq;
    if (strcmp(pin.thumbprint, change->entry.thumbprint) != 0)
        return refuse(request, MHD_HTTP_FORBIDDEN, "OtherAccountKey", err);
    /* Sent again because the answer was lost: it has happened (RFC 9110 §13.1.1). */
    change->same = imsg_view_equal(imsg_buf_view(&change->before), imsg_buf_view(&request->body));
    if (change->same)
        return IMSG_OK;
    if (request->if_none_match || !tag_listed(request->if_match, tag))
        return refuse(request, MHD_HTTP_PRECONDITION_FAILED, "PreconditionFailed", err);
    if (imsg_pin_check(&pin, &change->entry, NULL) != IMSG_OK || change->entry.seq != pin.seq + 1)
        return refuse(request, MHD_HTTP_CONFLICT, "Conflict", err);
    return IMSG_OK;
}

static enum imsg_status check_new(struct change *change, struct imsg_error *err)
{
    struct request *request = change->request;
    struct serve *serve = request->serve;
    if (!request->if_none_match)
        return refuse(request, MHD_HTTP_PRECONDITION_FAILED, "PreconditionFailed", err);
    if (serve->registration == REGISTER_OPEN)
        return IMSG_OK;
    if (serve->registration == REGISTER_CLOSED)
        return refuse(request, MHD_HTTP_FORBIDDEN, "RegistrationClosed", err);
    if (!request->has_invite)
        return refuse(request, MHD_HTTP_FORBIDDEN, "InviteRequired", err);
    enum imsg_status status = invite_use(serve, request->invite, change->entry.thumbprint, err);
    change->invited = status == IMSG_OK;
    return status == IMSG_REFUSED ? refuse(request, MHD_HTTP_FORBIDDEN, "BadInvite", err) : status;
}

/* After a commit that failed: was it only the sync of the folder, so that the entry is there all the same? */
static bool is_on_file(const struct change *change)
{
    struct imsg_buf now = {0};
    bool found = false;
    bool same = read_entry(change->path, &now, &found, NULL) == IMSG_OK && found &&
                imsg_view_equal(imsg_buf_view(&now), imsg_buf_view(&change->request->body));
    imsg_buf_free(&now);
    return same;
}

static enum imsg_status write_change(struct change *change, struct imsg_error *err)
{
    struct request *request = change->request;
    struct listed listed[IMSG_DEVICES_MAX];
    struct imsg_file file = {.fd = -1};
    struct stat made;
    char *slash = strrchr(change->path, '/');
    *slash = 0;
    enum imsg_status status = imsg_make_folders(change->path, 0755, err);
    *slash = '/';
    if (status == IMSG_OK)
        status = imsg_file_create(&file, change->path, ENTRY_MODE, err);
    if (status == IMSG_OK)
        status = imsg_write_all(file.fd, imsg_buf_view(&request->body), err);
    if (status == IMSG_OK && fstat(file.fd, &made) != 0)
        status = imsg_fail(err, IMSG_IO, "%s", strerror(errno));
    if (status == IMSG_IO) /* a full disk, most of the time */
        status = IMSG_TEMPORARY;
    if (status == IMSG_OK)
        status =
            index_entry(request->serve, request->handle_hash, listed, entry_listed(&change->entry, listed), &made, err);
    if (status == IMSG_OK) {
        status = imsg_file_commit(&file, IMSG_REPLACE, err);
        /* The index must say what is there. */
        bool undo = status != IMSG_OK && !is_on_file(change);
        if (undo && change->exists &&
            index_entry(request->serve, request->handle_hash, listed, entry_listed(&change->old, listed), NULL, NULL))
            request->serve->sick = true;
        else if (undo && !change->exists &&
                 index_entry(request->serve, request->handle_hash, NULL, 0, NULL, NULL) != IMSG_OK)
            request->serve->sick = true;
        if (status == IMSG_IO)
            status = IMSG_TEMPORARY;
    }
    imsg_file_abort(&file);
    return status;
}

static enum imsg_status put_run(struct serve *serve, struct job *job, struct imsg_error *err)
{
    struct change change = {.request = (struct request *)job};
    enum imsg_status status = parse_change(&change, err);
    pthread_mutex_lock(&serve->entries);
    if (status == IMSG_OK)
        status = path_of(change.request, &change.path, err);
    if (status == IMSG_OK)
        status = read_entry(change.path, &change.before, &change.exists, err);
    if (status == IMSG_OK)
        status = change.exists ? check_change(&change, err) : check_new(&change, err);
    if (status == IMSG_OK && change.same) /* which may be what failed before */
        status = imsg_sync_folder_of(change.path, err);
    else if (status == IMSG_OK)
        status = write_change(&change, err);
    if (status != IMSG_OK && change.invited && !is_on_file(&change))
        invite_return(serve, change.request->invite);
    pthread_mutex_unlock(&serve->entries);
    change.request->created = !change.exists;
    imsg_entry_free(&change.entry);
    imsg_entry_free(&change.old);
    imsg_buf_free(&change.before);
    free(change.path);
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
    request->job.run = put_run;
    request->job.done = put_done;
    request_park(request, &request->serve->files);
}

static void put_woken(struct request *request)
{
    char tag[67];
    if (request->failure == IMSG_REFUSED) {
        reply_reason(request, request->status, request->reason);
    } else if (request->failure != IMSG_OK || tag_of(imsg_buf_view(&request->body), tag, NULL) != IMSG_OK) {
        reply_failure(request, request->failure);
    } else {
        reply_empty(request, request->created ? MHD_HTTP_CREATED : MHD_HTTP_NO_CONTENT);
        reply_header(request, "ETag", tag);
    }
}

const struct verb entry_verbs[] = {
    {.method = "GET", .end = get_end},
    {.method = "PUT", .body_max = ENTRY_BODY_MAX, .begin = put_begin, .end = put_end, .woken = put_woken},
    {.method = NULL},
};

/* ---- the file threads ---- */

void *file_loop(void *context)
{
    struct queue *queue = context;
    struct job *job;
    while ((job = queue_take(queue, 1)) != NULL) {
        struct imsg_error err = {0};
        enum imsg_status status = job->run(queue->serve, job, &err);
        if (status != IMSG_OK && status != IMSG_REFUSED)
            cli_note(queue->serve->cli, "%s", err.text);
        job->done(queue->serve, job, status);
    }
    return NULL;
}
