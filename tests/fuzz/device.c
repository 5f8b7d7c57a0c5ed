/* device/1, the public record (lib/format/device.c).
 * max_len 4096 */
#include <jansson.h>

#include "fuzz.h"

static void prints_the_same(const struct imsg_device *first)
{
    struct imsg_device second;
    struct imsg_buf line = {0};
    MUST_OK(imsg_device_print(first, NULL, &line, &fuzz_err));
    MUST(line.len > 0 && memchr(line.ptr, '\n', line.len) == line.ptr + line.len - 1);
    MUST_OK(imsg_device_parse(imsg_buf_view(&line), &second, &fuzz_err));
    MUST(json_equal(first->json, second.json));
    MUST(first->handle_count == second.handle_count && first->limit == second.limit);
    MUST(fuzz_same(first->name, second.name) && fuzz_same(first->relay, second.relay));
    MUST(memcmp(first->token, second.token, IMSG_TOKEN) == 0 && memcmp(first->auth, second.auth, 65) == 0);
    imsg_device_free(&second);

    const char *last = first->handles[first->handle_count - 1];
    imsg_buf_clear(&line);
    MUST_OK(imsg_device_print(first, last, &line, &fuzz_err));
    MUST_OK(imsg_device_parse(imsg_buf_view(&line), &second, &fuzz_err));
    MUST(second.handle_count == 1 && fuzz_same(second.handles[0], last));
    imsg_device_free(&second);
    imsg_buf_free(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imsg_device device;
    struct imsg_error err = {0};
    fuzz_paint(&device, sizeof device);
    enum imsg_status status = imsg_device_parse(imsg_view_of(data, size), &device, &err);
    if (status != IMSG_OK) {
        fuzz_refused_document(status, &err, imsg_view_of(data, size));
        MUST(fuzz_untouched(&device, sizeof device));
        return 0;
    }
    MUST(device.has_pair || device.has_pair_ec);
    MUST((imsg_device_offers(&device, imsg_format_of("pair")) ||
          imsg_device_offers(&device, imsg_format_of("pair-ec"))) &&
         device.limit > 0);
    for (size_t i = 0; i < device.handle_count; i++)
        MUST(imsg_handle_is_canonical(device.handles[i]) && imsg_device_has_handle(&device, device.handles[i]));
    status = imsg_device_check(&device, &err);
    MUST(status == IMSG_OK || (device.has_pair_ec && (status == IMSG_MALFORMED || status == IMSG_BAD_SIGNATURE)));
    prints_the_same(&device);
    imsg_device_free(&device);
    return 0;
}
