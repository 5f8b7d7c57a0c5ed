/* pins.json. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700 /* nftw */
#endif
#include "imsg-net.h"
#include "scratch.h"
#include "tap.h"

#define ALICE "mailto:alice@example.com"
#define THUMBPRINT "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" /* RFC 7638 §3.1 */
#define HASH "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

static struct imsg_error err;

static int open_pins(void *context)
{
    struct imsg_pins pins = {0};
    int status = (int)imsg_pins_open(context, &pins, &err);
    imsg_pins_close(&pins);
    return status;
}

static void test_pins(const char *path)
{
    struct imsg_pins pins = {0};
    struct imsg_pin pin = {.thumbprint = THUMBPRINT, .seq = 9007199254740991}, got;
    struct imsg_buf text = {0};
    bool found = true;
    memset(pin.hash, 0xab, sizeof pin.hash);
    imsg_pins_close(&pins);
    tap_status(imsg_pins_open(path, &pins, &err), IMSG_OK, &err, "no file is no pins");
    tap_status(imsg_pins_get(&pins, ALICE, &got, &found, &err), IMSG_OK, &err, "get");
    tap_ok(!found, "there is none");
    tap_status(imsg_pins_save(&pins, &err), IMSG_OK, &err, "save");
    tap_ok(!exists(path), "nothing changed, nothing written");
    tap_status(imsg_pins_set(&pins, ALICE, &pin, &err), IMSG_OK, &err, "set");
    tap_ok(pins.changed, "changed");
    pin.unconfirmed = true;
    tap_ok(imsg_pins_set(&pins, ALICE, &pin, &err) == IMSG_OK && imsg_pins_get(&pins, ALICE, &got, &found, &err) == 0 &&
               got.unconfirmed,
           "unconfirmed");
    pin.unconfirmed = false;
    tap_ok(imsg_pins_set(&pins, ALICE, &pin, &err) == IMSG_OK && imsg_pins_get(&pins, ALICE, &got, &found, &err) == 0 &&
               !got.unconfirmed,
           "confirmed");
    tap_ok(imsg_pins_remove(&pins, ALICE, &err) == IMSG_OK && imsg_pins_get(&pins, ALICE, &got, &found, &err) == 0 &&
               !found,
           "removed");
    tap_status(imsg_pins_set(&pins, ALICE, &pin, &err), IMSG_OK, &err, "set again");
    pin.seq++;
    tap_status(imsg_pins_set(&pins, ALICE, &pin, &err), IMSG_MALFORMED, &err, "set: seq over 2^53-1");
    pin.seq = 0;
    tap_status(imsg_pins_set(&pins, ALICE, &pin, &err), IMSG_MALFORMED, &err, "set: seq 0");
    pin.seq = 1;
    tap_status(imsg_pins_set(&pins, "alice@example.com", &pin, &err), IMSG_MALFORMED, &err, "set: no handle");
    pin.thumbprint[0] = '!';
    tap_status(imsg_pins_set(&pins, ALICE, &pin, &err), IMSG_MALFORMED, &err, "set: no thumbprint");
    tap_status(imsg_pins_save(&pins, &err), IMSG_OK, &err, "save");
    tap_ok(mode_of(path) == 0600, "private");
    imsg_pins_close(&pins);

    tap_status(imsg_pins_open(path, &pins, &err), IMSG_OK, &err, "open again");
    tap_status(imsg_pins_get(&pins, ALICE, &got, &found, &err), IMSG_OK, &err, "get");
    tap_ok(found && strcmp(got.thumbprint, THUMBPRINT) == 0 && got.seq == 9007199254740991 && got.hash[31] == 0xab,
           "what was set");
    tap_status(imsg_pins_set(&pins, ALICE, &got, &err), IMSG_OK, &err, "set the same");
    tap_ok(!pins.changed, "not changed");
    imsg_pins_close(&pins);

    put_file(path,
             "{\"imsg\":\"pins/1\",\"note\":\"n\",\"pins\":{\"tel:+15551234567\":{\"seq\":7,\"account\":\"" THUMBPRINT
             "\",\"payload\":\"" HASH "\",\"by\":\"hand\"}}}");
    tap_status(imsg_pins_open(path, &pins, &err), IMSG_OK, &err, "unknown members");
    got.seq = 8;
    tap_status(imsg_pins_set(&pins, "tel:+15551234567", &got, &err), IMSG_OK, &err, "set");
    tap_status(imsg_pins_save(&pins, &err), IMSG_OK, &err, "save");
    imsg_pins_close(&pins);
    FILE *file = fopen(path, "r");
    char line[1024] = "";
    tap_ok(file && fgets(line, sizeof line, file) && strstr(line, "\"note\":\"n\"") &&
               strstr(line, "\"by\":\"hand\"") && strstr(line, "\"seq\":8") && line[strlen(line) - 1] == '\n',
           "are kept");
    if (file)
        fclose(file);
    imsg_buf_free(&text);
}

#define PIN(handle, account, seq, payload)                                                                             \
    "{\"imsg\":\"pins/1\",\"pins\":{\"" handle "\":{\"account\":" account ",\"seq\":" seq ",\"payload\":" payload "}}" \
    "}"

static void test_damaged_pins(const char *path)
{
    static const char *const damaged[] = {
        "",
        "{",
        "[]",
        "{\"imsg\":\"pins/1\"}",
        "{\"imsg\":\"pins/2\",\"pins\":{}}",
        "{\"imsg\":\"device/1\",\"pins\":{}}",
        "{\"imsg\":\"pins/1\",\"pins\":[]}",
        "{\"imsg\":\"pins/1\",\"pins\":{},\"pins\":{}}",
        "{\"imsg\":\"pins/1\",\"pins\":{\"" ALICE "\":null}}",
        "{\"imsg\":\"pins/1\",\"pins\":{}} x",
        PIN("Alice@example.com", "\"" THUMBPRINT "\"", "1", "\"" HASH "\""),
        PIN(ALICE, "\"" THUMBPRINT "A\"", "1", "\"" HASH "\""),
        PIN(ALICE, "\"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9X\"", "1", "\"" HASH "\""),
        PIN(ALICE, "\"NzbLsXh8uDCcd+6MNwXF4W_7noWXFZAfHkxZsRGC9Xs\"", "1", "\"" HASH "\""),
        PIN(ALICE, "\"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xt\"", "1", "\"" HASH "\""),
        PIN(ALICE, "7", "1", "\"" HASH "\""),
        PIN(ALICE, "\"" THUMBPRINT "\"", "0", "\"" HASH "\""),
        PIN(ALICE, "\"" THUMBPRINT "\"", "9007199254740992", "\"" HASH "\""),
        PIN(ALICE, "\"" THUMBPRINT "\"", "1.0", "\"" HASH "\""),
        PIN(ALICE, "\"" THUMBPRINT "\"", "\"1\"", "\"" HASH "\""),
        PIN(ALICE, "\"" THUMBPRINT "\"", "1", "\"" HASH "00\""),
        PIN(ALICE, "\"" THUMBPRINT "\"", "1", "null"),
        PIN(ALICE, "\"" THUMBPRINT "\"", "1", "\"" HASH "\",\"unconfirmed\":1"),
    };
    char *mutable_path = strdup(path);
    put_file(path, PIN(ALICE, "\"" THUMBPRINT "\"", "1", "\"" HASH "\""));
    tap_ok(open_pins(mutable_path) == IMSG_OK, "a good one");
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        put_file(path, damaged[i]);
        tap_status((enum imsg_status)open_pins(mutable_path), IMSG_CONFIG, &err, "damaged: %s", damaged[i]);
        tap_ok(err.status == IMSG_CONFIG && strstr(err.text, path), "text: %s", err.text);
    }
    chmod(path, 0);
    chmod(in_scratch("home", ""), 0777);
    unlink(in_scratch("home", "pins.json.lock"));
    tap_ok(run_as_nobody(open_pins, mutable_path) == IMSG_IO, "not readable is not empty");
    unlink(path);
    if (symlink("nowhere", path) != 0)
        perror(path);
    tap_status((enum imsg_status)open_pins(mutable_path), IMSG_IO, &err, "a link to nowhere is not empty");
    unlink(path);
    if (mkfifo(path, 0600) != 0)
        perror(path);
    tap_status((enum imsg_status)open_pins(mutable_path), IMSG_CONFIG, &err, "FIFO");
    unlink(path);
    free(mutable_path);
}

/* Each adds 1 to seq, 50 times, in a process of its own. */
static int count_up(void *context)
{
    struct imsg_pins pins = {0};
    struct imsg_pin pin = {.thumbprint = THUMBPRINT};
    bool found;
    for (int i = 0; i < 50; i++) {
        if (imsg_pins_open(context, &pins, NULL) != IMSG_OK ||
            imsg_pins_get(&pins, ALICE, &pin, &found, NULL) != IMSG_OK)
            return 1;
        pin.seq++;
        if (imsg_pins_set(&pins, ALICE, &pin, NULL) != IMSG_OK || imsg_pins_save(&pins, NULL) != IMSG_OK)
            return 2;
        imsg_pins_close(&pins);
    }
    return 0;
}

static void test_pins_lock(const char *path)
{
    struct imsg_pins pins = {0};
    struct imsg_pin pin = {0};
    bool found = false;
    char *mutable_path = strdup(path);
    unlink(in_scratch("home", "pins.json.lock"));
    pid_t first = start_child(count_up, mutable_path), second = start_child(count_up, mutable_path);
    int left = end_child(first), right = end_child(second);
    tap_ok(left == 0 && right == 0, "two processes (%d, %d)", left, right);
    tap_status(imsg_pins_open(path, &pins, &err), IMSG_OK, &err, "open");
    tap_status(imsg_pins_get(&pins, ALICE, &pin, &found, &err), IMSG_OK, &err, "get");
    tap_ok(found && pin.seq == 100, "lose no change: %d", (int)pin.seq);
    imsg_pins_close(&pins);
    free(mutable_path);
}

int main(void)
{
    char path[128];
    umask(022);
    alarm(600); /* a test that blocks is a test that fails */
    scratch_make();
    mkdir(in_scratch("home", ""), 0700);
    snprintf(path, sizeof path, "%s/home/pins.json", scratch);
    test_pins(path);
    test_damaged_pins(path);
    test_pins_lock(path);
    scratch_remove();
    return tap_done();
}
