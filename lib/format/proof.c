/* Proofs in device records (format.md §7): anybody can copy a public key into a record of his own, so the holder of the
 * keys signs each handle. The auth key signs first; a record with another key for "pair" beside its device key is
 * signed by that one, too, so that neither can be put beside somebody else's. */
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/device.h"

#define SIGNATURE 64

/* What is signed of a record; all of it borrowed. */
struct claim {
    const uint8_t *token;
    struct imsg_view identity, device_key; /* len 0: the record has none */
    const char *handle;
    const char *account; /* or NULL */
};

static void store_length(uint8_t out[static 4], size_t len)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(len >> (24 - 8 * i));
}

static enum imsg_status claim_digest(const struct claim *claim, uint8_t digest[static 32], struct imsg_error *err)
{
    struct imsg_buf account = {0};
    enum imsg_status status = IMSG_OK;
    if (claim->account)
        status = imsg_base64url_decode(imsg_view_str(claim->account), &account, err);
    const struct imsg_view fields[] = {claim->identity, claim->device_key, imsg_view_str(claim->handle),
                                       imsg_buf_view(&account)};
    struct imsg_view parts[2 + 2 * 4] = {imsg_view_str("imsg device/1 proof\n"),
                                         imsg_view_of(claim->token, IMSG_TOKEN)};
    uint8_t lengths[4][4];
    size_t count = 2;
    for (size_t i = 0; i < (claim->account ? 4 : 3); i++) {
        store_length(lengths[i], fields[i].len);
        parts[count++] = imsg_view_of(lengths[i], sizeof lengths[i]);
        parts[count++] = fields[i];
    }
    if (status == IMSG_OK)
        status = imsg_sha256_parts(parts, count, digest, err);
    imsg_buf_free(&account);
    return status;
}

enum imsg_status imsg_proof_make(const struct imsg_identity *identity, const char *handle, struct imsg_buf *out,
                                 struct imsg_error *err)
{
    struct claim claim = {.token = identity->token, .handle = handle, .account = identity->account};
    uint8_t digest[32], signature[SIGNATURE];
    if (identity->has_pair)
        claim.identity = imsg_view_of(identity->identity.raw, sizeof identity->identity.raw);
    if (identity->device)
        claim.device_key = imsg_view_of(identity->device_x, sizeof identity->device_x);
    const struct imsg_p256 *keys[] = {imsg_identity_signer(identity), NULL};
    if (identity->has_pair && identity->device)
        keys[1] = identity->signing;
    enum imsg_status status = claim_digest(&claim, digest, err);
    for (size_t i = 0; status == IMSG_OK && i < 2 && keys[i]; i++) {
        status = imsg_p256_sign(keys[i], imsg_view_of(digest, sizeof digest), signature, err);
        if (status == IMSG_OK)
            status = imsg_buf_append(out, signature, sizeof signature, err);
    }
    return status;
}

enum imsg_status imsg_proof_verify(const struct imsg_device *device, size_t i, struct imsg_error *err)
{
    struct claim claim = {.token = device->token, .handle = device->handles[i], .account = device->account};
    size_t count = device->has_pair && device->has_device_key ? 2 : 1;
    const uint8_t *points[] = {device->auth, device->identity.signing};
    uint8_t digest[32];
    if (i >= device->proof_count)
        return imsg_fail(err, IMSG_REFUSED, "no proof of %s", device->handles[i]);
    const struct imsg_buf *proof = &device->proofs[i];
    if (proof->len != count * SIGNATURE)
        return imsg_fail(err, IMSG_REFUSED, "the proof of %s has %zu bytes, not %zu", device->handles[i], proof->len,
                         count * SIGNATURE);
    if (device->has_pair)
        claim.identity = imsg_view_of(device->identity.raw, sizeof device->identity.raw);
    if (device->has_device_key)
        claim.device_key = imsg_view_of(device->device_x, sizeof device->device_x);
    enum imsg_status status = claim_digest(&claim, digest, err);
    for (size_t k = 0; status == IMSG_OK && k < count; k++) {
        status = imsg_p256_verify(points[k], imsg_view_of(digest, sizeof digest), proof->ptr + k * SIGNATURE, err);
        if (status == IMSG_BAD_SIGNATURE)
            status = imsg_fail(err, status, "the proof of %s does not verify", device->handles[i]);
    }
    return status;
}

static enum imsg_status verify_all(const struct imsg_device *device, const char *account, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (account && device->account && strcmp(device->account, account) != 0)
        return imsg_fail(err, IMSG_REFUSED, "it belongs to account key %s, not to %s", device->account, account);
    if (device->proof_count > device->handle_count)
        return imsg_fail(err, IMSG_REFUSED, "%zu proofs of %zu handles", device->proof_count, device->handle_count);
    bool *proven = &((struct imsg_device *)(uintptr_t)device)->proven; /* kept; other threads may do the same */
    for (size_t i = 0; !__atomic_load_n(proven, __ATOMIC_RELAXED) && status == IMSG_OK && i < device->handle_count; i++)
        status = imsg_proof_verify(device, i, err);
    if (status == IMSG_OK)
        __atomic_store_n(proven, true, __ATOMIC_RELAXED);
    return status == IMSG_OK ? imsg_device_check(device, err) : status;
}

enum imsg_status imsg_device_verify(const struct imsg_device *device, const char *account, struct imsg_error *err)
{
    char token[2 * IMSG_TOKEN + 1];
    enum imsg_status status = verify_all(device, account, err);
    if (status == IMSG_OK)
        return status;
    imsg_hex(device->token, IMSG_TOKEN, token);
    imsg_error_prefix(err, "device \"%s\" (token %.8s…) of %s", device->name ? device->name : "without a name", token,
                      device->handles[0]);
    return status;
}
