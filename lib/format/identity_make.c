/* identity/1: making, rotating, writing, and the public record of it. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/device.h"
#include "format/document.h"
#include "format/identity.h"

static enum imsg_status copy_handles(const char *const *handles, size_t count, struct imsg_identity *identity,
                                     struct imsg_error *err)
{
    identity->handles = calloc(count, sizeof *identity->handles);
    if (!identity->handles)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++) {
        enum imsg_status status = imsg_strdup(handles[i], &identity->handles[i], err);
        if (status != IMSG_OK)
            return status;
        identity->handle_count = i + 1;
    }
    return IMSG_OK;
}

static enum imsg_status generate_keys(struct imsg_identity *identity, struct imsg_error *err)
{
    const struct imsg_format *format;
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && (format = imsg_format_at(i)); i++)
        status = format->generate_keys(identity, err);
    return status;
}

enum imsg_status imsg_identity_generate(const char *const *handles, size_t handle_count, const char *name,
                                        const char *relay, struct imsg_identity *out, struct imsg_error *err)
{
    struct imsg_identity identity = {0};
    char created[21];
    imsg_time_format(imsg_now(), created);
    enum imsg_status status = copy_handles(handles, handle_count, &identity, err);
    if (status == IMSG_OK)
        status = imsg_strdup(name, &identity.name, err);
    if (status == IMSG_OK && relay)
        status = imsg_strdup(relay, &identity.relay, err);
    if (status == IMSG_OK)
        status = imsg_strdup(created, &identity.created, err);
    if (status == IMSG_OK)
        status = generate_keys(&identity, err);
    if (status == IMSG_OK)
        status = imsg_token_of(imsg_p256_point(imsg_identity_signer(&identity)), identity.token, err);
    if (status != IMSG_OK)
        imsg_identity_free(&identity);
    else
        *out = identity;
    return status;
}

enum imsg_status imsg_identity_set_account(struct imsg_identity *identity, const char *thumbprint,
                                           struct imsg_error *err)
{
    char *account = NULL;
    enum imsg_status status = imsg_thumbprint_check(thumbprint, err);
    if (status == IMSG_OK)
        status = imsg_strdup(thumbprint, &account, err);
    if (status == IMSG_OK) {
        free(identity->account);
        identity->account = account;
    }
    return status;
}

enum imsg_status imsg_identity_rotate(struct imsg_identity *identity, struct imsg_error *err)
{
    const struct imsg_format *format;
    enum imsg_status status = IMSG_OK;
    size_t rotated = 0;
    for (size_t i = 0; status == IMSG_OK && (format = imsg_format_at(i)); i++)
        if (format->rotate_keys && format->usable_by(identity)) {
            status = format->rotate_keys(identity, err);
            rotated++;
        }
    return rotated > 0 ? status : imsg_fail(err, IMSG_REFUSED, "the identity has no prekey to rotate");
}

static enum imsg_status set_keys(const struct imsg_identity *identity, json_t *object, struct imsg_error *err)
{
    struct imsg_identity_file file = {
        .document = object, .keys = json_object(), .passphrase = imsg_buf_view(&identity->passphrase)};
    const struct imsg_format *format;
    enum imsg_status status = imsg_json_set(object, "keys", file.keys, err); /* steals; stays valid inside object */
    for (size_t i = 0; status == IMSG_OK && (format = imsg_format_from_last(i)); i++)
        status = format->write_identity(identity, &file, err);
    return status;
}

static enum imsg_status set_retired(const struct imsg_identity *identity, json_t *object, struct imsg_error *err)
{
    if (identity->retired_count == 0)
        return IMSG_OK;
    json_t *array = json_array();
    for (size_t i = 0; array && i < identity->retired_count; i++) {
        const struct imsg_retired *retired = &identity->retired[i];
        if (json_array_append_new(array, json_pack("{s:s,s:s}", "prekey", retired->pem, "retired", retired->retired))) {
            json_decref(array);
            array = NULL;
        }
    }
    return imsg_json_set(object, "retired", array, err);
}

enum imsg_status imsg_identity_print(const struct imsg_identity *identity, struct imsg_buf *out, struct imsg_error *err)
{
    json_t *object = NULL;
    size_t before = out->len;
    enum imsg_status status = imsg_document_new("identity/1", &object, err);
    if (status == IMSG_OK)
        status = imsg_members_write(imsg_identity_members, identity, object, err);
    if (status == IMSG_OK)
        status = set_keys(identity, object, err);
    if (status == IMSG_OK)
        status = set_retired(identity, object, err);
    if (status == IMSG_OK && identity->json && json_object_update_missing(object, identity->json) != 0)
        status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (status == IMSG_OK)
        status = imsg_document_line(object, out, err);
    if (status == IMSG_OK && out->len - before > IMSG_LINE_MAX) { /* the parser takes no more */
        imsg_wipe(out->ptr + before, out->len - before);
        out->len = before;
        status = imsg_fail(err, IMSG_TOO_LONG, "the identity would be longer than %d bytes", IMSG_LINE_MAX);
    }
    imsg_json_wipe(json_object_get(object, "keys"));
    imsg_json_wipe(json_object_get(object, "retired"));
    json_decref(object);
    return status;
}

static enum imsg_status make_proofs(const struct imsg_identity *identity, struct imsg_device *record,
                                    struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    record->proofs = calloc(identity->handle_count, sizeof *record->proofs);
    if (!record->proofs)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    record->proof_count = identity->handle_count;
    for (size_t i = 0; status == IMSG_OK && i < identity->handle_count; i++)
        status = imsg_proof_make(identity, identity->handles[i], &record->proofs[i], err);
    return status;
}

static void free_proofs(struct imsg_device *record)
{
    for (size_t i = 0; i < record->proof_count; i++)
        imsg_buf_free(&record->proofs[i]);
    free(record->proofs);
}

static enum imsg_status make_record(const struct imsg_identity *identity, bool prove, struct imsg_device *out,
                                    struct imsg_error *err)
{
    const struct imsg_format *format;
    struct imsg_device record = {.json = json_object(),
                                 .handles = identity->handles,
                                 .handle_count = identity->handle_count,
                                 .name = identity->name,
                                 .account = identity->account,
                                 .relay = identity->relay,
                                 .created = identity->created};
    json_t *object = NULL;
    enum imsg_status status = record.json ? IMSG_OK : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    memcpy(record.token, identity->token, sizeof record.token);
    for (size_t i = 0; status == IMSG_OK && (format = imsg_format_from_last(i)); i++)
        status = format->write_record(identity, record.json, err);
    if (status == IMSG_OK && prove)
        status = make_proofs(identity, &record, err);
    if (status == IMSG_OK)
        status = imsg_document_write(&imsg_device_document, &record, &object, err);
    if (status == IMSG_OK)
        status = imsg_device_from_json(object, out, err);
    free_proofs(&record);
    json_decref(object);
    json_decref(record.json);
    return status;
}

enum imsg_status imsg_identity_device(const struct imsg_identity *identity, struct imsg_device *out,
                                      struct imsg_error *err)
{
    return make_record(identity, true, out, err);
}

enum imsg_status imsg_identity_own(const struct imsg_identity *identity, struct imsg_device *out,
                                   struct imsg_error *err)
{
    return make_record(identity, false, out, err);
}
