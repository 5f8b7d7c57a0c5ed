/* entry/1, the signed devices of alice@example.com (lib/format/entry.c).
 *   P payload              signed here, by carol's signing key of tests/vectors
 * max_len 8192 */
#include "crypto/crypto.h"
#include "format/jws.h"
#include "fuzz.h"
#include "../unit/vector.h"

#define HANDLE "mailto:alice@example.com"
#define NOW 1795000000 /* 2026-11-18 */

/* The entry that follows this one, by the same account: what was pinned accepts it, and not the other way round. */
static void can_be_followed(const struct imsg_entry *first, const struct imsg_p256 *account)
{
    struct imsg_entry second;
    struct imsg_buf file = {0};
    struct imsg_pin pin = {.seq = first->seq};
    memcpy(pin.hash, first->hash, sizeof pin.hash);
    memcpy(pin.thumbprint, first->thumbprint, sizeof pin.thumbprint);
    MUST_OK(imsg_pin_check(&pin, first, &fuzz_err));
    enum imsg_status status = imsg_entry_sign(account, first, first, &file, &fuzz_err);
    MUST(status == (first->seq == (UINT64_C(1) << 53) - 1 ? IMSG_REFUSED : IMSG_OK));
    if (status == IMSG_OK) {
        MUST_OK(imsg_entry_parse(imsg_buf_view(&file), HANDLE, NOW, &second, &fuzz_err));
        MUST(second.seq == first->seq + 1 && second.has_prev && memcmp(second.prev, first->hash, 32) == 0);
        MUST(second.devices.count == first->devices.count);
        MUST_OK(imsg_pin_check(&pin, &second, &fuzz_err));
        pin.seq = second.seq;
        memcpy(pin.hash, second.hash, sizeof pin.hash);
        MUST(imsg_pin_check(&pin, first, NULL) == IMSG_ROLLBACK);
        imsg_entry_free(&second);
    }
    imsg_buf_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct imsg_p256 *carol = vector_device("carol")->signing;
    struct imsg_view input = imsg_view_of(data, size);
    struct imsg_buf file = {0};
    struct imsg_entry entry;
    struct imsg_error err = {0};
    bool ours = fuzz_mode(&input, 'P');
    if (ours)
        MUST_OK(imsg_jws_sign(carol, input, &file, &fuzz_err));
    fuzz_paint(&entry, sizeof entry);
    enum imsg_status status = imsg_entry_parse(ours ? imsg_buf_view(&file) : input, HANDLE, NOW, &entry, &err);
    if (status != IMSG_OK)
        fuzz_refused_document(status, &err, ours ? imsg_buf_view(&file) : input);
    imsg_buf_free(&file);
    if (status != IMSG_OK) {
        MUST(!(ours && status == IMSG_BAD_SIGNATURE) && fuzz_untouched(&entry, sizeof entry));
        return 0;
    }
    MUST(fuzz_same(entry.handle, HANDLE) && entry.seq > 0 && entry.devices.count <= IMSG_DEVICES_MAX);
    MUST(strlen(entry.thumbprint) == IMSG_THUMBPRINT);
    for (size_t i = 0; i < entry.devices.count; i++)
        MUST(imsg_device_has_handle(&entry.devices.items[i], HANDLE));
    if (ours)
        can_be_followed(&entry, carol);
    imsg_entry_free(&entry);
    return 0;
}
