/* identity/1, a device's private file (lib/format/identity.c), read without a passphrase.
 * max_len 8192 */
#include "base/json.h"
#include "crypto/crypto.h"
#include "fuzz.h"

static bool same_key(const struct imsg_p256 *a, const struct imsg_p256 *b)
{
    return a && b ? memcmp(imsg_p256_scalar(a), imsg_p256_scalar(b), 32) == 0 : !a && !b;
}

static void prints_the_same(const struct imsg_identity *first)
{
    struct imsg_identity second;
    struct imsg_buf file = {0}, again = {0};
    MUST_OK(imsg_identity_print(first, &file, &fuzz_err));
    MUST_OK(imsg_identity_parse(imsg_buf_view(&file), imsg_view_str(""), &second, &fuzz_err));
    MUST(first->has_pair == second.has_pair && first->has_pair_ec == second.has_pair_ec);
    MUST(same_key(first->signing, second.signing) && same_key(first->device, second.device));
    MUST(same_key(first->prekey, second.prekey) && memcmp(first->token, second.token, IMSG_TOKEN) == 0);
    MUST(!first->has_pair || memcmp(first->identity.raw, second.identity.raw, IMSG_PUBLIC_IDENTITY) == 0);
    MUST(first->handle_count == second.handle_count && first->retired_count == second.retired_count);
    MUST_OK(imsg_identity_print(&second, &again, &fuzz_err));
    MUST(imsg_view_equal(imsg_buf_view(&file), imsg_buf_view(&again)));
    imsg_identity_free(&second);
    imsg_buf_free(&again);
    imsg_buf_free(&file);
}

/* Nothing in the file was passed over. */
static void holds_all(const struct imsg_identity *identity, struct imsg_view file)
{
    json_t *object = NULL;
    MUST_OK(imsg_json_parse(file, SIZE_MAX, &object, &fuzz_err));
    const json_t *keys = json_object_get(object, "keys");
    MUST(json_array_size(json_object_get(object, "retired")) == identity->retired_count);
    MUST(json_array_size(json_object_get(object, "handles")) == identity->handle_count);
    MUST(!json_object_get(keys, "encryption") == !identity->has_pair);
    MUST(!json_object_get(keys, "device") == !identity->has_pair_ec);
    json_decref(object);
}

/* A good identity has a good public record, but for the prekey's signature, which nobody checked. */
static void has_record(const struct imsg_identity *identity)
{
    struct imsg_device device;
    MUST_OK(imsg_identity_device(identity, &device, &fuzz_err));
    MUST(memcmp(device.token, identity->token, IMSG_TOKEN) == 0);
    imsg_device_free(&device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imsg_identity identity;
    struct imsg_error err = {0};
    fuzz_paint(&identity, sizeof identity);
    enum imsg_status status = imsg_identity_parse(imsg_view_of(data, size), imsg_view_str(""), &identity, &err);
    if (status != IMSG_OK) {
        fuzz_refused_document(status, &err, imsg_view_of(data, size));
        MUST(fuzz_untouched(&identity, sizeof identity));
        return 0;
    }
    for (size_t i = 0; i < identity.retired_count; i++) {
        struct imsg_p256 *key = NULL;
        status = imsg_identity_retired(&identity, i, &key, &err);
        MUST(status == IMSG_OK ? key != NULL : status == IMSG_MALFORMED || status == IMSG_PERMISSION);
    }
    holds_all(&identity, imsg_view_of(data, size));
    prints_the_same(&identity);
    has_record(&identity);
    imsg_identity_free(&identity);
    return 0;
}
