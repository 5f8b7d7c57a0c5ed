/* Bearer tokens: ours, one that the npm package jose made, and every way to be wrong that imsg-serve(1) names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/bearer.h"
#include "tap.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define ORIGIN "https://relay.example:8443"
#define NOW 1795000000

static struct imsg_error err;
static struct imsg_p256 *key, *other;
static char jwk[160], iss[65];

static void must(enum imsg_status status)
{
    if (status != IMSG_OK) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }
}

static void add(struct imsg_buf *out, const char *before, const void *bytes, size_t len)
{
    must(imsg_buf_text(out, before, &err));
    must(imsg_base64url_encode(imsg_view_of(bytes, len), out, &err));
}

/* A compact JWS by `key`, whatever header and claims say. */
static void sign(const char *header, const char *claims, struct imsg_buf *out)
{
    uint8_t digest[32], signature[64];
    imsg_buf_clear(out);
    add(out, "", header, strlen(header));
    add(out, ".", claims, strlen(claims));
    must(imsg_sha256(imsg_buf_view(out), digest, &err));
    must(imsg_p256_sign(key, imsg_view_of(digest, sizeof digest), signature, &err));
    add(out, ".", signature, sizeof signature);
}

static void start(void)
{
    struct imsg_buf x = {0}, y = {0};
    uint8_t token[32];
    must(imsg_p256_generate(&key, &err));
    must(imsg_p256_generate(&other, &err));
    must(imsg_base64url_encode(imsg_view_of(imsg_p256_point(key) + 1, 32), &x, &err));
    must(imsg_base64url_encode(imsg_view_of(imsg_p256_point(key) + 33, 32), &y, &err));
    snprintf(jwk, sizeof jwk, "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"", (char *)x.ptr,
             (char *)y.ptr);
    must(imsg_sha256(imsg_view_of(imsg_p256_point(key), 65), token, &err));
    imsg_hex(token, sizeof token, iss);
    imsg_buf_free(&x);
    imsg_buf_free(&y);
}

static void test_round_trip(void)
{
    struct imsg_buf text = {0};
    struct imsg_bearer bearer;
    uint8_t token[32];
    char audience[300];
    must(imsg_buf_text(&text, "before", &err));
    if (!tap_status(imsg_bearer_make(key, ORIGIN, NOW, &text, &err), IMSG_OK, &err, "make"))
        return;
    tap_ok(memcmp(text.ptr, "before", 6) == 0, "make appends");
    tap_status(imsg_bearer_parse(imsg_view_of(text.ptr + 6, text.len - 6), &bearer, &err), IMSG_OK, &err, "parse");
    must(imsg_hex_decode(imsg_view_str(iss), token, sizeof token, &err));
    tap_bytes(imsg_view_of(bearer.token, 32), imsg_view_of(token, 32), "its token");
    tap_ok(strcmp(bearer.audience, ORIGIN) == 0 && bearer.issued == NOW, "its audience and time");
    tap_ok(bearer.expires == INT64_MAX && bearer.not_before == INT64_MIN, "neither exp nor nbf");
    memset(audience, 'a', sizeof audience);
    for (size_t len = 255; len <= 256; len++) {
        audience[len] = 0;
        imsg_buf_clear(&text);
        tap_status(imsg_bearer_make(key, audience, NOW, &text, &err), len == 255 ? IMSG_OK : IMSG_TOO_LONG, &err,
                   "an audience of %zu bytes", len);
        if (len == 255)
            tap_status(imsg_bearer_parse(imsg_buf_view(&text), &bearer, &err), IMSG_OK, &err, "and back");
        audience[len] = 'a';
    }
    imsg_buf_free(&text);
}

/* jose 5.10 on Node 20: SignJWT with typ, jti, exp and nbf, members in its own order. */
static void test_jose(void)
{
    static const char text[] = "eyJ0eXAiOiJKV1QiLCJqd2siOnsia3R5IjoiRUMiLCJ4IjoidHkwLWFhamFzSUhpdms4NzNOWGlFcGpwWS1DZmN"
                               "hcklKbC1mLW1FVi1COCIsInki"
                               "OiIydVEzQXFGLU05WExkeTdmVG11c01FYkVNNk00amU4ZEZvUmZEQzkwS2hJIiwiY3J2IjoiUC0yNTYifSwiYWx"
                               "nIjoiRVMyNTYifQ.eyJqdGkiO"
                               "iJhLTEiLCJpYXQiOjE3OTUwMDAwMDAsImV4cCI6MTc5NTAwMDMwMCwibmJmIjoxNzk0OTk5OTkwLCJpc3MiOiJk"
                               "YWVkODBmYjNmNTc3NzgyZjgzZ"
                               "GM5NjhlNDBiZmIwM2I0Zjg3OTMyZGMyNDk2YzQxNGQwYmM3ZTg0MWQ0ODgzIiwiYXVkIjoiaHR0cHM6Ly9yZWxh"
                               "eS5leGFtcGxlOjg0NDMifQ.nx"
                               "REvAgk3KDYkrj-IkOv_v4JRWXLmZZAYkf_ji8kybi6jWHA4FtelsvSNNmXHmf0AEJ_-njNVgBM4WZl5PAsFg";
    char changed[sizeof text], hex[65];
    struct imsg_bearer bearer;
    size_t accepted = 0;
    if (!tap_status(imsg_bearer_parse(imsg_view_str(text), &bearer, &err), IMSG_OK, &err, "a token made by jose"))
        return;
    imsg_hex(bearer.token, sizeof bearer.token, hex);
    tap_ok(strcmp(hex, "daed80fb3f577782f83dc968e40bfb03b4f87932dc2496c414d0bc7e841d4883") == 0, "jose: iss");
    tap_ok(strcmp(bearer.audience, ORIGIN) == 0 && bearer.issued == NOW, "jose: aud, iat");
    tap_ok(bearer.expires == NOW + 300 && bearer.not_before == NOW - 10, "jose: exp, nbf");
    for (size_t i = 0; i < strlen(text); i++) {
        memcpy(changed, text, sizeof text);
        changed[i] = text[i] == 'A' ? 'B' : 'A';
        accepted += imsg_bearer_parse(imsg_view_str(changed), &bearer, NULL) == IMSG_OK;
        accepted += imsg_bearer_parse(imsg_view_of(text, i), &bearer, NULL) == IMSG_OK;
    }
    tap_ok(accepted == 0, "no character of it may change, nor the end be missing");
}

/* %J in a header is the jwk's members, %I in claims the right iss. */
static void expand(const char *from, char *to, size_t size)
{
    size_t len = 0;
    for (; *from; from++) {
        if (from[0] == '%' && (from[1] == 'J' || from[1] == 'I'))
            len += (size_t)snprintf(to + len, size - len, "%s", *++from == 'J' ? jwk : iss);
        else
            to[len++] = *from;
    }
    to[len] = 0;
}

#define HEADER "{\"alg\":\"ES256\",\"jwk\":{%J}}"
#define CLAIMS "{\"iss\":\"%I\",\"aud\":\"" ORIGIN "\",\"iat\":1795000000}"

static void test_members(void)
{
    static const struct {
        const char *header, *claims;
        enum imsg_status want;
    } cases[] = {
        {HEADER, CLAIMS, IMSG_OK},
        {" {\"jwk\" : {%J},\n\"alg\":\"ES256\"} ", CLAIMS, IMSG_OK},
        {"{\"alg\":\"ES256\",\"typ\":\"JWT\",\"jwk\":{%J}}", CLAIMS, IMSG_OK},
        {HEADER, "{\"iss\":\"%I\",\"aud\":\"a\",\"iat\":0,\"jti\":\"x\",\"more\":[1,{}]}", IMSG_OK},
        {"", CLAIMS, IMSG_MALFORMED},
        {"{}", CLAIMS, IMSG_MALFORMED},
        {"[]", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"none\",\"jwk\":{%J}}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"HS256\",\"jwk\":{%J}}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"es256\",\"jwk\":{%J}}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":256,\"jwk\":{%J}}", CLAIMS, IMSG_MALFORMED},
        {"{\"jwk\":{%J}}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"ES256\"}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"ES256\",\"typ\":\"JWT\"}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"ES256\",\"typ\":\"jwt\",\"jwk\":{%J}}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"ES256\",\"typ\":1,\"jwk\":{%J}}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"ES256\",\"alg\":\"ES256\",\"jwk\":{%J}}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"ES256\",\"jwk\":{%J},\"crit\":[\"b64\"]}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"ES256\",\"jwk\":{%J},\"b64\":true}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"ES256\",\"jwk\":{%J},\"kid\":\"1\"}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"ES256\",\"jwk\":{%J},\"jku\":\"https://a.example\"}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"ES256\",\"jwk\":{%J,\"d\":\"AA\"}}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"ES256\",\"jwk\":{%J,\"kid\":\"1\"}}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"ES256\",\"jwk\":{%J,\"kty\":\"EC\"}}", CLAIMS, IMSG_MALFORMED},
        {"{\"alg\":\"ES256\",\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}}", CLAIMS,
         IMSG_MALFORMED},
        {"{\"alg\":\"ES256\",\"jwk\":\"\"}", CLAIMS, IMSG_MALFORMED},
        {HEADER, "", IMSG_MALFORMED},
        {HEADER, "[]", IMSG_MALFORMED},
        {HEADER, "{}", IMSG_MALFORMED},
        {HEADER, "{\"iss\":\"00\",\"aud\":\"a\",\"iat\":0}", IMSG_MALFORMED},
        {HEADER,
         "{\"iss\":\"0000000000000000000000000000000000000000000000000000000000000000\",\"aud\":\"a\",\"iat\":0}",
         IMSG_MALFORMED},
        {HEADER, "{\"aud\":\"a\",\"iat\":0}", IMSG_MALFORMED},
        {HEADER, "{\"iss\":\"%I\",\"iat\":0}", IMSG_MALFORMED},
        {HEADER, "{\"iss\":\"%I\",\"aud\":[\"a\"],\"iat\":0}", IMSG_MALFORMED},
        {HEADER, "{\"iss\":\"%I\",\"aud\":\"a\\u0000b\",\"iat\":0}", IMSG_MALFORMED},
        {HEADER, "{\"iss\":\"%I\",\"aud\":\"a\"}", IMSG_MALFORMED},
        {HEADER, "{\"iss\":\"%I\",\"aud\":\"a\",\"iat\":\"0\"}", IMSG_MALFORMED},
        {HEADER, "{\"iss\":\"%I\",\"aud\":\"a\",\"iat\":0.5}", IMSG_MALFORMED},
        {HEADER, "{\"iss\":\"%I\",\"aud\":\"a\",\"iat\":-1}", IMSG_MALFORMED},
        {HEADER, "{\"iss\":\"%I\",\"aud\":\"a\",\"iat\":9007199254740992}", IMSG_MALFORMED},
        {HEADER, "{\"iss\":\"%I\",\"aud\":\"a\",\"iat\":0,\"exp\":\"1\"}", IMSG_MALFORMED},
        {HEADER, "{\"iss\":\"%I\",\"aud\":\"a\",\"iat\":0,\"nbf\":null}", IMSG_MALFORMED},
        {HEADER, "{\"iss\":\"%I\",\"aud\":\"a\",\"iat\":0,\"iat\":0}", IMSG_MALFORMED},
        {HEADER, CLAIMS "x", IMSG_MALFORMED},
    };
    struct imsg_buf text = {0};
    struct imsg_bearer bearer, untouched;
    char header[1024], claims[1024];
    memset(&untouched, 0x5a, sizeof untouched);
    for (size_t i = 0; i < COUNT(cases); i++) {
        expand(cases[i].header, header, sizeof header);
        expand(cases[i].claims, claims, sizeof claims);
        sign(header, claims, &text);
        bearer = untouched;
        tap_status(imsg_bearer_parse(imsg_buf_view(&text), &bearer, &err), cases[i].want, &err, "%s . %s",
                   cases[i].header, cases[i].claims);
        if (cases[i].want != IMSG_OK)
            tap_ok(memcmp(&bearer, &untouched, sizeof bearer) == 0, "and nothing is handed out");
    }
    imsg_buf_free(&text);
}

static void test_text(void)
{
    struct imsg_buf good = {0}, text = {0};
    struct imsg_bearer bearer;
    uint8_t digest[32], signature[64];
    static const char *const odd[] = {"", ".", "..", "...", "a", "a.b", "e30.e30.e30", "\"\""};
    for (size_t i = 0; i < COUNT(odd); i++)
        tap_status(imsg_bearer_parse(imsg_view_str(odd[i]), &bearer, &err), IMSG_MALFORMED, &err, "the text '%s'",
                   odd[i]);
    must(imsg_bearer_make(key, ORIGIN, NOW, &good, &err));
    static const char *const after[] = {".", ".AA", "=", " ", "\n", "AA"};
    for (size_t i = 0; i < COUNT(after); i++) {
        imsg_buf_clear(&text);
        must(imsg_buf_append(&text, good.ptr, good.len, &err));
        must(imsg_buf_text(&text, after[i], &err));
        tap_status(imsg_bearer_parse(imsg_buf_view(&text), &bearer, &err), IMSG_MALFORMED, &err, "'%s' after it",
                   after[i]);
    }
    while (text.len <= IMSG_BEARER_MAX)
        must(imsg_buf_text(&text, "A", &err));
    tap_status(imsg_bearer_parse(imsg_buf_view(&text), &bearer, &err), IMSG_MALFORMED, &err, "too long");
    /* Somebody else's signature over the very same bytes. */
    size_t covered = good.len;
    while (good.ptr[covered - 1] != '.')
        covered--;
    must(imsg_sha256(imsg_view_of(good.ptr, covered - 1), digest, &err));
    must(imsg_p256_sign(other, imsg_view_of(digest, sizeof digest), signature, &err));
    imsg_buf_clear(&text);
    must(imsg_buf_append(&text, good.ptr, covered, &err));
    add(&text, "", signature, sizeof signature);
    tap_status(imsg_bearer_parse(imsg_buf_view(&text), &bearer, &err), IMSG_BAD_SIGNATURE, &err,
               "another key's signature");
    imsg_buf_free(&good);
    imsg_buf_free(&text);
}

int main(void)
{
    start();
    test_round_trip();
    test_jose();
    test_members();
    test_text();
    imsg_p256_free(key);
    imsg_p256_free(other);
    return tap_done();
}
