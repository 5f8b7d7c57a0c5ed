/* identity/1: making, rotating, writing, and the public record of it. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/document.h"
#include "format/identity.h"

/* What a device made here takes from a relay, bytes; the relay's own bound. */

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

static enum imsg_status new_prekey(struct imsg_identity *identity, struct imsg_error *err)
{
    struct imsg_p256 *prekey = NULL;
    enum imsg_status status = imsg_p256_generate_compact(&prekey, err);
    if (status == IMSG_OK)
        status = imsg_prekey_make(identity->device, imsg_p256_point(prekey) + 1, (double)imsg_now(),
                                  &identity->prekey_record, err);
    if (status != IMSG_OK) {
        imsg_p256_free(prekey);
        return status;
    }
    imsg_p256_free(identity->prekey);
    identity->prekey = prekey;
    return IMSG_OK;
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
        status = imsg_rsa_generate(&identity.encryption, err);
    if (status == IMSG_OK)
        status = imsg_p256_generate(&identity.signing, err);
    if (status == IMSG_OK)
        status = imsg_p256_generate_compact(&identity.device, err);
    if (status == IMSG_OK)
        status = new_prekey(&identity, err);
    if (status == IMSG_OK)
        status = imsg_identity_derive(&identity, err);
    if (status == IMSG_OK)
        status = imsg_token_of(imsg_p256_point(imsg_identity_signer(&identity)), identity.token, err);
    if (status != IMSG_OK)
        imsg_identity_free(&identity);
    else
        *out = identity;
    return status;
}

enum imsg_status imsg_identity_rotate(struct imsg_identity *identity, struct imsg_error *err)
{
    struct imsg_buf pem = {0};
    char *text = NULL, *when = NULL, now[21];
    enum imsg_status status;
    if (!identity->has_pair_ec)
        return imsg_fail(err, IMSG_REFUSED, "the identity has no prekey to rotate");
    struct imsg_retired *grown = realloc(identity->retired, (identity->retired_count + 1) * sizeof *grown);
    if (!grown)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    identity->retired = grown;
    imsg_time_format(imsg_now(), now);
    status = imsg_p256_to_pem(identity->prekey, imsg_buf_view(&identity->passphrase), &pem, err);
    if (status == IMSG_OK)
        status = imsg_strdup((const char *)pem.ptr, &text, err);
    if (status == IMSG_OK)
        status = imsg_strdup(now, &when, err);
    if (status == IMSG_OK)
        status = new_prekey(identity, err);
    if (status == IMSG_OK) {
        grown[identity->retired_count++] = (struct imsg_retired){.pem = text, .retired = when};
    } else {
        if (text)
            imsg_wipe(text, strlen(text));
        free(text);
        free(when);
    }
    imsg_buf_free(&pem);
    return status;
}

/* `write` appends the PEM. */
static enum imsg_status set_pem(json_t *keys, const char *member, struct imsg_buf *pem, enum imsg_status status,
                                struct imsg_error *err)
{
    if (status == IMSG_OK)
        status = imsg_json_set(keys, member, json_stringn((const char *)pem->ptr, pem->len), err);
    imsg_buf_clear(pem);
    return status;
}

static enum imsg_status set_keys(const struct imsg_identity *identity, json_t *object, struct imsg_error *err)
{
    struct imsg_buf pem = {0};
    struct imsg_view passphrase = imsg_buf_view(&identity->passphrase);
    json_t *keys = json_object();
    enum imsg_status status = imsg_json_set(object, "keys", keys, err); /* steals; stays valid inside object */
    if (status == IMSG_OK && identity->has_pair) {
        status = set_pem(keys, "encryption", &pem, imsg_rsa_to_pem(identity->encryption, passphrase, &pem, err), err);
        if (status == IMSG_OK)
            status = set_pem(keys, "signing", &pem, imsg_p256_to_pem(identity->signing, passphrase, &pem, err), err);
    }
    if (status == IMSG_OK && identity->has_pair_ec) {
        status = set_pem(keys, "device", &pem, imsg_p256_to_pem(identity->device, passphrase, &pem, err), err);
        if (status == IMSG_OK)
            status = set_pem(keys, "prekey", &pem, imsg_p256_to_pem(identity->prekey, passphrase, &pem, err), err);
        if (status == IMSG_OK)
            status = imsg_json_set_base64(object, "prekey_record",
                                          imsg_view_of(identity->prekey_record.raw, IMSG_PREKEY_RECORD), err);
    }
    imsg_buf_free(&pem);
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

/* The members identity and record have in common, in the order of formats.md. */
static enum imsg_status set_common(const struct imsg_identity *identity, json_t *object, struct imsg_error *err)
{
    enum imsg_status status = imsg_json_set_strings(object, "handles", identity->handles, identity->handle_count, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "name", identity->name, err);
    if (status == IMSG_OK)
        status = imsg_json_set_hex(object, "token", imsg_view_of(identity->token, sizeof identity->token), err);
    return status;
}

enum imsg_status imsg_identity_print(const struct imsg_identity *identity, struct imsg_buf *out,
                                     struct imsg_error *err)
{
    json_t *object = NULL;
    size_t before = out->len;
    enum imsg_status status = imsg_document_new("identity/1", &object, err);
    if (status == IMSG_OK)
        status = set_common(identity, object, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "created", identity->created, err);
    if (status == IMSG_OK && identity->relay)
        status = imsg_json_set_string(object, "relay", identity->relay, err);
    if (status == IMSG_OK)
        status = set_keys(identity, object, err);
    if (status == IMSG_OK)
        status = set_retired(identity, object, err);
    if (status == IMSG_OK && identity->json && json_object_update_missing(object, identity->json) != 0)
        status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (status == IMSG_OK)
        status = imsg_document_line(object, out, err);
    if (status == IMSG_OK && out->len - before > IMSG_LINE_MAX) { /* nobody could read it again */
        imsg_wipe(out->ptr + before, out->len - before);
        out->len = before;
        status = imsg_fail(err, IMSG_TOO_LONG, "the identity would be longer than %d bytes", IMSG_LINE_MAX);
    }
    imsg_json_wipe(json_object_get(object, "keys"));
    imsg_json_wipe(json_object_get(object, "retired"));
    json_decref(object);
    return status;
}

enum imsg_status imsg_identity_device(const struct imsg_identity *identity, struct imsg_device *out,
                                      struct imsg_error *err)
{
    json_t *object = NULL;
    enum imsg_status status = imsg_document_new("device/1", &object, err);
    if (status == IMSG_OK)
        status = set_common(identity, object, err);
    if (status == IMSG_OK && identity->has_pair)
        status = imsg_json_set_base64(object, "identity", imsg_view_of(identity->identity.raw, IMSG_PUBLIC_IDENTITY),
                                      err);
    if (status == IMSG_OK && identity->has_pair_ec) {
        status = imsg_json_set_base64(object, "device_key", imsg_view_of(identity->device_x, 32), err);
        if (status == IMSG_OK)
            status = imsg_json_set_base64(object, "prekey",
                                          imsg_view_of(identity->prekey_record.raw, IMSG_PREKEY_RECORD), err);
        if (status == IMSG_OK)
            status = imsg_json_set(object, "limit", json_integer(IMSG_RELAY_PAYLOAD_MAX), err);
    }
    if (status == IMSG_OK && identity->relay)
        status = imsg_json_set_string(object, "relay", identity->relay, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "created", identity->created, err);
    if (status == IMSG_OK)
        status = imsg_device_from_json(object, out, err);
    json_decref(object);
    return status;
}
