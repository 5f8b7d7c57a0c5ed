/* identity/1: a device's private file (format.md §7). Reading here; making and writing in identity_make.c. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/document.h"
#include "format/identity.h"

#define AT(member) offsetof(struct imsg_identity, member)

/* The keys are the formats' to read and write (format.h). */
const struct imsg_member imsg_identity_members[] = {
    IMSG_ROW("handles", HANDLES, REQUIRED, AT(handles), .more = AT(handle_count)),
    IMSG_ROW("name", TEXT, REQUIRED, AT(name)),
    IMSG_ROW("token", HEX, REQUIRED, AT(token), .len = IMSG_TOKEN),
    IMSG_ROW("created", TIME, REQUIRED, AT(created)),
    IMSG_ROW("relay", RELAY, OPTIONAL, AT(relay)),
    IMSG_ROW("account", THUMBPRINT, OPTIONAL, AT(account)),
    {0},
};

static const char encrypted_label[] = "ENCRYPTED PRIVATE KEY";

bool imsg_identity_is_encrypted(struct imsg_view file)
{
    size_t len = sizeof encrypted_label - 1;
    for (size_t i = 0; i + len <= file.len; i++)
        if (file.ptr[i] == encrypted_label[0] && memcmp(file.ptr + i, encrypted_label, len) == 0)
            return true;
    return false;
}

static enum imsg_status read_keys(json_t *object, struct imsg_view passphrase, struct imsg_identity *identity,
                                  struct imsg_error *err)
{
    struct imsg_identity_file file = {.document = object, .passphrase = passphrase};
    const struct imsg_format *format;
    bool usable = false;
    enum imsg_status status = imsg_json_object(object, "keys", IMSG_REQUIRED, &file.keys, err);
    for (size_t i = 0; status == IMSG_OK && (format = imsg_format_at(i)); i++) {
        status = format->read_identity(&file, identity, err);
        usable = usable || format->usable_by(identity);
    }
    return status == IMSG_OK && !usable ? imsg_fail(err, IMSG_MALFORMED, "no keys") : status;
}

const struct imsg_p256 *imsg_identity_signer(const struct imsg_identity *identity)
{
    return identity->device ? identity->device : identity->signing;
}

static enum imsg_status parse_retired(const json_t *object, struct imsg_identity *identity, struct imsg_error *err)
{
    json_t *array = NULL, *item;
    size_t i;
    enum imsg_status status = imsg_json_array(object, "retired", IMSG_OPTIONAL, &array, err);
    if (status != IMSG_OK || !array || json_array_size(array) == 0)
        return status;
    identity->retired = calloc(json_array_size(array), sizeof *identity->retired);
    if (!identity->retired)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    json_array_foreach (array, i, item) {
        struct imsg_retired *retired = &identity->retired[i];
        identity->retired_count = i + 1;
        status = json_is_object(item) ? imsg_json_string(item, "prekey", IMSG_REQUIRED, &retired->pem, err)
                                      : imsg_fail(err, IMSG_MALFORMED, "is no object");
        if (status == IMSG_OK)
            status = imsg_json_time(item, "retired", IMSG_REQUIRED, &retired->retired, err);
        if (status != IMSG_OK) {
            imsg_error_prefix(err, "retired prekey %zu", i);
            return status;
        }
    }
    return IMSG_OK;
}

static enum imsg_status parse_members(json_t *object, struct imsg_view passphrase, struct imsg_identity *identity,
                                      struct imsg_error *err)
{
    uint8_t token[IMSG_TOKEN];
    enum imsg_status status = imsg_members_read(imsg_identity_members, object, identity, err);
    if (status == IMSG_OK)
        status = read_keys(object, passphrase, identity, err);
    if (status == IMSG_OK)
        status = parse_retired(object, identity, err);
    if (status == IMSG_OK)
        status = imsg_token_of(imsg_p256_point(imsg_identity_signer(identity)), token, err);
    if (status == IMSG_OK && memcmp(token, identity->token, sizeof token) != 0)
        status = imsg_fail(err, IMSG_MALFORMED, "token is not the SHA-256 of the %s",
                           identity->device ? "device key" : "signing key");
    return status;
}

enum imsg_status imsg_identity_parse(struct imsg_view file, struct imsg_view passphrase, struct imsg_identity *out,
                                     struct imsg_error *err)
{
    struct imsg_identity identity = {0};
    json_t *object = NULL;
    enum imsg_status status = imsg_json_document(file, IMSG_LINE_MAX, "identity/1", &object, err);
    if (status != IMSG_OK)
        return status;
    identity.encrypted = imsg_identity_is_encrypted(file);
    if (identity.encrypted)
        status = imsg_buf_append(&identity.passphrase, passphrase.ptr, passphrase.len, err);
    if (status == IMSG_OK)
        status = parse_members(object, passphrase, &identity, err);
    if (status != IMSG_OK && err)
        err->has_offset = false; /* the offset counts from the start of a member */
    imsg_json_wipe(json_object_get(object, "keys"));
    imsg_json_wipe(json_object_get(object, "retired"));
    json_object_del(object, "keys");
    json_object_del(object, "retired");
    identity.json = object;
    if (status != IMSG_OK)
        imsg_identity_free(&identity);
    else
        *out = identity;
    return status;
}

bool imsg_identity_has_handle(const struct imsg_identity *identity, const char *canonical)
{
    for (size_t i = 0; i < identity->handle_count; i++)
        if (strcmp(identity->handles[i], canonical) == 0)
            return true;
    return false;
}

void imsg_identity_free(struct imsg_identity *identity)
{
    const struct imsg_format *format;
    for (size_t i = 0; (format = imsg_format_at(i)); i++)
        if (format->free_identity)
            format->free_identity(identity);
    json_decref(identity->json);
    imsg_members_free(imsg_identity_members, identity);
    for (size_t i = 0; i < identity->retired_count; i++) {
        if (identity->retired[i].pem)
            imsg_wipe(identity->retired[i].pem, strlen(identity->retired[i].pem));
        free(identity->retired[i].pem);
        free(identity->retired[i].retired);
        imsg_p256_free(identity->retired[i].key);
    }
    free(identity->retired);
    imsg_buf_free(&identity->passphrase);
    *identity = (struct imsg_identity){0};
}
