/* Whole JSON documents: their rows, then the library's own parsers as judges of them, and what follows from the keys in
 * them. */
#include "inspect/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/device.h"
#include "format/format.h"
#include "format/jws.h"
#include "inspect/json_walk.h"

/* The checks of one record, and the first that failed. */
struct record_checks {
    struct item *item;
    const struct imsg_device *device;
    const struct imsg_entry *entry; /* that it stands in, or NULL */
    size_t number;                  /* its place in there */
    enum imsg_status first;
    struct imsg_error err;
};

static json_t *add_check(struct record_checks *checks, const char *name, enum imsg_status status,
                         const struct imsg_error *err)
{
    json_t *check = tree_check(checks->item->json, name, status == IMSG_OK, err->text);
    if (checks->entry)
        tree_set(check, "device", json_integer((json_int_t)checks->number));
    if (checks->first == IMSG_OK && status != IMSG_OK) {
        checks->first = status;
        checks->err = *err;
    }
    return check;
}

/* The signatures of a record's keys: what imsg-seal demands in any case. */
static void check_keys(struct record_checks *checks)
{
    const struct imsg_format *format;
    for (size_t i = 0; (format = imsg_format_at(i)); i++) {
        struct imsg_error err = {0};
        if (format->check_record && format->offered_by(checks->device)) {
            enum imsg_status status = format->check_record(checks->device, &err);
            (void)add_check(checks, format->check_name, status, &err);
        }
    }
}

/* Each proof, and the account. A record without any proof is one for bare payloads. */
static void check_proofs(struct record_checks *checks)
{
    const struct imsg_device *device = checks->device;
    struct imsg_error err = {0};
    if (device->account && checks->entry) {
        bool same = strcmp(device->account, checks->entry->thumbprint) == 0;
        enum imsg_status status =
            same ? IMSG_OK : imsg_fail(&err, IMSG_REFUSED, "it belongs to account key %s", device->account);
        (void)add_check(checks, "account", status, &err);
    }
    for (size_t i = 0; (device->proof_count > 0 || checks->entry) && i < device->handle_count; i++) {
        enum imsg_status status = imsg_proof_verify(device, i, &err);
        tree_set(add_check(checks, "proof", status, &err), "handle", json_string(device->handles[i]));
    }
    if (device->proof_count > device->handle_count)
        (void)add_check(
            checks, "proof",
            imsg_fail(&err, IMSG_REFUSED, "%zu proofs of %zu handles", device->proof_count, device->handle_count),
            &err);
}

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
    const struct imsg_format *format;
    struct imsg_trace trace = {0};
    for (size_t i = 0; (format = imsg_format_from_last(i)); i++)
        if (format->trace_record)
            format->trace_record(&device, &trace);
    inspect_trace(item->json, &trace, NULL);
    struct record_checks checks = {.item = item, .device = &device};
    check_keys(&checks);
    if (checks.first != IMSG_OK)
        tree_verdict(item, checks.first, "imsg-seal refuses it: %s", checks.err.text);
    check_proofs(&checks);
    if (device.proof_count == 0)
        tree_note(item->json, "no proofs: for --raw only");
    else if (checks.first != IMSG_OK && !json_object_get(item->json, "verdict"))
        tree_verdict(item, checks.first, "imsg-open and imsg-register refuse it: %s", checks.err.text);
    imsg_trace_free(&trace);
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

static void check_devices(struct item *item, const struct imsg_entry *entry)
{
    for (size_t i = 0; i < entry->devices.count; i++) {
        struct record_checks checks = {.item = item, .device = &entry->devices.items[i], .entry = entry, .number = i};
        check_keys(&checks);
        check_proofs(&checks);
        if (checks.first != IMSG_OK)
            tree_verdict(item, checks.first, "imsg-seal refuses device %zu: %s", i, checks.err.text);
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
        check_devices(item, &entry);
    } else if (status == IMSG_BAD_SIGNATURE) {
        tree_verdict(item, status, "imsg-lookup refuses it: bad signature");
    } else {
        tree_error(item, status, err);
    }
    imsg_entry_free(&entry);
    imsg_buf_free(&payload);
    free(handle);
}

/* The envelope, its name, and the payload's outer form, which shows without a key. */
static enum imsg_status parse_envelope(struct item *item, struct imsg_envelope *envelope, struct imsg_error *err)
{
    enum imsg_status status = imsg_envelope_parse(item->bytes, envelope, err);
    if (status != IMSG_OK)
        return status;
    tree_value(item->json, "name", imsg_view_of(envelope->name, sizeof envelope->name));
    status = imsg_format_lay_out(envelope->format, imsg_buf_view(&envelope->payload), NULL, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "%s payload", imsg_format_name(envelope->format));
    return status;
}

static void judge_envelope(struct item *item, struct imsg_error *err)
{
    struct imsg_envelope envelope = {0};
    const struct imsg_device *sender = NULL, *unproven = NULL;
    uint8_t replay[32];
    enum imsg_status status = parse_envelope(item, &envelope, err);
    if (status != IMSG_OK) {
        tree_error(item, status, err);
        imsg_envelope_free(&envelope);
        return;
    }
    inspect_default_keys(item->run);
    if (imsg_envelope_replay_key(&envelope, replay, NULL) == IMSG_OK)
        tree_value(item->json, "replay_key", imsg_view_of(replay, sizeof replay));
    for (size_t i = 0; i <= item->run->records.count; i++) {
        const struct imsg_device *device =
            i < item->run->records.count ? &item->run->records.items[i] : &item->run->own;
        if (sender || !imsg_device_has_handle(device, envelope.from) ||
            memcmp(device->token, envelope.from_token, IMSG_TOKEN) != 0)
            continue;
        if (device == &item->run->own || imsg_device_verify(device, NULL, err) == IMSG_OK)
            sender = device;
        else if (!unproven)
            unproven = device;
    }
    if (!sender && unproven) { /* as imsg-open passes over such a record; here it shows what it would verify */
        sender = unproven;
        tree_check(item->json, "sender_record", false, err->text);
    }
    struct imsg_payload payload = {envelope.format, imsg_buf_view(&envelope.payload)};
    inspect_opening(item, payload, sender, &envelope);
    imsg_envelope_free(&envelope);
}

static void show_identity(struct item *item, const struct imsg_identity *identity)
{
    const struct imsg_format *format;
    struct imsg_trace trace = {0};
    for (int private_keys = 0; private_keys <= (item->run->secrets ? 1 : 0); private_keys++)
        for (size_t i = 0; (format = imsg_format_from_last(i)); i++)
            if (format->trace_identity)
                format->trace_identity(identity, private_keys, &trace);
    inspect_trace(item->json, &trace, NULL);
    imsg_trace_free(&trace);
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

static bool judge_document(struct item *item, const char *kind)
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

/* The kind of a whole document, and jansson's word on it. */
static enum imsg_status kind_of(struct imsg_view text, char out[static 80], struct imsg_error *err)
{
    json_t *object = NULL;
    struct imsg_json_walk cursor;
    struct imsg_json_item found;
    bool more = false;
    enum imsg_status status = imsg_json_parse(text, (size_t)IMSG_LINE_MAX, &object, err);
    const char *own = json_string_value(json_object_get(object, "imsg"));
    snprintf(out, 80, "%s", own && strlen(own) < 40 ? own : json_object_get(object, "protected") ? "jws" : "json");
    if (status != IMSG_OK && imsg_json_walk(text, 0, &cursor, NULL) == IMSG_OK &&
        imsg_json_walk_next(&cursor, &found, &more, NULL) == IMSG_OK && more && found.key.len == 4 &&
        memcmp(text.ptr + found.key.offset, "imsg", 4) == 0 && found.inner.len < 40)
        snprintf(out, 80, "%.*s", (int)found.inner.len, (const char *)text.ptr + found.inner.offset);
    json_decref(object);
    return status;
}

void inspect_document(struct item *item)
{
    struct imsg_error err = {0};
    char kind[80];
    enum imsg_status status = kind_of(item->bytes, kind, &err);
    tree_set(item->json, "kind", tree_text(imsg_view_str(kind)));
    rows_document(item, kind, item->bytes);
    if (status != IMSG_OK) {
        tree_error(item, status, &err);
        return;
    }
    if (judge_document(item, kind))
        return;
    status = imsg_fail(&err, IMSG_UNSUPPORTED, "no document known here: \"imsg\" does not name one");
    tree_error(item, status, &err);
}
