/* lib/client/counters: every key its own counter, many at once and by several processes, a full set, files that are no
 * counters. */
#define _XOPEN_SOURCE 700
#include "scratch.h"

#include <sys/file.h>

#include "client/counters.h"
#include "crypto/crypto.h"
#include "tap.h"

enum { SET = 128, SLOT = 16, SETS = 8192 };

static const uint8_t own[32] = {1}, other[32] = {2};

/* A device whose keys are numbers. */
static struct imsg_device numbered(uint32_t number, uint8_t prekey)
{
    struct imsg_device device = {0};
    memcpy(device.device_x, &number, sizeof number);
    device.prekey.x[31] = prekey;
    return device;
}

/* UINT32_MAX: an error. */
static uint32_t take(const uint8_t *own_x, const struct imsg_device *device)
{
    struct imsg_error err = {0};
    uint32_t counter = UINT32_MAX;
    enum imsg_status status = imsg_counters_take(scratch, own_x, &device, 1, &counter, &err);
    if (status != IMSG_OK)
        printf("# %s\n", err.text);
    return status == IMSG_OK ? counter : UINT32_MAX;
}

static off_t size_of(const char *name)
{
    struct stat st;
    return stat(in_scratch(name, ""), &st) == 0 ? st.st_size : -1;
}

static void test_keys(void)
{
    struct imsg_device a = numbered(1, 1), a_rotated = numbered(1, 2), b = numbered(2, 1);

    tap_ok(take(own, &a) == 0 && take(own, &a) == 1 && take(own, &a) == 2, "a counter begins at 0 and counts up");
    tap_ok(take(own, &a_rotated) == 0, "another prekey of the device has its own");
    tap_ok(take(own, &b) == 0, "so has another device");
    tap_ok(take(other, &a) == 0, "and another sender");
    tap_ok(take(own, &a) == 3 && take(own, &a_rotated) == 1 && take(own, &b) == 1 && take(other, &a) == 1,
           "and all go on");
    tap_ok(size_of("counters") == SET * SETS && mode_of(in_scratch("counters", "")) == 0600,
           "the file has its size and mode");
}

static void test_many(void)
{
    enum { MANY = 10000 };
    static struct imsg_device devices[MANY];
    static const struct imsg_device *list[2 * MANY];
    static uint32_t counters[2 * MANY];
    struct imsg_error err = {0};
    size_t wrong = 0, again = 0;

    for (uint32_t i = 0; i < MANY; i++) {
        devices[i] = numbered(1000 + i, 7);
        list[i] = list[MANY + i] = &devices[i];
    }
    tap_status(imsg_counters_take(scratch, own, list, 2 * MANY, counters, &err), IMSG_OK, &err,
               "10000 devices, each twice");
    for (size_t i = 0; i < MANY; i++)
        wrong += counters[i] != 0 || counters[MANY + i] != 1;
    tap_ok(wrong == 0, "each counts 0 and then 1, in the order of the list (%zu do not)", wrong);
    tap_status(imsg_counters_take(scratch, own, list, MANY, counters, &err), IMSG_OK, &err, "and again");
    for (size_t i = 0; i < MANY; i++) {
        again += counters[i] == 2;
        wrong += counters[i] != 2 && counters[i] != 0;
    }
    tap_ok(wrong == 0 && again >= MANY - 10, "nearly all go on, the rest begin again: %zu", again);
    tap_status(imsg_counters_take(scratch, own, list, 0, counters, &err), IMSG_OK, &err, "no device at all");
}

/* The number in the first bytes of the hash that the header describes. */
static uint32_t set_of(const struct imsg_device *device)
{
    uint8_t keys[96], hash[32];
    memcpy(keys, own, 32);
    memcpy(keys + 32, device->device_x, 32);
    memcpy(keys + 64, device->prekey.x, 32);
    if (imsg_sha256(imsg_view_of(keys, sizeof keys), hash, NULL) != IMSG_OK)
        return SETS;
    return ((uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 | (uint32_t)hash[2] << 8 | hash[3]) % SETS;
}

static void test_full_set(void)
{
    enum { SLOTS = SET / SLOT };
    struct imsg_device same[SLOTS + 1];
    size_t found = 0, kept = 0;

    remove(in_scratch("counters", ""));
    for (uint32_t number = 0; found < SLOTS + 1; number++) {
        same[found] = numbered(number, 9);
        found += set_of(&same[found]) == 5;
    }
    for (size_t i = 0; i < SLOTS; i++)
        kept += take(own, &same[i]) == 0;
    kept += take(own, &same[0]) == 1; /* so that same[1] is the one not used for longest */
    tap_ok(kept == SLOTS + 1 && take(own, &same[SLOTS]) == 0, "a set takes one more than it has slots");
    tap_ok(take(own, &same[0]) == 2 && take(own, &same[2]) == 1 && take(own, &same[SLOTS]) == 1, "most of them go on");
    tap_ok(take(own, &same[1]) == 0, "the one that was not used for longest begins again");
}

static void test_layout(void)
{
    struct imsg_device device = numbered(3, 3);
    uint8_t set[SET] = {0}, zero[SET] = {0};

    remove(in_scratch("counters", ""));
    (void)take(own, &device);
    FILE *file = fopen(in_scratch("counters", ""), "r+");
    bool read = file && fseek(file, (long)(set_of(&device) * SET), SEEK_SET) == 0 && fread(set, SET, 1, file) == 1;
    tap_ok(read && memcmp(set, zero, 12) != 0 && set[15] == 1 && memcmp(set + SLOT, zero, SET - SLOT) == 0,
           "the set of the hash has the tag and the next counter in its first slot");
    memset(set + 12, 0xff, 4);
    bool wrote = read && fseek(file, (long)(set_of(&device) * SET), SEEK_SET) == 0 && fwrite(set, SET, 1, file) == 1;
    if (file)
        wrote = fclose(file) == 0 && wrote;
    tap_ok(wrote && take(own, &device) == UINT32_MAX && take(own, &device) == 0, "after the largest counter comes 0");
}

static void test_other_content(void)
{
    static const char *const texts[] = {"", "{\"imsg\":\"counters/1\"}\n"};
    struct imsg_device device = numbered(4, 4);
    const char *path = in_scratch("counters", "");

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        put_file(path, texts[i]);
        tap_ok(take(own, &device) == 0 && take(own, &device) == 1 && size_of("counters") == SET * SETS,
               "a file of %zu bytes is replaced", strlen(texts[i]));
    }
    tap_ok(truncate(path, SET * SETS + 1) == 0 && take(own, &device) == 0, "so is one that is too long");
    FILE *file = fopen(path, "w");
    for (size_t i = 0; file && i < SET * SETS; i++)
        putc(0xa5, file);
    tap_ok(file && fclose(file) == 0 && take(own, &device) == 0 && take(own, &device) == 1,
           "in one of other bytes counters are new");
}

/* Each of these leaves counters of 0, and says why. */
static void fails(enum imsg_status want, const char *home, const char *text, const char *what)
{
    struct imsg_device device = numbered(5, 5);
    const struct imsg_device *list[2] = {&device, &device};
    uint32_t counters[2] = {77, 77};
    struct imsg_error err = {0};

    tap_status(imsg_counters_take(home, own, list, 2, counters, &err), want, &err, "%s", what);
    tap_ok(counters[0] == 0 && counters[1] == 0 && strstr(err.text, text), "counters of 0: %s", err.text);
}

static int read_only_home(void *context)
{
    struct imsg_device device = numbered(6, 6);
    const struct imsg_device *list[1] = {&device};
    uint32_t counter = 77;

    return imsg_counters_take(context, own, list, 1, &counter, NULL) == IMSG_IO && counter == 0 ? 0 : 1;
}

static void test_unusable(void)
{
    const char *path = in_scratch("counters", "");

    remove(path);
    fails(IMSG_IO, in_scratch("nowhere", ""), "cannot open", "no home");
    mkdir(path, 0700);
    fails(IMSG_IO, scratch, "counters\": cannot open", "a folder in its place");
    rmdir(path);
    tap_ok(symlink("elsewhere", path) == 0, "a link");
    fails(IMSG_IO, scratch, "cannot open", "a link in its place");
    remove(path);
    tap_ok(mkfifo(path, 0600) == 0, "a pipe");
    fails(IMSG_IO, scratch, "regular file", "a pipe in its place");
    remove(path);
    bool read_only = chmod(scratch, 0555) == 0;
    tap_ok(read_only && run_as_nobody(read_only_home, scratch) == 0, "a home that may not be written");
    chmod(scratch, 0755);
    put_file(path, "");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    tap_ok(fd >= 0 && flock(fd, LOCK_EX) == 0, "another process has the lock and is stopped");
    fails(IMSG_TEMPORARY, scratch, "locked", "it is not waited for for ever");
    close(fd);
}

enum { PROCESSES = 4, ROUNDS = 200 };

static int count_rounds(void *context)
{
    struct imsg_device devices[2] = {numbered(7, 7), numbered(8, 8)};
    const struct imsg_device *list[2] = {&devices[0], &devices[1]};
    uint32_t counters[2], last = 0;

    (void)context;
    for (int i = 0; i < ROUNDS; i++) {
        if (imsg_counters_take(scratch, own, list, 2, counters, NULL) != IMSG_OK || counters[0] != counters[1] ||
            (i > 0 && counters[0] <= last))
            return 1;
        last = counters[0];
    }
    return 0;
}

static void test_processes(void)
{
    struct imsg_device device = numbered(7, 7);
    pid_t pids[PROCESSES];
    int failed = 0;

    remove(in_scratch("counters", ""));
    for (size_t i = 0; i < PROCESSES; i++)
        pids[i] = start_child(count_rounds, NULL);
    for (size_t i = 0; i < PROCESSES; i++)
        failed += end_child(pids[i]) != 0;
    tap_ok(failed == 0, "processes at once count up, each on its own: %d failed", failed);
    tap_ok(take(own, &device) == PROCESSES * ROUNDS, "and none gave out a counter twice");
}

int main(void)
{
    scratch_make();
    test_keys();
    test_many();
    test_full_set();
    test_layout();
    test_other_content();
    test_unusable();
    test_processes();
    scratch_remove();
    return tap_done();
}
