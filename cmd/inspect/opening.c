/* The steps of opening, one after another, with the keys at hand: imsg-open's own code, which is given a trace. */
#include "inspect/inspect.h"

#include <stdio.h>
#include <string.h>

static void show_step(json_t *inspection, const struct imsg_step *step)
{
    switch (step->kind) {
    case IMSG_STEP_VALUE:
        tree_value(inspection, step->name, imsg_buf_view(&step->bytes));
        break;
    case IMSG_STEP_TEXT:
        tree_set(inspection, step->name, tree_text(imsg_buf_view(&step->bytes)));
        break;
    case IMSG_STEP_NUMBER:
        tree_set(inspection, step->name, json_integer((json_int_t)step->number));
        break;
    case IMSG_STEP_CHECK:
        tree_check(inspection, step->name, step->ok, step->note);
        break;
    }
}

void inspect_trace(json_t *inspection, const struct imsg_trace *trace, const char *but)
{
    for (size_t i = 0; i < trace->count; i++)
        if (!but || strcmp(trace->steps[i].name, but) != 0)
            show_step(inspection, &trace->steps[i]);
    if (trace->incomplete)
        tree_note(inspection, "memory ran out: steps are missing");
}

/* A header with a key belongs into a sealed file, and one without does not. */
static bool check_stream(struct item *item, struct imsg_view plaintext)
{
    struct imsg_message message = {0};
    if (imsg_message_parse(plaintext, &message, NULL) != IMSG_OK)
        return true; /* that check has failed */
    bool fits = message.has_stream == item->run->sealed.is;
    tree_check(item->json, "header_stream", fits,
               message.has_stream ? "a sealed file's header outside a sealed file"
                                  : "a message's header in a sealed file");
    imsg_message_free(&message);
    return fits;
}

/* What the chunks of a sealed file will be opened with. */
static void keep_stream(struct sealed *sealed, const struct imsg_device *sender, const struct imsg_message *message)
{
    if (!message->has_stream || sealed->held)
        return;
    sealed->held = true;
    memcpy(sealed->key, message->stream_key, sizeof sealed->key);
    snprintf(sealed->id, sizeof sealed->id, "%s", message->id);
    memcpy(sealed->auth, sender->auth, sizeof sealed->auth);
    sealed->has_auth = true;
}

static void give_verdict(struct item *item, enum imsg_status status, enum imsg_status why)
{
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
}

/* Where nobody is known as the sender, or there is no key: what the checks that could be made say. */
static void verdict_without_keys(struct item *item, const struct imsg_format *format, const struct imsg_device *sender,
                                 bool mine, enum imsg_status status)
{
    const struct inspect *run = item->run;
    bool skipped = inspect_has_keys(run) && !mine; /* as imsg-open does with envelopes for others */
    const json_t *check;
    size_t i;
    json_array_foreach (json_object_get(item->json, "checks"), i, check) {
        const char *name = json_string_value(json_object_get(check, "name"));
        if (json_is_true(json_object_get(check, "ok")) || (skipped && strcmp(name, "signature") != 0))
            continue;
        tree_verdict(item, status == IMSG_UNSUPPORTED ? status : IMSG_REFUSED, "imsg-open refuses it (%s: %s)", name,
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

/* The form that the ciphertext holds, where the format has one. */
static void show_inner(struct item *item, const struct imsg_format *format, const struct imsg_trace *trace)
{
    const struct imsg_step *inner = imsg_trace_find(trace, "inner", IMSG_STEP_VALUE);
    char kind[40];
    if (!inner)
        return;
    json_t *json = json_object();
    tree_set(item->json, "inner", json);
    snprintf(kind, sizeof kind, "%.30s.inner", imsg_format_name(format));
    tree_set(json, "kind", json_string(kind));
    tree_set(json, "length", json_integer((json_int_t)inner->bytes.len));
    rows_layout(json, kind, imsg_buf_view(&inner->bytes), &trace->inner);
}

static enum imsg_status show_plaintext(struct item *item, struct imsg_view plaintext)
{
    struct item inside = tree_inside(item, plaintext);
    inspect_body(&inside);
    tree_set(item->json, "plaintext", inside.json);
    return inside.status;
}

void inspect_opening(struct item *item, struct imsg_payload payload, const struct imsg_device *sender,
                     const struct imsg_envelope *envelope)
{
    struct inspect *run = item->run;
    struct imsg_trace trace = {0};
    struct imsg_buf plain = {0};
    struct imsg_message message = {0};
    struct imsg_error err = {0};
    struct imsg_identity *identity = inspect_has_keys(run) ? &run->identity : NULL;
    bool mine = identity && (!envelope || memcmp(envelope->to_token, identity->token, IMSG_TOKEN) == 0);
    enum imsg_status status, damage = IMSG_OK;
    run->sealed.mine += envelope && mine;
    if (sender && !run->sealed.has_auth) {
        memcpy(run->sealed.auth, sender->auth, sizeof run->sealed.auth);
        run->sealed.has_auth = true;
    }
    if (envelope)
        status = imsg_open_envelope_traced(identity, sender, envelope, &message, &trace, &err);
    else
        status = imsg_open_payload_traced(identity, sender, payload, &plain, &trace, &err);
    if (status == IMSG_OK && tree_failed(item->json)) /* the sender's record */
        status = IMSG_REFUSED;
    /* Without records to look among, that the sender is in none of them is no finding. */
    inspect_trace(item->json, &trace, !sender && run->record_count == 0 ? "sender" : NULL);
    show_inner(item, payload.format, &trace);
    const struct imsg_step *plaintext = imsg_trace_find(&trace, "plaintext", IMSG_STEP_VALUE);
    if (plaintext)
        damage = show_plaintext(item, imsg_buf_view(&plaintext->bytes));
    if (plaintext && envelope && !check_stream(item, imsg_buf_view(&plaintext->bytes)) && status == IMSG_OK)
        status = IMSG_REFUSED;
    if (envelope && status == IMSG_OK)
        keep_stream(&run->sealed, sender, &message);
    if (mine && !imsg_identity_has_keys(identity, payload.format))
        tree_note(item->json, "this identity has no keys for %s", imsg_format_name(payload.format));
    if (mine && sender)
        give_verdict(item, status, trace.why);
    else
        verdict_without_keys(item, payload.format, sender, mine, trace.why);
    if (item->status == IMSG_OK) /* right as a payload, but what it holds is damaged */
        item->status = damage;
    imsg_message_free(&message);
    imsg_buf_free(&plain);
    imsg_trace_free(&trace);
}
