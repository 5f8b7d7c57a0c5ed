/* tests/vectors/documents.json: proofs in device records, ids of groups, commitments of sealed files. And the proofs of
 * records made here. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "format/member.h"
#include "format/trace.h"
#include "tap.h"
#include "vector.h"

/* The account key that the vectors' records name, where they name the right one. */
#define ACCOUNT "muNfdc2If5IQiYj9CkGNjBVfvpbbbrWGHCikodPABpc"
#define OTHER_ACCOUNT "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static struct imsg_error err;

static enum imsg_status verify(const json_t *record, const char *account)
{
    struct imsg_device device = {0};
    enum imsg_status status = imsg_device_from_json((json_t *)(uintptr_t)record, &device, &err);
    if (status == IMSG_OK)
        status = imsg_device_verify(&device, account, &err);
    imsg_device_free(&device);
    return status;
}

static void test_proofs(const json_t *proofs)
{
    const json_t *vector;
    size_t i, others = 0;
    json_array_foreach (vector_member(proofs, "positive"), i, vector)
        for (int known = 0; known < 2; known++)
            tap_status(verify(vector_member(vector, "record"), known ? ACCOUNT : NULL), IMSG_OK, &err, "%s: %s",
                       vector_string(vector, "id"), vector_string(vector, "desc"));
    tap_ok(i > 0, "%zu that hold", i);
    json_array_foreach (vector_member(proofs, "with_account"), i, vector) {
        const json_t *record = vector_member(vector, "record");
        const char *id = vector_string(vector, "id");
        tap_status(verify(record, NULL), IMSG_OK, &err, "%s: no account known", id);
        tap_status(verify(record, vector_string(record, "account")), IMSG_OK, &err, "%s: its account", id);
        tap_status(verify(record, OTHER_ACCOUNT), IMSG_REFUSED, &err, "%s: another account", id);
    }
    tap_ok(i > 0, "%zu that hold for their account", i);
    json_array_foreach (vector_member(proofs, "negative"), i, vector) {
        enum imsg_status status = verify(vector_member(vector, "record"), NULL);
        if (status == IMSG_OK) { /* what fails is its account */
            others++;
            status = verify(vector_member(vector, "record"), OTHER_ACCOUNT);
        }
        tap_ok(status == IMSG_REFUSED || status == IMSG_BAD_SIGNATURE || status == IMSG_MALFORMED, "%s: %s: %s (%s)",
               vector_string(vector, "id"), vector_string(vector, "desc"), imsg_status_name(status), err.text);
    }
    tap_ok(i > 0 && others == 1, "%zu that fail, one of them for another account alone", i);
}

static void test_groups(const json_t *groups)
{
    const json_t *vector;
    size_t i;
    json_array_foreach (groups, i, vector) {
        const json_t *participants = vector_member(vector, "participants"), *participant;
        const char *handles[8];
        size_t k;
        char id[37] = "";
        json_array_foreach (participants, k, participant)
            handles[k % 8] = json_string_value(participant);
        tap_status(imsg_group_id(handles, k, vector_string(vector, "name"), id, &err), IMSG_OK, &err, "group %zu", i);
        tap_ok(strcmp(id, vector_string(vector, "id")) == 0, "its id is %s", id);
        struct imsg_message message = {.from = handles[0],
                                       .to = (char *const *)(uintptr_t)(k > 1 ? handles + 1 : handles),
                                       .to_count = k > 1 ? k - 1 : 1,
                                       .group_id = id,
                                       .group_name = vector_string(vector, "name")};
        tap_ok(imsg_message_group_fits(&message), "which a message of these participants may have");
        message.receipt = "read";
        tap_ok(!imsg_message_group_fits(&message), "a receipt may not");
        message.receipt = NULL;
        message.from = "mailto:mallory@example.com";
        tap_ok(!imsg_message_group_fits(&message), "nor a message from somebody else");
    }
    tap_ok(i > 0, "%zu groups", i);
}

static void test_commitments(const json_t *commitments)
{
    const json_t *vector;
    size_t i;
    json_array_foreach (commitments, i, vector) {
        struct imsg_stream_line line = {0};
        struct imsg_stream *stream = NULL;
        struct imsg_trace trace = {0};
        struct imsg_buf chunk_key = {0};
        uint8_t key[32], commitment[32];
        vector_hex_fixed(vector, "stream_key", key, sizeof key);
        vector_hex_fixed(vector, "commitment", commitment, sizeof commitment);
        vector_hex(vector, "chunk_key", &chunk_key);
        tap_status(imsg_stream_commit(vector_string(vector, "uuid"), key, &line, &err), IMSG_OK, &err, "commitment %zu",
                   i);
        tap_bytes(imsg_view_of(line.commitment, 32), imsg_view_of(commitment, 32), "is the vector's");
        tap_status(imsg_stream_new_traced(key, &line, &trace, &stream, &err), IMSG_OK, &err, "a stream of this key");
        const struct imsg_step *step = imsg_trace_find(&trace, "chunk_key", IMSG_STEP_VALUE);
        tap_ok(step && imsg_view_equal(imsg_buf_view(&step->bytes), imsg_buf_view(&chunk_key)), "and its chunks' key");
        imsg_stream_free(stream);
        imsg_trace_free(&trace);
        imsg_buf_free(&chunk_key);
        key[31] ^= 1;
        tap_status(imsg_stream_new(key, &line, &stream, &err), IMSG_REFUSED, &err, "another key is refused");
    }
    tap_ok(i > 0, "%zu commitments", i);
}

/* ---- records made here ---- */

static const char *const handles[] = {"mailto:alice@example.com", "tel:+15551234567"};

static void test_made(void)
{
    struct imsg_identity identity = {0};
    struct imsg_device device = {0}, cut = {0}, again = {0};
    struct imsg_buf line = {0};
    tap_status(imsg_identity_generate(handles, 2, "laptop", NULL, &identity, &err), IMSG_OK, &err, "an identity");
    tap_status(imsg_identity_set_account(&identity, "none", &err), IMSG_MALFORMED, &err, "no thumbprint");
    tap_status(imsg_identity_set_account(&identity, ACCOUNT, &err), IMSG_OK, &err, "an account");
    tap_status(imsg_identity_device(&identity, &device, &err), IMSG_OK, &err, "its record");
    tap_status(imsg_device_verify(&device, ACCOUNT, &err), IMSG_OK, &err, "verifies for its account");
    tap_status(imsg_device_verify(&device, OTHER_ACCOUNT, &err), IMSG_REFUSED, &err, "not for another");
    tap_status(imsg_device_print(&device, handles[1], &line, &err), IMSG_OK, &err, "cut to the second handle");
    tap_status(imsg_device_parse(imsg_view_of(line.ptr, line.len - 1), &cut, &err), IMSG_OK, &err, "is a record");
    tap_ok(cut.handle_count == 1 && cut.proof_count == 1, "with one handle and one proof");
    tap_status(imsg_device_verify(&cut, NULL, &err), IMSG_OK, &err, "which still verifies");
    tap_ok(!imsg_device_equal(&device, &cut), "cut: another record");
    tap_status(imsg_identity_device(&identity, &again, &err), IMSG_OK, &err, "made again");
    tap_ok(imsg_device_equal(&device, &again), "it says the same");
    tap_ok(!json_equal(json_object_get(device.json, "proofs"), json_object_get(again.json, "proofs")),
           "with other proofs");
    imsg_buf_free(&line);
    imsg_device_free(&again);
    imsg_device_free(&cut);
    imsg_device_free(&device);
    imsg_identity_free(&identity);
}

/* What would be refused when it is read is not written. */
static void test_written(void)
{
    static const struct imsg_member row[] = {IMSG_ROW("account", THUMBPRINT, REQUIRED, 0), {0}};
    const char *text = ACCOUNT;
    json_t *object = json_object();
    tap_status(imsg_members_write(row, &text, object, &err), IMSG_OK, &err, "a thumbprint is written");
    text = "not a thumbprint";
    tap_status(imsg_members_write(row, &text, object, &err), IMSG_MALFORMED, &err, "another text is not");
    json_decref(object);
}

int main(void)
{
    json_t *json = vector_load("documents");
    test_proofs(vector_member(json, "proofs"));
    test_groups(vector_member(json, "groups"));
    test_commitments(vector_member(json, "commitments"));
    test_made();
    test_written();
    json_decref(json);
    return tap_done();
}
