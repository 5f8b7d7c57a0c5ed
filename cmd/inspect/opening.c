/* The steps of opening, one after another, with the keys at hand. The verdict is imsg-open's own code's. */
#include "inspect/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/protobuf.h"

bool inspect_has_keys(const struct inspect *run)
{
    return run->identity.handle_count > 0;
}

static enum imsg_status load_identity(struct inspect *run, struct imsg_error *err)
{
    enum imsg_status status = cli_identity(&run->cli, run->identity_path, &run->identity, err);
    if (status == IMSG_OK)
        status = imsg_identity_device(&run->identity, &run->own, err);
    return status;
}

enum imsg_status inspect_unlock(struct inspect *run, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (run->unlocked)
        return IMSG_OK;
    if (run->identity_path)
        status = load_identity(run, err);
    for (size_t i = 0; status == IMSG_OK && i < run->record_count; i++)
        status = cli_records_read(&run->cli, run->record_files[i], &run->records, err);
    run->unlocked = status == IMSG_OK;
    return status;
}

void inspect_default_keys(struct inspect *run)
{
    struct imsg_error err = {0};
    struct stat st;
    char *standard = NULL;
    if (run->identity_path || run->default_tried)
        return;
    run->default_tried = true;
    enum imsg_status status = cli_home_path(&run->cli, "identity.json", &standard, &err);
    if (status == IMSG_OK && stat(standard, &st) == 0)
        status = load_identity(run, &err);
    cli_ok(&run->cli, status, &err);
    free(standard);
}

void inspect_trace(json_t *inspection, const struct imsg_trace *trace)
{
    size_t held = 0;
    for (size_t i = 0; i < trace->count; i++) {
        const struct imsg_step *step = &trace->steps[i];
        if (!step->is_check) {
            tree_value(inspection, step->name, imsg_buf_view(&step->bytes));
            held = strcmp(step->name, "rsa_plain") == 0 ? step->bytes.len : held;
            continue;
        }
        tree_check(inspection, step->name, step->ok, step->note);
        if (strcmp(step->name, "oaep") == 0 && step->ok)
            tree_check(inspection, "rsa_plain", held >= 16, "fewer bytes than a key has");
    }
}

static void trace_pair(struct item *item, struct imsg_view payload, const struct imsg_device *sender, bool with_keys,
                       struct imsg_trace *trace)
{
    struct imsg_identity *identity = &item->run->identity;
    const struct imsg_public_identity *keys = sender && sender->has_pair ? &sender->identity : NULL;
    struct imsg_pair pair;
    struct imsg_buf plain = {0};
    if (imsg_pair_parse(payload, &pair, NULL) != IMSG_OK)
        return;
    if (with_keys && identity->has_pair) {
        (void)!imsg_pair_open_traced(&pair, identity->encryption, &identity->identity, keys, &plain, trace, NULL);
    } else if (keys) { /* the signature needs no secret */
        imsg_trace_check(trace, "signature", imsg_pair_verify(&pair, keys, NULL) == IMSG_OK,
                         "not the sender's over this body");
    }
    imsg_buf_free(&plain);
}

/* Prekey number i, newest first; NULL for one that cannot be loaded. */
static const struct imsg_p256 *prekey_number(struct imsg_identity *identity, size_t i)
{
    struct imsg_p256 *retired = NULL;
    if (i == 0)
        return identity->prekey;
    return imsg_identity_retired(identity, identity->retired_count - i, &retired, NULL) == IMSG_OK ? retired : NULL;
}

static void trace_with(struct item *item, const struct imsg_pair_ec *pair_ec, const struct imsg_p256 *prekey,
                       const uint8_t *sender_x, struct imsg_trace *trace, bool *opened)
{
    struct imsg_buf plain = {0};
    struct imsg_error err = {0};
    imsg_trace_free(trace);
    *opened = imsg_pair_ec_open_traced(pair_ec, item->run->identity.device_x, prekey, sender_x, &plain, NULL, NULL,
                                       trace, &err) == IMSG_OK;
    imsg_buf_free(&plain);
}

/* With the prekey that the validator names, a retired one too; where it names none of them, with the one in use. */
static void trace_pair_ec(struct item *item, struct imsg_view payload, const struct imsg_device *sender,
                          struct imsg_trace *trace)
{
    struct imsg_identity *identity = &item->run->identity;
    const uint8_t *sender_x = sender && sender->has_pair_ec ? sender->device_x : NULL;
    struct imsg_pair_ec pair_ec;
    bool tried = false, opened = false;
    if (!identity->has_pair_ec || imsg_pair_ec_parse(payload, &pair_ec, NULL) != IMSG_OK)
        return;
    for (size_t i = 0; i <= identity->retired_count && !opened; i++) {
        const struct imsg_p256 *prekey = prekey_number(identity, i);
        if (!prekey || memcmp(imsg_p256_point(prekey) + 1, pair_ec.validator + 4, 2) != 0)
            continue;
        tried = true;
        json_object_del(item->json, "retired");
        if (i > 0)
            tree_set(item->json, "retired",
                     tree_text(imsg_view_str(identity->retired[identity->retired_count - i].retired)));
        trace_with(item, &pair_ec, prekey, sender_x, trace, &opened);
    }
    if (!tried)
        trace_with(item, &pair_ec, identity->prekey, sender_x, trace, &opened);
}

static bool in_list(const char *word, char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], word) == 0)
            return true;
    return false;
}

static void check_same(struct item *item, const char *name, const char *header, const char *envelope)
{
    char note[300];
    snprintf(note, sizeof note, "the header says %.250s", header);
    tree_check(item->json, name, strcmp(header, envelope) == 0, note);
}

/* Each line of formats.md §7, said on its own. */
static void check_header(struct item *item, const struct imsg_envelope *envelope, struct imsg_view plaintext)
{
    struct imsg_message message = {0};
    struct imsg_error err = {0};
    bool parsed = imsg_message_parse(plaintext, &message, &err) == IMSG_OK;
    tree_check(item->json, "message", parsed, err.text);
    if (!parsed)
        return;
    check_same(item, "header_id", message.id, envelope->id);
    check_same(item, "header_from", message.from, envelope->from);
    check_same(item, "header_time", message.time, envelope->time);
    tree_check(item->json, "header_to",
               in_list(envelope->to, message.to, message.to_count) || strcmp(envelope->to, message.from) == 0,
               "the envelope's recipient is not in the header");
    tree_check(item->json, "header_stream", message.has_stream == item->run->sealed.is,
               message.has_stream ? "a sealed file's header outside a sealed file" : "a message's header in a sealed file");
    imsg_message_free(&message);
}

/* What shows before any key is used. */
static void check_routing(struct item *item, const struct imsg_envelope *envelope, const struct imsg_device *sender)
{
    const struct inspect *run = item->run;
    char token[2 * IMSG_TOKEN + 1], note[400];
    if (inspect_has_keys(run)) {
        tree_check(item->json, "to_token", memcmp(envelope->to_token, run->identity.token, IMSG_TOKEN) == 0,
                   "the envelope is for another device");
        tree_check(item->json, "to", imsg_identity_has_handle(&run->identity, envelope->to),
                   "the envelope's recipient is not a handle of this device");
    }
    if (!sender && run->record_count == 0)
        return;
    imsg_hex(envelope->from_token, IMSG_TOKEN, token);
    snprintf(note, sizeof note, "no record given has handle %.250s and token %.8s…", envelope->from, token);
    tree_check(item->json, "sender", sender != NULL, note);
}

/* imsg-open refuses a header with a key outside a sealed file, and one without inside. */
static enum imsg_status take_stream(struct sealed *sealed, const struct imsg_device *sender,
                                    const struct imsg_message *message)
{
    if (message->has_stream != sealed->is)
        return IMSG_REFUSED;
    if (message->has_stream && !sealed->held) {
        sealed->held = true;
        memcpy(sealed->key, message->stream_key, sizeof sealed->key);
        snprintf(sealed->id, sizeof sealed->id, "%s", message->id);
        memcpy(sealed->auth, sender->auth, sizeof sealed->auth);
        sealed->has_auth = true;
    }
    return IMSG_OK;
}

/* imsg-open's own code has the word. */
static void judge(struct item *item, enum imsg_format format, struct imsg_view payload,
                  const struct imsg_device *sender, const struct imsg_envelope *envelope)
{
    struct imsg_buf plain = {0};
    struct imsg_message message = {0};
    struct imsg_error err = {0};
    enum imsg_status why = IMSG_OK, status;
    if (envelope)
        status = imsg_open_envelope(&item->run->identity, sender, envelope, &plain, &message, &why, &err);
    else
        status = imsg_open_payload(&item->run->identity, sender, format, payload, &plain, &why, &err);
    if (envelope && status == IMSG_OK)
        status = take_stream(&item->run->sealed, sender, &message);
    const json_t *failed = status == IMSG_OK ? NULL : tree_failed(item->json);
    const char *note = failed ? json_string_value(json_object_get(failed, "note")) : NULL;
    const char *name = imsg_status_name(why ? why : status);
    if (status == IMSG_OK)
        tree_verdict(item, status, "imsg-open accepts it");
    else if (failed)
        tree_verdict(item, status, "imsg-open refuses it: %s (%s: %s)", name,
                     json_string_value(json_object_get(failed, "name")), note ? note : "no");
    else
        tree_verdict(item, status, "imsg-open refuses it: %s", name);
    imsg_message_free(&message);
    imsg_buf_free(&plain);
}

/* Where nobody is known as the sender, or there is no key: what the checks that could be made say. */
static void judge_without(struct item *item, enum imsg_format format, const struct imsg_device *sender, bool mine)
{
    const struct inspect *run = item->run;
    bool skipped = inspect_has_keys(run) && !mine; /* as imsg-open does with envelopes for others */
    const json_t *check;
    size_t i;
    json_array_foreach (json_object_get(item->json, "checks"), i, check) {
        const char *name = json_string_value(json_object_get(check, "name"));
        if (json_is_true(json_object_get(check, "ok")) || (skipped && strcmp(name, "signature") != 0))
            continue;
        tree_verdict(item, IMSG_REFUSED, "imsg-open refuses it (%s: %s)", name,
                     json_string_value(json_object_get(check, "note")));
        break;
    }
    if (!sender && run->record_count == 0)
        tree_note(item->json, "signature: not checked, give -R RECORDS");
    else if (!sender && !skipped && !json_object_get(item->json, "verdict"))
        tree_verdict(item, IMSG_REFUSED, "imsg-open refuses it: no record given has a key for %s",
                     imsg_format_name(format));
    if (!inspect_has_keys(run))
        tree_note(item->json, "not opened: give -i IDENTITY");
    else if (skipped)
        tree_note(item->json, "not opened: sealed for another device");
}

static const struct imsg_step *find_step(const struct imsg_trace *trace, const char *name, bool is_check)
{
    for (size_t i = 0; i < trace->count; i++)
        if (trace->steps[i].is_check == is_check && strcmp(trace->steps[i].name, name) == 0)
            return &trace->steps[i];
    return NULL;
}

/* Whether this device's key fits at all: with another device's, all that follows would be noise. */
static bool key_fits(const struct imsg_trace *trace, enum imsg_format format)
{
    const struct imsg_step *fits = find_step(trace, format == IMSG_PAIR ? "oaep" : "validator_device", true);
    return fits && fits->ok;
}

/* The protobuf that a pair-ec payload decrypts to. */
static void show_inner(struct item *item, struct imsg_view bytes)
{
    struct imsg_pb_reader reader = {bytes, 0};
    struct imsg_pb_field field;
    bool more;
    json_t *inner = json_object();
    tree_set(item->json, "inner", inner);
    tree_set(inner, "kind", json_string("pair-ec.inner"));
    tree_set(inner, "length", json_integer((json_int_t)bytes.len));
    rows_inner(inner, bytes);
    while (imsg_pb_next(&reader, &field, &more, NULL) == IMSG_OK && more)
        if (field.number == 2 && field.wire == IMSG_PB_VARINT)
            tree_set(item->json, "counter", json_integer((json_int_t)field.varint));
}

static void show_plaintext(struct item *item, struct imsg_view plaintext, enum imsg_status *damage)
{
    struct item inside = tree_inside(item, plaintext);
    inspect_body(&inside);
    tree_set(item->json, "plaintext", inside.json);
    *damage = inside.status;
}

void inspect_opening(struct item *item, enum imsg_format format, struct imsg_view payload,
                     const struct imsg_device *sender, const struct imsg_envelope *envelope)
{
    struct imsg_trace trace = {0};
    bool keys = inspect_has_keys(item->run);
    bool mine = keys && (!envelope || memcmp(envelope->to_token, item->run->identity.token, IMSG_TOKEN) == 0);
    struct sealed *sealed = &item->run->sealed;
    if (envelope)
        check_routing(item, envelope, sender);
    sealed->mine += envelope && mine;
    if (sender && !sealed->has_auth) {
        memcpy(sealed->auth, sender->auth, sizeof sealed->auth);
        sealed->has_auth = true;
    }
    if (format == IMSG_PAIR)
        trace_pair(item, payload, sender, keys, &trace);
    else if (keys)
        trace_pair_ec(item, payload, sender, &trace);
    if (keys && !mine && !key_fits(&trace, format)) {
        imsg_trace_free(&trace);
        if (format == IMSG_PAIR)
            trace_pair(item, payload, sender, false, &trace);
    }
    inspect_trace(item->json, &trace);
    const struct imsg_step *inner = find_step(&trace, "inner", false);
    const struct imsg_step *plaintext = find_step(&trace, "plaintext", false);
    enum imsg_status damage = IMSG_OK;
    if (inner)
        show_inner(item, imsg_buf_view(&inner->bytes));
    if (plaintext)
        show_plaintext(item, imsg_buf_view(&plaintext->bytes), &damage);
    if (plaintext && keys && envelope)
        check_header(item, envelope, imsg_buf_view(&plaintext->bytes));
    if (mine && !(format == IMSG_PAIR ? item->run->identity.has_pair : item->run->identity.has_pair_ec))
        tree_note(item->json, "this identity has no keys for %s", imsg_format_name(format));
    if (mine && sender)
        judge(item, format, payload, sender, envelope);
    else
        judge_without(item, format, sender, mine);
    if (item->status == IMSG_OK) /* right as a payload, but what it holds is damaged */
        item->status = damage;
    if (trace.incomplete)
        tree_note(item->json, "memory ran out: steps are missing");
    imsg_trace_free(&trace);
}
