/* tests/vectors for the unit tests: their JSON, the devices of keys.json, and a random source that serves what a vector
 * fixes. A file that is not as expected ends the program: a test that reads nothing must not pass. */
#ifndef VECTOR_H
#define VECTOR_H

#include <jansson.h>

#include "imsg.h"

/* tests/vectors/NAME.json, seen from the working directory or from $IMSG_VECTORS. */
json_t *vector_load(const char *name);
/* A member that must be there. */
const json_t *vector_member(const json_t *object, const char *member);
const char *vector_string(const json_t *object, const char *member);
/* vector_string, or `otherwise` where it is absent. */
const char *vector_string_or(const json_t *object, const char *member, const char *otherwise);
/* Replace *out by the bytes of a hex member. */
void vector_hex(const json_t *object, const char *member, struct imsg_buf *out);
/* Exactly len bytes. */
void vector_hex_fixed(const json_t *object, const char *member, uint8_t *out, size_t len);
/* The status of a failure class ("malformed", …) or of "ok". */
enum imsg_status vector_class(const char *name);
/* True if `got` is the vector's expect, or one of its also_ok (then *also is true). */
bool vector_allows(const json_t *vector, enum imsg_status got, bool *also);

/* One device of keys.json. */
struct vector_device {
    char name[32];
    struct imsg_p256 *signing, *device, *prekey; /* device and prekey compact (format.md §3) */
    struct imsg_rsa *encryption;
    struct imsg_public_identity identity;
    struct imsg_prekey record;
};
/* The four devices, read at the first call. */
const struct vector_device *vector_device(const char *name);
void vector_devices_free(void);
/* A P-256 key from a PEM member, made compact. */
struct imsg_p256 *vector_p256(const json_t *object, const char *member);

/* From now on OpenSSL's randomness is ours: real, but for what is queued. A request is served from the queue only if it
 * has exactly the length at the queue's head, so that blinding and the like do not eat it. */
void vector_random_start(void);
void vector_random_queue(const void *bytes, size_t len);
/* Queued requests not yet served; drops them. */
size_t vector_random_left(void);

#endif
