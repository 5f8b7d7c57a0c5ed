/* Bearer tokens: a device states its token, the server it speaks to and the time (RFC 7519). */
#include "format/bearer.h"

#include <string.h>

#include "crypto/crypto.h"
#include "format/document.h"
#include "format/jws.h"

enum imsg_status imsg_bearer_make(const struct imsg_p256 *auth, const char *audience, time_t now, struct imsg_buf *out,
                                  struct imsg_error *err)
{
    json_t *claims = json_object();
    struct imsg_buf payload = {0};
    uint8_t token[IMSG_TOKEN];
    size_t before = out->len;
    enum imsg_status status = imsg_token_of(imsg_p256_point(auth), token, err);
    if (status == IMSG_OK && strlen(audience) >= sizeof(((struct imsg_bearer *)0)->audience))
        status = imsg_fail(err, IMSG_TOO_LONG, "the origin \"%.64s…\" is too long", audience);
    if (status == IMSG_OK)
        status = imsg_json_set_hex(claims, "iss", imsg_view_of(token, sizeof token), err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(claims, "aud", audience, err);
    if (status == IMSG_OK)
        status = imsg_json_set(claims, "iat", json_integer((json_int_t)now), err);
    if (status == IMSG_OK)
        status = imsg_json_print(claims, &payload, err);
    if (status == IMSG_OK)
        status = imsg_jws_sign_compact(auth, imsg_buf_view(&payload), out, err);
    if (status == IMSG_OK && out->len - before > IMSG_BEARER_MAX) { /* JSON escapes make it longer */
        out->len = before;
        status = imsg_fail(err, IMSG_TOO_LONG, "the origin \"%.64s…\" is too long", audience);
    }
    imsg_buf_free(&payload);
    json_decref(claims);
    return status;
}

static enum imsg_status read_seconds(const json_t *claims, const char *member, enum imsg_need need, int64_t absent,
                                     int64_t *out, struct imsg_error *err)
{
    uint64_t value = 0;
    enum imsg_status status =
        imsg_json_integer(claims, member, need, (struct imsg_range){0, IMSG_JSON_INTEGER_MAX}, &value, err);
    if (status == IMSG_OK)
        *out = json_object_get(claims, member) ? (int64_t)value : absent;
    return status;
}

static enum imsg_status parse_claims(struct imsg_view payload, const uint8_t point[static 65], struct imsg_bearer *out,
                                     struct imsg_error *err)
{
    json_t *claims = NULL;
    const char *audience = NULL;
    uint8_t issuer[IMSG_TOKEN] = {0};
    enum imsg_status status = imsg_json_parse(payload, IMSG_BEARER_MAX, &claims, err);
    if (status == IMSG_OK)
        status = imsg_json_hex(claims, "iss", issuer, sizeof issuer, NULL, err);
    if (status == IMSG_OK)
        status = imsg_token_of(point, out->token, err);
    if (status == IMSG_OK && memcmp(issuer, out->token, sizeof issuer) != 0)
        status = imsg_fail(err, IMSG_MALFORMED, "iss is not the token of the key that signed");
    if (status == IMSG_OK)
        status = imsg_json_peek(claims, "aud", IMSG_REQUIRED, &audience, err);
    if (status == IMSG_OK && strlen(audience) >= sizeof out->audience)
        status = imsg_fail(err, IMSG_MALFORMED, "aud is too long");
    if (status == IMSG_OK)
        memcpy(out->audience, audience, strlen(audience) + 1);
    if (status == IMSG_OK)
        status = read_seconds(claims, "iat", IMSG_REQUIRED, 0, &out->issued, err);
    if (status == IMSG_OK)
        status = read_seconds(claims, "exp", IMSG_OPTIONAL, INT64_MAX, &out->expires, err);
    if (status == IMSG_OK)
        status = read_seconds(claims, "nbf", IMSG_OPTIONAL, INT64_MIN, &out->not_before, err);
    json_decref(claims);
    return status;
}

enum imsg_status imsg_bearer_parse(struct imsg_view text, struct imsg_bearer *out, struct imsg_error *err)
{
    struct imsg_bearer bearer = {0};
    struct imsg_buf payload = {0};
    uint8_t point[65];
    if (text.len > IMSG_BEARER_MAX)
        return imsg_fail(err, IMSG_MALFORMED, "bearer token: %zu bytes, at most %d", text.len, IMSG_BEARER_MAX);
    enum imsg_status status = imsg_jws_verify_compact(text, &payload, point, err);
    if (status == IMSG_OK)
        status = parse_claims(imsg_buf_view(&payload), point, &bearer, err);
    imsg_buf_free(&payload);
    if (status != IMSG_OK) {
        imsg_error_prefix(err, "bearer token");
        if (err)
            err->has_offset = false; /* the offset counts from the start of a part */
        return status;
    }
    *out = bearer;
    return IMSG_OK;
}
