/* tests/vectors/documents.json: proofs in device records. And the proofs of records made here. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
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

static void test_vectors(const json_t *proofs)
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

int main(void)
{
    json_t *json = vector_load("documents");
    test_vectors(vector_member(json, "proofs"));
    test_made();
    json_decref(json);
    return tap_done();
}
