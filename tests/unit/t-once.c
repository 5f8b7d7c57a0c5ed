/* Failures to open that are counted: after 1,000 a day "pair" messages of that account wait, others do not. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700 /* nftw */
#endif
#include <fcntl.h>

#include "base/text.h"
#include "client/once.h"
#include "imsg-client.h"
#include "scratch.h"
#include "tap.h"

static const char *const ALICE = "mailto:alice@example.com", *const BOB = "mailto:bob@example.com",
                         *const CAROL = "mailto:carol@example.com";
enum { BUDGET = 1000 };

static struct imsg_error err;

struct person {
    const char *handle;
    struct imsg_identity identity;
    struct imsg_device device;
} alice = {0}, bob = {0}, carol = {0};

/* What imsg_open_input told and gave out. */
static struct result {
    unsigned messages, failures;
    enum imsg_status status;
    char text[200];
} result;

static void tell(void *context, const struct imsg_event *event)
{
    (void)context;
    if (event->kind != IMSG_EVENT_FAILED)
        return;
    result.failures++;
    result.status = event->error->status;
    snprintf(result.text, sizeof result.text, "%.199s", event->error->text);
}

static enum imsg_status count_message(void *context, const struct imsg_opened *opened, struct imsg_error *error)
{
    (void)context;
    (void)opened;
    (void)error;
    result.messages++;
    return IMSG_OK;
}

static struct imsg_client client = {.event = tell};
static struct imsg_devices records;
static struct imsg_opener opener = {.client = &client, .records = &records, .once = true, .message = count_message};

static void make_person(struct person *person, const char *handle)
{
    person->handle = handle;
    tap_ok(imsg_identity_generate(&handle, 1, "laptop", NULL, &person->identity, &err) == IMSG_OK &&
               imsg_identity_device(&person->identity, &person->device, &err) == IMSG_OK,
           "%s has a device", handle);
}

/* Append an envelope line to bob whose payload is sealed for `device`. */
static void seal(const struct person *from, const char *format, const struct imsg_device *device, struct imsg_buf *out)
{
    const struct imsg_seal_how how = {.format = imsg_format_of(format)};
    char *to[] = {(char *)(uintptr_t)BOB};
    struct imsg_message message = {.from = from->handle, .to = to, .to_count = 1};
    struct imsg_buf plaintext = {0};
    struct imsg_envelope envelope = {.from = from->handle, .to = BOB, .format = how.format};
    memcpy(envelope.from_token, from->identity.token, IMSG_TOKEN);
    memcpy(envelope.to_token, bob.identity.token, IMSG_TOKEN);
    enum imsg_status status = imsg_message_print(&message, &plaintext, &err);
    if (status == IMSG_OK)
        status = imsg_seal_payload(&from->identity, device, &how, imsg_buf_view(&plaintext), &envelope.payload, &err);
    envelope.id = message.id;
    envelope.time = message.time;
    if (status == IMSG_OK)
        status = imsg_envelope_print(&envelope, out, &err);
    if (status != IMSG_OK)
        tap_ok(false, "sealed: %s", err.text);
    imsg_buf_free(&envelope.payload);
    imsg_buf_free(&plaintext);
}

static void open_lines(const struct imsg_buf *lines)
{
    const char *path = in_scratch("lines", "");
    put_file(path, (const char *)lines->ptr);
    const struct imsg_input input = {.fd = open(path, O_RDONLY | O_CLOEXEC), .name = "lines"};
    result = (struct result){0};
    tap_status(imsg_open_input(&opener, &input, &err), IMSG_OK, &err, "the input is read");
    close(input.fd);
}

static void open_one(const struct person *from, const char *format, const struct imsg_device *device)
{
    struct imsg_buf line = {0};
    seal(from, format, device, &line);
    open_lines(&line);
    imsg_buf_free(&line);
}

static size_t failures_of(const struct person *person)
{
    size_t count = 0;
    char token[65];
    imsg_hex(person->identity.token, IMSG_TOKEN, token);
    tap_status(imsg_failures_count(&client, token, &count, &err), IMSG_OK, &err, "count");
    return count;
}

/* Payloads that the sender signed, and that do not open with bob's key: they were sealed for another device. */
static void fail(const struct person *from, unsigned times)
{
    struct imsg_buf lines = {0};
    for (unsigned i = 0; i < times; i++)
        seal(from, "pair", &carol.device, &lines);
    open_lines(&lines);
    tap_ok(result.failures == times && result.messages == 0, "%u fail", times);
    imsg_buf_free(&lines);
}

/* A payload of carol's that says it is alice's: no secret is used on it. */
static void open_badly_signed(void)
{
    struct imsg_buf line = {0}, fake = {0};
    struct imsg_envelope envelope = {0};
    seal(&carol, "pair", &bob.device, &line);
    tap_status(imsg_envelope_parse(imsg_buf_view(&line), &envelope, &err), IMSG_OK, &err, "parses");
    const char *from = envelope.from;
    envelope.from = ALICE;
    memcpy(envelope.from_token, alice.identity.token, IMSG_TOKEN);
    tap_status(imsg_envelope_print(&envelope, &fake, &err), IMSG_OK, &err, "with another sender");
    envelope.from = from;
    open_lines(&fake);
    imsg_envelope_free(&envelope);
    imsg_buf_free(&line);
    imsg_buf_free(&fake);
}

static void test_what_counts(void)
{
    struct imsg_buf line = {0}, twice = {0};
    open_one(&alice, "pair", &bob.device);
    tap_ok(result.messages == 1 && failures_of(&alice) == 0, "a message opens");
    fail(&alice, 1);
    tap_ok(result.status == IMSG_REFUSED && failures_of(&alice) == 1, "one that does not open counts");
    seal(&alice, "pair", &carol.device, &line);
    tap_ok(imsg_buf_append(&twice, line.ptr, line.len, &err) == IMSG_OK &&
               imsg_buf_append(&twice, line.ptr, line.len, &err) == IMSG_OK,
           "the same twice");
    open_lines(&twice);
    tap_ok(result.failures == 2 && failures_of(&alice) == 2, "counts once");
    open_one(&alice, "pair-ec", &carol.device);
    tap_ok(result.failures == 1 && failures_of(&alice) == 2, "\"pair-ec\" has no short tag");
    open_badly_signed();
    tap_ok(result.failures == 1 && result.status == IMSG_REFUSED && failures_of(&alice) == 2,
           "a bad signature is nobody's failure");
    imsg_buf_free(&line);
    imsg_buf_free(&twice);
}

/* A message that opened, in an envelope that is not its own, is no guess. */
static void test_replays(void)
{
    struct imsg_buf line = {0}, fake = {0};
    struct imsg_envelope envelope = {0};
    size_t before = failures_of(&alice);
    seal(&alice, "pair", &bob.device, &line);
    open_lines(&line);
    tap_ok(result.messages == 1, "it opens");
    tap_status(imsg_envelope_parse(imsg_buf_view(&line), &envelope, &err), IMSG_OK, &err, "parses");
    const char *id = envelope.id;
    envelope.id = "00000000-0000-4000-8000-000000000000";
    tap_status(imsg_envelope_print(&envelope, &fake, &err), IMSG_OK, &err, "with another id");
    open_lines(&fake);
    tap_ok(result.status == IMSG_REFUSED && failures_of(&alice) == before, "refused, and not counted");
    envelope.id = id;
    imsg_envelope_free(&envelope);
    imsg_buf_free(&line);
    imsg_buf_free(&fake);
}

static void test_budget(void)
{
    size_t left = BUDGET - failures_of(&alice);
    fail(&alice, (unsigned)left);
    tap_ok(result.status == IMSG_REFUSED && failures_of(&alice) == BUDGET, "the last that is tried is refused");
    fail(&alice, 1);
    tap_ok(result.status == IMSG_TEMPORARY && failures_of(&alice) == BUDGET, "the next one waits: %s", result.text);
    open_one(&alice, "pair", &bob.device);
    tap_ok(result.messages == 0 && result.status == IMSG_TEMPORARY, "as does one that would open");
    open_badly_signed();
    tap_ok(result.messages == 0 && result.status == IMSG_REFUSED, "one with a bad signature is refused as ever");
    open_one(&alice, "pair-ec", &bob.device);
    tap_ok(result.messages == 1, "another format does not");
    open_one(&carol, "pair", &bob.device);
    tap_ok(result.messages == 1, "nor does another sender");
}

/* Accounts that nothing was accepted from have one budget together. */
static void test_strangers(void)
{
    static struct person strangers[2];
    for (size_t i = 0; i < 2; i++) {
        make_person(&strangers[i], i ? "mailto:eve@example.com" : "mailto:dave@example.com");
        struct imsg_device device = {0};
        tap_ok(imsg_identity_device(&strangers[i].identity, &device, &err) == IMSG_OK &&
                   imsg_devices_add(&records, &device, &err) == IMSG_OK,
               "known by his record");
    }
    fail(&strangers[0], 3);
    tap_ok(failures_of(&strangers[0]) == 3 && failures_of(&strangers[1]) == 3, "strangers are counted together");
    open_one(&strangers[1], "pair-ec", &bob.device);
    tap_ok(result.messages == 1 && failures_of(&strangers[0]) == 3 && failures_of(&strangers[1]) == 0,
           "who is accepted is counted apart");
    for (size_t i = 0; i < 2; i++) {
        imsg_device_free(&strangers[i].device);
        imsg_identity_free(&strangers[i].identity);
    }
}

/* A day after the first of them a new list begins: the time in the file is set back. */
static void test_next_day(void)
{
    char token[65], path[128];
    const uint8_t long_ago[8] = {0, 0, 0, 0, 1};
    imsg_hex(alice.identity.token, IMSG_TOKEN, token);
    snprintf(path, sizeof path, "failures/%s", token);
    int fd = open(in_scratch(path, ""), O_WRONLY | O_CLOEXEC);
    tap_ok(fd >= 0 && write(fd, long_ago, sizeof long_ago) == sizeof long_ago, "a day passes");
    close(fd);
    tap_ok(failures_of(&alice) == 0, "nothing counts any more");
    open_one(&alice, "pair", &bob.device);
    tap_ok(result.messages == 1, "a message opens");
    fail(&alice, 2);
    tap_ok(failures_of(&alice) == 2, "and a new list has begun");
}

int main(void)
{
    umask(022);
    scratch_make();
    make_person(&alice, ALICE);
    make_person(&bob, BOB);
    make_person(&carol, CAROL);
    client.home = strdup(in_scratch("", ""));
    client.identity = &bob.identity;
    const struct person *const people[] = {&alice, &carol};
    for (size_t i = 0; i < 2; i++) {
        struct imsg_device device = {0};
        tap_ok(imsg_identity_device(&people[i]->identity, &device, &err) == IMSG_OK &&
                   imsg_devices_add(&records, &device, &err) == IMSG_OK,
               "bob has the record of %s", people[i]->handle);
    }
    test_what_counts();
    test_replays();
    test_budget();
    test_strangers();
    test_next_day();
    imsg_opener_free(&opener);
    imsg_devices_free(&records);
    free((char *)(uintptr_t)client.home);
    struct person *const all[] = {&alice, &bob, &carol};
    for (size_t i = 0; i < 3; i++) {
        imsg_device_free(&all[i]->device);
        imsg_identity_free(&all[i]->identity);
    }
    scratch_remove();
    return tap_done();
}
