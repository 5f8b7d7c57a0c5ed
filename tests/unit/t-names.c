/* What an envelope is known by: its name, of everything that it says, and its replay key, of what was signed. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "tap.h"
#include "vector.h"

static struct imsg_error err;

static bool parse(const json_t *object, struct imsg_envelope *out)
{
    char *text = json_dumps(object, JSON_COMPACT);
    enum imsg_status status = imsg_envelope_parse(imsg_view_str(text), out, &err);
    free(text);
    return tap_status(status, IMSG_OK, &err, "parses");
}

static void check_vector(const json_t *vector)
{
    const char *id = vector_string(vector, "vector");
    struct imsg_envelope envelope = {0};
    uint8_t want[32], key[32];
    if (!parse(vector_member(vector, "envelope"), &envelope))
        return;
    vector_hex_fixed(vector, "name", want, sizeof want);
    tap_bytes(imsg_view_of(envelope.name, sizeof envelope.name), imsg_view_of(want, sizeof want), "%s: name", id);
    vector_hex_fixed(vector, "replay", want, sizeof want);
    if (tap_status(imsg_envelope_replay_key(&envelope, key, &err), IMSG_OK, &err, "%s: replay key", id))
        tap_bytes(imsg_view_of(key, sizeof key), imsg_view_of(want, sizeof want), "%s: the same", id);
    imsg_envelope_free(&envelope);
}

/* Whether name and replay key change with a member. */
static void check_change(const json_t *vector, const char *member, const char *value, bool changes_name,
                         bool changes_key)
{
    json_t *object = json_deep_copy(vector_member(vector, "envelope"));
    struct imsg_envelope envelope = {0};
    uint8_t name[32], replay[32], key[32];
    vector_hex_fixed(vector, "name", name, sizeof name);
    vector_hex_fixed(vector, "replay", replay, sizeof replay);
    json_object_set_new(object, member, json_string(value));
    if (parse(object, &envelope)) {
        tap_ok((memcmp(envelope.name, name, sizeof name) != 0) == changes_name, "another %s: %s name", member,
               changes_name ? "another" : "the same");
        tap_status(imsg_envelope_replay_key(&envelope, key, &err), IMSG_OK, &err, "replay key");
        tap_ok((memcmp(key, replay, sizeof key) != 0) == changes_key, "another %s: %s replay key", member,
               changes_key ? "another" : "the same");
    }
    imsg_envelope_free(&envelope);
    json_decref(object);
}

/* The same payload with something that is not signed changed: another name, the same replay key. */
static void check_mauled(const json_t *vector)
{
    const char *id = vector_string(vector, "vector");
    json_t *object = json_deep_copy(vector_member(vector, "envelope"));
    struct imsg_envelope first = {0}, second = {0};
    struct imsg_buf payload = {0}, text = {0};
    uint8_t one[32], two[32];
    if (!parse(object, &first))
        return;
    bool pair = strcmp(imsg_format_name(first.format), "pair") == 0;
    /* "pair": the last byte of the signature; "pair-ec": an unknown field at the end. */
    if (imsg_buf_append(&payload, first.payload.ptr, first.payload.len, &err) != IMSG_OK ||
        (!pair && imsg_buf_append(&payload, "\x28\x01", 2, &err) != IMSG_OK))
        return;
    if (pair)
        payload.ptr[payload.len - 1] ^= 1;
    tap_status(imsg_base64_encode(imsg_buf_view(&payload), &text, &err), IMSG_OK, &err, "base64");
    json_object_set_new(object, "payload", json_string((const char *)text.ptr));
    if (parse(object, &second)) {
        tap_status(imsg_envelope_replay_key(&first, one, &err), IMSG_OK, &err, "replay key");
        tap_status(imsg_envelope_replay_key(&second, two, &err), IMSG_OK, &err, "replay key");
        tap_ok(memcmp(first.name, second.name, sizeof first.name) != 0, "%s: mauled: another name", id);
        tap_ok(memcmp(one, two, sizeof one) == 0, "%s: mauled: the same replay key", id);
    }
    imsg_envelope_free(&first);
    imsg_envelope_free(&second);
    imsg_buf_free(&payload);
    imsg_buf_free(&text);
    json_decref(object);
}

int main(void)
{
    static const char other_token[] = "00000000000000000000000000000000000000000000000000000000000000aa";
    json_t *json = vector_load("documents");
    const json_t *names = vector_member(json, "names"), *vector;
    size_t i;
    json_array_foreach (names, i, vector) {
        check_vector(vector);
        check_mauled(vector);
    }
    tap_ok(i > 0, "%zu vectors", i);
    vector = json_array_get(names, 0);
    check_change(vector, "id", "00000000-0000-4000-8000-00000000ffff", true, false);
    check_change(vector, "from", "mailto:mallory@example.com", true, false);
    check_change(vector, "from_token", other_token, true, false);
    check_change(vector, "to", "mailto:mallory@example.com", true, false);
    check_change(vector, "to_token", other_token, true, true);
    check_change(vector, "time", "2026-11-24T18:00:01Z", true, false);
    check_change(vector, "relay", "https://relay.example", false, false);
    check_change(vector, "unknown", "member", false, false);
    json_decref(json);
    return tap_done();
}
