/* pins.json (lib/net/pins.c), in a folder of its own below TMPDIR.
 * max_len 2048 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"
#include "fuzz.h"
#include "imsg-net.h"

#define HANDLE "mailto:alice@example.com"

static char folder[256], path[sizeof folder + 16], lock[sizeof path + 16];

static void remove_folder(void)
{
    unlink(path);
    unlink(lock);
    rmdir(folder);
}

static void make_folder(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/imsg-pins-XXXXXX", base ? base : "/tmp");
    MUST(mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
    snprintf(path, sizeof path, "%s/pins.json", folder);
    snprintf(lock, sizeof lock, "%s.lock", path);
}

/* A pin set and saved is there when the file is read again; the others are as they were. */
static void can_be_set(struct imsg_pins *pins)
{
    struct imsg_pin pin = {.seq = 7}, found;
    struct imsg_pins again;
    bool there = false;
    memset(pin.thumbprint, 'A', IMSG_THUMBPRINT);
    MUST_OK(imsg_pins_get(pins, HANDLE, &found, &there, &fuzz_err));
    if (there)
        pin.seq = found.seq;
    MUST_OK(imsg_pins_set(pins, HANDLE, &pin, &fuzz_err));
    MUST_OK(imsg_pins_save(pins, &fuzz_err));
    imsg_pins_close(pins);
    MUST_OK(imsg_pins_open(path, &again, &fuzz_err));
    MUST_OK(imsg_pins_get(&again, HANDLE, &found, &there, &fuzz_err));
    MUST(there && found.seq == pin.seq && strcmp(found.thumbprint, pin.thumbprint) == 0);
    MUST(memcmp(found.hash, pin.hash, sizeof pin.hash) == 0);
    imsg_pins_close(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imsg_pins pins;
    struct imsg_error err = {0};
    if (folder[0] == 0)
        make_folder();
    FILE *file = fopen(path, "wb");
    MUST(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0);
    fuzz_paint(&pins, sizeof pins);
    enum imsg_status status = imsg_pins_open(path, &pins, &err);
    if (status == IMSG_OK) {
        can_be_set(&pins);
    } else {
        fuzz_refused_document(status, &err, imsg_view_of(data, size));
        MUST(status == IMSG_CONFIG && fuzz_untouched(&pins, sizeof pins));
    }
    return 0;
}
