/* Private keys in an identity, one at a time. */
#include "base/json.h"
#include "crypto/crypto.h"
#include "format/identity.h"

enum imsg_status imsg_identity_read_p256(const struct imsg_identity_file *file, const char *member, bool compact,
                                         struct imsg_p256 **out, struct imsg_error *err)
{
    const char *pem = NULL;
    enum imsg_status status = imsg_json_peek(file->keys, member, IMSG_OPTIONAL, &pem, err);
    if (status != IMSG_OK || !pem)
        return status;
    status = imsg_p256_from_pem(imsg_view_str(pem), file->passphrase, out, err);
    if (status == IMSG_OK && compact)
        status = imsg_p256_make_compact(*out, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "key \"%s\"", member);
    return status;
}

enum imsg_status imsg_identity_write_p256(const struct imsg_identity_file *file, const char *member,
                                          const struct imsg_p256 *key, struct imsg_error *err)
{
    struct imsg_buf pem = {0};
    enum imsg_status status = imsg_p256_to_pem(key, file->passphrase, &pem, err);
    if (status == IMSG_OK)
        status = imsg_json_set(file->keys, member, json_stringn((const char *)pem.ptr, pem.len), err);
    imsg_buf_free(&pem);
    return status;
}

enum imsg_status imsg_identity_retired(struct imsg_identity *identity, size_t i, struct imsg_p256 **out,
                                       struct imsg_error *err)
{
    struct imsg_retired *retired = &identity->retired[i];
    struct imsg_p256 *made = NULL, *there = __atomic_load_n(&retired->key, __ATOMIC_ACQUIRE);
    enum imsg_status status = IMSG_OK;
    if (!there) {
        status = imsg_p256_from_pem(imsg_view_str(retired->pem), imsg_buf_view(&identity->passphrase), &made, err);
        if (status == IMSG_OK)
            status = imsg_p256_make_compact(made, err);
        if (status != IMSG_OK) {
            imsg_error_prefix(err, "retired prekey %zu", i);
        } else if (__atomic_compare_exchange_n(&retired->key, &there, made, false, __ATOMIC_ACQ_REL,
                                               __ATOMIC_ACQUIRE)) {
            there = made;
            made = NULL;
        }
        imsg_p256_free(made); /* of no use, or another thread was first */
    }
    if (status == IMSG_OK)
        *out = there;
    return status;
}
