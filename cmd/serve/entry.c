/* Whoever is first registers a handle, if --register allows it; from then on only the account key on file changes the
 * entry. Its own signature is the proof, so a PUT needs no bearer token. */
#include "serve/entry.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "serve/entry_parse.h"
#include "serve/invite.h"
#include "serve/reply.h"
#include "serve/serve.h"

#define TAG 66 /* characters: a SHA-256 in hex and its quotes */

/* xx/HASH.json with xx the hash's first digits. */
static bool entry_path(struct request *request, uint8_t hash[static 32])
{
    const char *tail = request->tail;
    if (strlen(tail) == 72 && tail[2] == '/' && strncmp(tail, tail + 3, 2) == 0 && strcmp(tail + 67, ".json") == 0 &&
        hash_decode(tail + 3, hash))
        return true;
    reply_reason(request, MHD_HTTP_NOT_FOUND, "BadPath");
    return false;
}

static enum imsg_status entry_tag(struct imsg_view bytes, char tag[static TAG + 1], struct imsg_error *err)
{
    uint8_t hash[32];
    enum imsg_status status = imsg_sha256(bytes, hash, err);
    if (status != IMSG_OK)
        return status;
    tag[0] = '"';
    imsg_hex(hash, sizeof hash, tag + 1);
    memcpy(tag + TAG - 1, "\"", 2);
    return IMSG_OK;
}

/* Is `tag` in a list like "a", W/"b", or is the list *? Weak comparison (RFC 9110 §8.8.3.2): none of ours is weak. */
static bool tag_listed(const char *list, const char *tag)
{
    return strcmp(list, "*") == 0 || strstr(list, tag) != NULL;
}

/* ---- GET ---- */

static void entry_get_end(struct request *request)
{
    struct imsg_buf bytes = {0};
    struct imsg_error err = {0};
    uint8_t hash[32];
    char tag[TAG + 1];
    bool found = false;
    const char *none_match = request_header(request, "If-None-Match");
    if (!entry_path(request, hash))
        return;
    enum imsg_status status = storage_read_entry(request->serve->storage, hash, &bytes, &found, &err);
    if (status == IMSG_OK && found)
        status = entry_tag(imsg_buf_view(&bytes), tag, &err);
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
}

/* ---- PUT ---- */

struct entry_change {
    struct job job; /* of a file thread */
    struct request *request;
    uint8_t hash[32];
    char *if_match; /* entity tags with their quotes, "*", or NULL: If-None-Match: * */
    uint8_t invite[32];
    bool has_invite;
    /* On the file thread. */
    struct imsg_entry entry;
    struct imsg_buf before; /* bytes on file */
    bool exists;            /* before the change */
    unsigned status;        /* of a refusal, with its reason */
    const char *reason;
};

static void entry_put_begin(struct request *request)
{
    struct entry_change *change = request->state;
    const char *match = request_header(request, "If-Match"), *none = request_header(request, "If-None-Match");
    const char *code = request_header(request, "imsg-invite");
    change->request = request;
    if (!entry_path(request, change->hash))
        return;
    if ((!match && !none) || (match && none) || (none && strcmp(none, "*") != 0)) {
        reply_reason(request, MHD_HTTP_PRECONDITION_REQUIRED, "PreconditionRequired");
        return;
    }
    if (!authorize_check(request)) /* the entry's own */
        return;
    if (match && imsg_strdup(match, &change->if_match, NULL) != IMSG_OK) {
        reply_failure(request, IMSG_NO_MEMORY);
        return;
    }
    change->has_invite = code && invite_hash(code, change->invite, NULL) == IMSG_OK;
}

static enum imsg_status change_refuse(struct entry_change *change, unsigned status, const char *reason,
                                      struct imsg_error *err)
{
    change->status = status;
    change->reason = reason;
    return imsg_fail(err, IMSG_REFUSED, "%s", reason);
}

static enum imsg_status change_parse(struct entry_change *change, struct imsg_error *err)
{
    struct request *request = change->request;
    struct imsg_view bytes = imsg_buf_view(&request->body);
    enum imsg_status status = entry_handle(bytes, &request->handle, err);
    if (status == IMSG_OK && !entry_is_named(request->handle, change->hash))
        return change_refuse(change, MHD_HTTP_FORBIDDEN, "BadHandle", err);
    if (status == IMSG_OK)
        status = imsg_entry_parse(bytes, request->handle, imsg_now(), &change->entry, err);
    if (status == IMSG_BAD_SIGNATURE)
        return change_refuse(change, MHD_HTTP_FORBIDDEN, "BadSignature", err);
    if (status == IMSG_REFUSED)
        return change_refuse(change, MHD_HTTP_FORBIDDEN, "ExpiredEntry", err);
    if (status == IMSG_MALFORMED || status == IMSG_UNSUPPORTED)
        return change_refuse(change, MHD_HTTP_BAD_REQUEST, "BadEntry", err);
    /* Nobody lists a device that is another's: mailboxes and limits rest on the entries. */
    for (size_t i = 0; status == IMSG_OK && i < change->entry.devices.count; i++)
        if (imsg_device_verify(&change->entry.devices.items[i], change->entry.thumbprint, NULL) != IMSG_OK)
            status = change_refuse(change, MHD_HTTP_FORBIDDEN, "BadProof", err);
    return status;
}

/* Against the entry on file: key, precondition, seq and prev. */
static enum imsg_status change_check_next(struct entry_change *change, struct imsg_error *err)
{
    struct imsg_view before = imsg_buf_view(&change->before);
    struct imsg_entry old = {0};
    struct imsg_pin pin = {0};
    char tag[TAG + 1];
    enum imsg_status status = imsg_entry_parse(before, change->request->handle, 0, &old, err);
    if (status == IMSG_OK)
        status = entry_tag(before, tag, err);
    if (status == IMSG_OK) {
        memcpy(pin.thumbprint, old.thumbprint, sizeof pin.thumbprint);
        memcpy(pin.hash, old.hash, sizeof pin.hash);
        pin.seq = old.seq;
    }
    imsg_entry_free(&old);
    if (status != IMSG_OK)
        return status == IMSG_NO_MEMORY ? status : imsg_fail(err, IMSG_IO, "the entry on file is damaged");
    if (strcmp(pin.thumbprint, change->entry.thumbprint) != 0)
        return change_refuse(change, MHD_HTTP_FORBIDDEN, "OtherAccountKey", err);
    /* Sent again because the answer was lost: it has happened (RFC 9110 §13.1.1). */
    if (imsg_view_equal(before, imsg_buf_view(&change->request->body)))
        return IMSG_OK;
    if (!change->if_match || !tag_listed(change->if_match, tag))
        return change_refuse(change, MHD_HTTP_PRECONDITION_FAILED, "PreconditionFailed", err);
    /* The owner may leave numbers out: after a server lost entries, he goes on from the newest that he signed. */
    if (imsg_pin_check(&pin, &change->entry, NULL) != IMSG_OK || change->entry.seq <= pin.seq)
        return change_refuse(change, MHD_HTTP_CONFLICT, "Conflict", err);
    return IMSG_OK;
}

static enum imsg_status change_check_new(struct entry_change *change, struct imsg_error *err)
{
    enum registration registration = change->request->serve->registration;
    if (change->if_match)
        return change_refuse(change, MHD_HTTP_PRECONDITION_FAILED, "PreconditionFailed", err);
    if (registration == REGISTER_CLOSED)
        return change_refuse(change, MHD_HTTP_FORBIDDEN, "RegistrationClosed", err);
    if (registration == REGISTER_INVITE && !change->has_invite)
        return change_refuse(change, MHD_HTTP_FORBIDDEN, "InviteRequired", err);
    return IMSG_OK;
}

/* Read what is there, check the change against it, and put it, if nobody else changed it meanwhile. */
static enum imsg_status change_try(struct entry_change *change, enum entry_result *result, struct imsg_error *err)
{
    struct serve *serve = change->request->serve;
    struct listed listed[IMSG_DEVICES_MAX];
    uint8_t account[32];
    imsg_buf_clear(&change->before);
    enum imsg_status status = storage_read_entry(serve->storage, change->hash, &change->before, &change->exists, err);
    if (status == IMSG_OK)
        status = change->exists ? change_check_next(change, err) : change_check_new(change, err);
    if (status == IMSG_OK)
        status = entry_account(&change->entry, account, err);
    if (status != IMSG_OK)
        return status;
    struct entry_put put = {.hash = change->hash,
                            .bytes = imsg_buf_view(&change->request->body),
                            .before = change->exists ? imsg_buf_view(&change->before) : (struct imsg_view){0},
                            .listed = listed,
                            .count = entry_listed(&change->entry, listed),
                            .invite = serve->registration == REGISTER_INVITE && !change->exists ? change->invite : NULL,
                            .account = account};
    status = storage_put_entry(serve->storage, &put, err);
    *result = put.result;
    return status;
}

static enum imsg_status entry_put_run(struct job *job, struct imsg_error *err)
{
    struct entry_change *change = (struct entry_change *)job;
    enum entry_result result = ENTRY_CHANGED;
    enum imsg_status status = change_parse(change, err);
    while (status == IMSG_OK && result == ENTRY_CHANGED)
        status = change_try(change, &result, err);
    if (status == IMSG_OK && result == ENTRY_INVITE_REFUSED)
        status = change_refuse(change, MHD_HTTP_FORBIDDEN, "BadInvite", err);
    return status;
}

static void entry_put_done(struct job *job, enum imsg_status status)
{
    request_resume(((struct entry_change *)job)->request, status);
}

static void entry_put_end(struct request *request)
{
    struct entry_change *change = request->state;
    change->job.run = entry_put_run;
    change->job.done = entry_put_done;
    request_park(request);
    if (!queue_add(&request->serve->files, &change->job))
        request_resume(request, IMSG_TEMPORARY);
}

static void entry_put_woken(struct request *request)
{
    const struct entry_change *change = request->state;
    char tag[TAG + 1];
    if (request->result == IMSG_REFUSED) {
        reply_reason(request, change->status, change->reason);
    } else if (request->result != IMSG_OK || entry_tag(imsg_buf_view(&request->body), tag, NULL) != IMSG_OK) {
        reply_failure(request, request->result);
    } else {
        reply_empty(request, change->exists ? MHD_HTTP_NO_CONTENT : MHD_HTTP_CREATED);
        reply_header(request, "ETag", tag);
    }
}

static void entry_put_drop(struct request *request)
{
    struct entry_change *change = request->state;
    imsg_entry_free(&change->entry);
    imsg_buf_free(&change->before);
    free(change->if_match);
}

const struct verb entry_verbs[] = {
    {.method = "GET", .end = entry_get_end},
    {.method = "PUT",
     .body_max = IMSG_ENTRY_MAX,
     .state_size = sizeof(struct entry_change),
     .begin = entry_put_begin,
     .end = entry_put_end,
     .woken = entry_put_woken,
     .drop = entry_put_drop},
    {.method = NULL},
};
