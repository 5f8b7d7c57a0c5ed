#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "base/json.h"
#include "crypto/crypto.h"

#define PAINT 0x5A
#define SECURE_HEAP 65536 /* all of it: lib/crypto/start.c */

/* LeakSanitizer's, where it is. */
void __lsan_register_root_region(const void *start, size_t size) __attribute__((weak));

/* OpenSSL's random generator is on its secure heap, where LeakSanitizer looks for pointers only if it is told to. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    imsg_crypto_start_process();
    void *heap = OPENSSL_secure_malloc(SECURE_HEAP);
    if (heap && __lsan_register_root_region)
        __lsan_register_root_region(heap, SECURE_HEAP);
    OPENSSL_secure_free(heap);
    return 0;
}

struct imsg_error fuzz_err;

void fuzz_broken(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

void fuzz_must_ok(const char *file, int line, enum imsg_status status, const struct imsg_error *err)
{
    if (status != IMSG_OK) {
        fprintf(stderr, "%s: %s\n", imsg_status_name(status), err->text);
        fuzz_broken(file, line, "the call succeeds");
    }
}

void fuzz_refused(enum imsg_status status, const struct imsg_error *err, size_t size)
{
    switch (status) {
    case IMSG_MALFORMED:
    case IMSG_UNSUPPORTED:
    case IMSG_BAD_SIGNATURE:
    case IMSG_NOT_FOR_THIS_KEY:
    case IMSG_BAD_TAG:
    case IMSG_REFUSED:
    case IMSG_TOO_LONG:
    case IMSG_PERMISSION:
    case IMSG_CONFIG:
        break;
    default:
        fprintf(stderr, "%s: %s\n", imsg_status_name(status), err->text);
        fuzz_broken(__FILE__, __LINE__, "the input is to blame");
    }
    MUST(err->status == status);
    MUST(err->text[0] != 0 && memchr(err->text, 0, sizeof err->text) != NULL);
    MUST(!err->has_offset || err->offset <= size);
}

void fuzz_refused_document(enum imsg_status status, const struct imsg_error *err, struct imsg_view document)
{
    json_t *object = NULL;
    fuzz_refused(status, err, document.len);
    if (err->has_offset)
        MUST(imsg_json_parse(document, SIZE_MAX, &object, NULL) != IMSG_OK);
}

void fuzz_paint(void *out, size_t len)
{
    memset(out, PAINT, len);
}

bool fuzz_untouched(const void *out, size_t len)
{
    const uint8_t *bytes = out;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != PAINT)
            return false;
    }
    return true;
}

void fuzz_lies_within(const struct imsg_layout *layout, size_t size)
{
    struct imsg_field outer = {0, size};
    MUST(!layout->incomplete);
    for (size_t i = 0; i < layout->count; i++) {
        const struct imsg_layout_part *part = &layout->parts[i];
        MUST(part->name[0] && part->at.offset <= size && part->at.len <= size - part->at.offset);
        if (!part->inside)
            outer = part->at;
        MUST(part->at.offset >= outer.offset && part->at.offset + part->at.len <= outer.offset + outer.len);
    }
}

void fuzz_covers(const struct imsg_layout *layout, size_t size)
{
    size_t at = 0;
    fuzz_lies_within(layout, size);
    for (size_t i = 0; i < layout->count; i++)
        if (!layout->parts[i].inside) {
            MUST(layout->parts[i].at.offset == at);
            at += layout->parts[i].at.len;
        }
    MUST(at == size);
}

bool fuzz_mode(struct imsg_view *input, char mode)
{
    bool is = input->len > 0 && input->ptr[0] == (uint8_t)mode;
    if (is)
        fuzz_take(input, 1);
    return is;
}

struct imsg_view fuzz_take(struct imsg_view *input, size_t len)
{
    struct imsg_view taken = imsg_view_of(input->ptr, len < input->len ? len : input->len);
    *input = imsg_view_of(input->ptr + taken.len, input->len - taken.len);
    return taken;
}

char *fuzz_string(struct imsg_view bytes)
{
    char *text = malloc(bytes.len + 1);
    MUST(text != NULL);
    memcpy(text, bytes.ptr, bytes.len);
    text[bytes.len] = 0;
    return text;
}

bool fuzz_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : !a && !b;
}
