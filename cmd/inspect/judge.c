/* The library's own parsers as judges of documents: what they check, and what follows from the keys in them. */
#include "inspect/inspect.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "format/jws.h"

static void judge_device(struct item *item, struct imsg_error *err)
{
    struct imsg_device device = {0};
    enum imsg_status status = imsg_device_parse(item->bytes, &device, err);
    if (status != IMSG_OK) {
        tree_error(item, status, err);
        return;
    }
    tree_value(item->json, "auth_key", imsg_view_of(device.auth, sizeof device.auth));
    tree_check(item->json, "token", true, NULL); /* part of the parse */
    if (device.has_pair)
        tree_value(item->json, "identity_hash", imsg_view_of(device.identity.hash, sizeof device.identity.hash));
    if (device.has_pair_ec) {
        status = imsg_device_check(&device, err);
        tree_check(item->json, "prekey_signature", status == IMSG_OK, err->text);
        if (status != IMSG_OK)
            tree_verdict(item, status, "imsg-seal refuses it: %s", err->text);
    }
    imsg_device_free(&device);
}

/* The handle an entry says it is for: only for showing; imsg-lookup compares with the one it asked for. */
static char *entry_handle(struct imsg_view payload)
{
    json_t *object = NULL;
    char *handle = NULL;
    if (imsg_json_parse(payload, IMSG_LINE_MAX, &object, NULL) == IMSG_OK)
        (void)!imsg_json_string(object, "handle", IMSG_REQUIRED, &handle, NULL);
    json_decref(object);
    return handle;
}

static void check_prekeys(struct item *item, const struct imsg_devices *devices, struct imsg_error *err)
{
    for (size_t i = 0; i < devices->count; i++) {
        if (!devices->items[i].has_pair_ec)
            continue;
        enum imsg_status status = imsg_device_check(&devices->items[i], err);
        json_t *check = tree_check(item->json, "prekey_signature", status == IMSG_OK, err->text);
        tree_set(check, "device", json_integer((json_int_t)i));
        if (status != IMSG_OK)
            tree_verdict(item, status, "imsg-seal refuses device %zu: %s", i, err->text);
    }
}

static void judge_entry(struct item *item, struct imsg_error *err)
{
    struct imsg_entry entry = {0};
    struct imsg_buf payload = {0};
    uint8_t account[65];
    enum imsg_status status = imsg_jws_verify(item->bytes, &payload, account, err);
    char *handle = status == IMSG_OK ? entry_handle(imsg_buf_view(&payload)) : NULL;
    if (status == IMSG_OK || status == IMSG_BAD_SIGNATURE)
        tree_check(item->json, "signature", status == IMSG_OK, "not by the key in the header");
    if (status == IMSG_OK) {
        status = imsg_entry_parse(item->bytes, handle ? handle : "", 0, &entry, err);
        tree_value(item->json, "account_key", imsg_view_of(account, sizeof account));
    }
    if (status == IMSG_OK) {
        tree_value(item->json, "payload_sha256", imsg_view_of(entry.hash, sizeof entry.hash));
        tree_set(item->json, "account", json_string(entry.thumbprint));
        check_prekeys(item, &entry.devices, err);
    } else if (status == IMSG_BAD_SIGNATURE) {
        tree_verdict(item, status, "imsg-lookup refuses it: bad signature");
    } else {
        tree_error(item, status, err);
    }
    imsg_entry_free(&entry);
    imsg_buf_free(&payload);
    free(handle);
}

/* The payload's outer form shows without a key. */
static enum imsg_status parse_envelope(struct imsg_view line, struct imsg_envelope *envelope, struct imsg_error *err)
{
    struct imsg_pair pair;
    struct imsg_pair_ec pair_ec;
    enum imsg_status status = imsg_envelope_parse(line, envelope, err);
    if (status != IMSG_OK)
        return status;
    status = envelope->format == IMSG_PAIR ? imsg_pair_parse(imsg_buf_view(&envelope->payload), &pair, err)
                                           : imsg_pair_ec_parse(imsg_buf_view(&envelope->payload), &pair_ec, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "%s payload", imsg_format_name(envelope->format));
    return status;
}

static void judge_envelope(struct item *item, struct imsg_error *err)
{
    struct imsg_envelope envelope = {0};
    const struct imsg_device *sender = NULL;
    enum imsg_status status = parse_envelope(item->bytes, &envelope, err);
    if (status != IMSG_OK) {
        tree_error(item, status, err);
        imsg_envelope_free(&envelope);
        return;
    }
    inspect_default_keys(item->run);
    tree_value(item->json, "payload_sha256", imsg_view_of(envelope.hash, sizeof envelope.hash));
    for (size_t i = 0; i <= item->run->records.count; i++) {
        const struct imsg_device *device =
            i < item->run->records.count ? &item->run->records.items[i] : &item->run->own;
        if (!sender && imsg_device_has_handle(device, envelope.from) &&
            memcmp(device->token, envelope.from_token, IMSG_TOKEN) == 0)
            sender = device;
    }
    inspect_opening(item, envelope.format, imsg_buf_view(&envelope.payload), sender, &envelope);
    imsg_envelope_free(&envelope);
}

static void private_value(struct item *item, const char *name, const struct imsg_p256 *key)
{
    if (key && item->run->secrets)
        tree_value(item->json, name, imsg_view_of(imsg_p256_scalar(key), 32));
}

static void show_identity(struct item *item, const struct imsg_identity *identity)
{
    if (identity->has_pair) {
        tree_value(item->json, "signing_pub", imsg_view_of(imsg_p256_point(identity->signing), 65));
        tree_value(item->json, "rsa_n", imsg_view_of(imsg_rsa_modulus(identity->encryption), 160));
        tree_value(item->json, "identity", imsg_view_of(identity->identity.raw, IMSG_PUBLIC_IDENTITY));
        tree_value(item->json, "identity_hash", imsg_view_of(identity->identity.hash, 32));
    }
    if (identity->has_pair_ec) {
        tree_value(item->json, "device_x", imsg_view_of(identity->device_x, 32));
        tree_value(item->json, "prekey_x", imsg_view_of(imsg_p256_point(identity->prekey) + 1, 32));
        tree_value(item->json, "prekey_record", imsg_view_of(identity->prekey_record.raw, IMSG_PREKEY_RECORD));
    }
    private_value(item, "signing_d", identity->signing);
    private_value(item, "device_d", identity->device);
    private_value(item, "prekey_d", identity->prekey);
}

static void judge_identity(struct item *item, struct imsg_error *err)
{
    struct imsg_identity identity = {0};
    struct imsg_buf passphrase = {0};
    enum imsg_status status = IMSG_OK;
    if (imsg_identity_is_encrypted(item->bytes)) {
        if (!item->run->secrets) {
            tree_note(item->json, "private keys are encrypted: --secrets asks for the passphrase");
            return;
        }
        status = cli_passphrase(&item->run->cli, "the identity", false, &passphrase, err);
    }
    if (status == IMSG_OK)
        status = imsg_identity_parse(item->bytes, imsg_buf_view(&passphrase), &identity, err);
    if (status == IMSG_OK)
        show_identity(item, &identity);
    else
        tree_error(item, status, err);
    imsg_identity_free(&identity);
    imsg_buf_free(&passphrase);
}

static void judge_attachment(struct item *item, struct imsg_error *err)
{
    struct imsg_attachment attachment = {0};
    json_t *object = NULL;
    enum imsg_status status = imsg_json_parse(item->bytes, IMSG_LINE_MAX, &object, err);
    if (status == IMSG_OK)
        status = imsg_attachment_from_json(object, &attachment, err);
    if (status != IMSG_OK)
        tree_error(item, status, err);
    imsg_attachment_free(&attachment);
    json_decref(object);
}

typedef void judge_of(struct item *item, struct imsg_error *err);
static const struct {
    const char *kind;
    judge_of *judge; /* NULL: nothing beyond JSON is checked */
} judges[] = {
    {"device/1", judge_device},
    {"jws", judge_entry},
    {"envelope/1", judge_envelope},
    {"identity/1", judge_identity},
    {"attachment/1", judge_attachment},
    {"stream/1", judge_stream},
    {"message/1", NULL},
    {"opened/1", NULL},
    {"receipt/1", NULL},
    {"pin/1", NULL},
    {"pins/1", NULL},
    {"fingerprint/1", NULL},
    {"entry/1", NULL},
    {"inspection/1", NULL},
};

bool judge_document(struct item *item, const char *kind)
{
    struct imsg_error err = {0};
    for (size_t i = 0; i < sizeof judges / sizeof judges[0]; i++)
        if (strcmp(judges[i].kind, kind) == 0) {
            if (judges[i].judge)
                judges[i].judge(item, &err);
            return true;
        }
    return false;
}
