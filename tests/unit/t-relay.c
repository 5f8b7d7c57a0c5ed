/* The relay over a folder. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700 /* nftw */
#endif
#include <signal.h>
#include <sys/resource.h>

#include "base/text.h"
#include "imsg-net.h"
#include "scratch.h"
#include "tap.h"

static const uint8_t TOKEN[32] = {0x3f, 0x9a, 1, 2, 3};
static char token_hex[65];
static struct imsg_error err;

static struct imsg_relay *open_relay(const char *name)
{
    struct imsg_relay *relay = NULL;
    tap_status(imsg_relay_open(in_scratch(name, ""), NULL, &relay, &err), IMSG_OK, &err, "relay %s opens", name);
    return relay;
}

static const char *in_box(const char *relay, const char *part, const char *name)
{
    char below[256];
    snprintf(below, sizeof below, "%s/%s%s%s", token_hex, part, *name ? "/" : "", name);
    return in_scratch(relay, below);
}

/* An envelope whose payload is `size` bytes of number `n`, and its line without newline; false: it could not be made.
 */
struct letter {
    struct imsg_envelope envelope;
    struct imsg_buf line;
};

static bool make_letter(unsigned n, size_t size, struct letter *out)
{
    static uint8_t bytes[IMSG_RELAY_PAYLOAD_MAX + 1];
    char id[37];
    struct imsg_envelope envelope = {.id = id,
                                     .from = "mailto:alice@example.com",
                                     .to = "mailto:bob@example.com",
                                     .time = "2026-11-24T18:00:00Z",
                                     .format = imsg_format_of("pair"),
                                     .payload = {bytes, size, sizeof bytes}};
    *out = (struct letter){0};
    snprintf(id, sizeof id, "00000000-0000-4000-8000-%012u", n);
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes, &n, sizeof n);
    memcpy(envelope.to_token, TOKEN, sizeof TOKEN);
    if (imsg_envelope_print(&envelope, &out->line, &err) != IMSG_OK)
        return false;
    out->line.len--;
    return imsg_envelope_parse(imsg_buf_view(&out->line), &out->envelope, &err) == IMSG_OK;
}

static void free_letter(struct letter *letter)
{
    imsg_envelope_free(&letter->envelope);
    imsg_buf_free(&letter->line);
}

static enum imsg_status deliver(struct imsg_relay *relay, unsigned n, size_t size, bool *duplicate)
{
    struct letter letter;
    enum imsg_status status = IMSG_INTERNAL;
    if (make_letter(n, size, &letter))
        status = imsg_relay_deliver(relay, &letter.envelope, imsg_buf_view(&letter.line), duplicate, &err);
    free_letter(&letter);
    return status;
}

static void name_of(unsigned n, char out[65])
{
    struct letter letter;
    if (make_letter(n, 100, &letter))
        imsg_hex(letter.envelope.name, sizeof letter.envelope.name, out);
    free_letter(&letter);
}

static size_t waiting_count(struct imsg_relay *relay)
{
    struct imsg_waiting waiting = {0};
    tap_status(imsg_relay_list(relay, TOKEN, &waiting, &err), IMSG_OK, &err, "list");
    size_t count = waiting.count;
    imsg_waiting_free(&waiting);
    return count;
}

static enum imsg_status acknowledge(struct imsg_relay *relay, const char *name)
{
    return imsg_relay_acknowledge(relay, TOKEN, &name, 1, &err);
}

static void test_locations(void)
{
    struct imsg_relay *relay = NULL;
    struct imsg_waiting waiting = {0};
    tap_status(imsg_relay_open("gopher://relay.example", NULL, &relay, &err), IMSG_CONFIG, &err, "unknown scheme");
    tap_status(imsg_relay_open("", NULL, &relay, &err), IMSG_CONFIG, &err, "empty location");
    tap_status(imsg_relay_open("file:///srv/relay", NULL, &relay, &err), IMSG_CONFIG, &err, "file: URL");
    relay = open_relay("none");
    tap_ok(strcmp(imsg_relay_location(relay), in_scratch("none", "")) == 0, "location is kept");
    tap_status(deliver(relay, 1, 100, NULL), IMSG_TEMPORARY, &err, "deliver: no base");
    tap_ok(strstr(err.text, "is not there") != NULL, "text: %s", err.text);
    tap_status(imsg_relay_list(relay, TOKEN, &waiting, &err), IMSG_TEMPORARY, &err, "list: no base");
    tap_ok(!exists(in_scratch("none", "")), "nothing was made");
    imsg_relay_close(relay);

    put_file(in_scratch("file", ""), "");
    relay = open_relay("file");
    tap_status(deliver(relay, 1, 100, NULL), IMSG_TEMPORARY, &err, "deliver: base is a file");
    imsg_relay_close(relay);

    mkdir(in_scratch("bare", ""), 0777);
    relay = open_relay("bare");
    tap_status(deliver(relay, 1, 100, NULL), IMSG_UNAVAILABLE, &err, "deliver: no mailbox");
    tap_ok(strstr(err.text, "no mailbox for token 3f9a…") != NULL, "text: %s", err.text);
    tap_status(imsg_relay_list(relay, TOKEN, &waiting, &err), IMSG_UNAVAILABLE, &err, "list: no mailbox");
    tap_ok(count_files(in_scratch("bare", "")) == 0, "nothing was made");
    imsg_relay_close(relay);
}

/* What a backend of any scheme owes its callers, in a mailbox where nothing waits yet. */
static void test_contract(const char *location)
{
    struct imsg_relay *relay = NULL;
    struct imsg_waiting waiting = {0};
    struct imsg_buf line = {0};
    char name[65];
    bool duplicate = true;
    tap_status(imsg_relay_open(location, NULL, &relay, &err), IMSG_OK, &err, "relay %s opens", location);
    tap_status(imsg_relay_mailbox(relay, TOKEN, &err), IMSG_OK, &err, "mailbox is made, base and all");
    tap_status(imsg_relay_mailbox(relay, TOKEN, &err), IMSG_OK, &err, "mailbox a second time");
    tap_status(deliver(relay, 1, 100, &duplicate), IMSG_OK, &err, "deliver");
    tap_ok(!duplicate, "no duplicate");
    tap_status(deliver(relay, 1, 100, &duplicate), IMSG_OK, &err, "deliver again");
    tap_ok(duplicate, "duplicate");
    tap_status(deliver(relay, 2, IMSG_RELAY_PAYLOAD_MAX, NULL), IMSG_OK, &err, "largest payload");
    tap_status(deliver(relay, 2, IMSG_RELAY_PAYLOAD_MAX + 1, NULL), IMSG_TOO_LONG, &err, "payload over the limit");
    struct letter letter;
    tap_ok(make_letter(1, 100, &letter), "an envelope");
    tap_status(imsg_relay_deliver(relay, &letter.envelope, imsg_view_str("{\n}"), NULL, &err), IMSG_MALFORMED, &err,
               "deliver: two lines");
    tap_ok(waiting_count(relay) == 2, "two wait");

    name_of(1, name);
    tap_status(imsg_relay_fetch(relay, TOKEN, name, &line, &err), IMSG_OK, &err, "fetch");
    tap_bytes(imsg_buf_view(&line), imsg_buf_view(&letter.line), "the line without newline");
    tap_status(acknowledge(relay, name), IMSG_OK, &err, "ack");
    tap_status(acknowledge(relay, name), IMSG_OK, &err, "ack again");
    tap_status(imsg_relay_fetch(relay, TOKEN, name, &line, &err), IMSG_NO_INPUT, &err, "fetch: gone");
    tap_ok(line.len == letter.line.len, "the buffer is as it was");
    tap_status(imsg_relay_fetch(relay, TOKEN, "../../passwd", &line, &err), IMSG_MALFORMED, &err, "fetch: no name");
    tap_status(acknowledge(relay, "../tmp/x"), IMSG_MALFORMED, &err, "ack: no name");
    tap_ok(waiting_count(relay) == 1, "one is left");
    tap_status(imsg_relay_list(relay, TOKEN, &waiting, &err), IMSG_OK, &err, "list");
    const char *both[] = {name, waiting.count == 1 ? waiting.names[0] : "", "../tmp/x"};
    tap_status(imsg_relay_acknowledge(relay, TOKEN, both, 3, &err), IMSG_MALFORMED, &err, "several, one no name");
    tap_ok(waiting_count(relay) == 1, "nothing went");
    tap_status(imsg_relay_acknowledge(relay, TOKEN, both, 2, &err), IMSG_OK, &err, "several, one gone before");
    tap_ok(waiting_count(relay) == 0, "nothing is left");
    imsg_waiting_free(&waiting);
    imsg_buf_free(&line);
    free_letter(&letter);
    imsg_relay_close(relay);
}

/* Who can write to the folder puts something else under the name of a message that he expects. */
static void test_taken_names(void)
{
    struct imsg_relay *relay = open_relay("taken");
    struct letter letter, other;
    struct imsg_buf line = {0}, two = {0};
    char name[65];
    bool duplicate = true;
    tap_status(imsg_relay_mailbox(relay, TOKEN, &err), IMSG_OK, &err, "mailbox");
    tap_ok(make_letter(1, 100, &letter) && make_letter(2, 100, &other), "two envelopes");
    imsg_hex(letter.envelope.name, sizeof letter.envelope.name, name);
    tap_ok(imsg_buf_append(&two, letter.line.ptr, letter.line.len, &err) == IMSG_OK, "its line");
    memcpy(strchr((char *)two.ptr, ','), "\n", 1); /* white space would do, and is a second line */
    const char *const fakes[] = {"", "{}\n", (const char *)other.line.ptr, (const char *)two.ptr};
    for (size_t i = 0; i < sizeof fakes / sizeof fakes[0]; i++) {
        put_file(in_box("taken", "new", name), fakes[i]);
        tap_status(deliver(relay, 1, 100, &duplicate), IMSG_OK, &err, "deliver over fake %zu", i);
        tap_ok(!duplicate, "no duplicate");
        imsg_buf_clear(&line);
        tap_status(imsg_relay_fetch(relay, TOKEN, name, &line, &err), IMSG_OK, &err, "fetch");
        tap_bytes(imsg_buf_view(&line), imsg_buf_view(&letter.line), "the message has its name");
        tap_status(deliver(relay, 1, 100, &duplicate), IMSG_OK, &err, "deliver again");
        tap_ok(duplicate, "duplicate");
    }
    imsg_buf_free(&line);
    imsg_buf_free(&two);
    free_letter(&letter);
    free_letter(&other);
    imsg_relay_close(relay);
}

static void test_files(void)
{
    struct imsg_relay *relay = open_relay("files");
    struct imsg_waiting waiting = {0};
    char name[65];
    tap_status(imsg_relay_mailbox(relay, TOKEN, &err), IMSG_OK, &err, "mailbox");
    tap_ok(mode_of(in_box("files", "new", "")) == 0755, "folders follow the umask");
    tap_status(deliver(relay, 1, 100, NULL), IMSG_OK, &err, "deliver");
    tap_status(deliver(relay, 2, 100, NULL), IMSG_OK, &err, "deliver");
    name_of(1, name);
    tap_ok(mode_of(in_box("files", "new", name)) == 0644, "messages follow the umask");
    tap_ok(count_files(in_box("files", "tmp", "")) == 0, "tmp is empty");
    set_age(in_box("files", "new", name), 60);
    tap_status(imsg_relay_list(relay, TOKEN, &waiting, &err), IMSG_OK, &err, "list");
    tap_ok(waiting.count == 2 && strcmp(waiting.names[0], name) == 0, "two, the older first");
    imsg_waiting_free(&waiting);
    imsg_relay_close(relay);
}

/* Names in new that are no messages; none may be followed, and none may make us wait. */
static void test_odd_files(void)
{
    static const char *const what[] = {"link", "FIFO", "folder", "large file", "two lines", "empty file"};
    struct imsg_relay *relay = open_relay("odd");
    struct imsg_buf line = {0};
    char name[6][65];
    tap_status(imsg_relay_mailbox(relay, TOKEN, &err), IMSG_OK, &err, "mailbox");
    for (unsigned i = 0; i < 6; i++)
        name_of(i, name[i]);
    put_file(in_scratch("secret", ""), "secret\n");
    if (symlink(in_scratch("secret", ""), in_box("odd", "new", name[0])) != 0 ||
        mkfifo(in_box("odd", "new", name[1]), 0666) != 0 || mkdir(in_box("odd", "new", name[2]), 0777) != 0)
        perror("odd files");
    put_file(in_box("odd", "new", name[3]), "");
    if (truncate(in_box("odd", "new", name[3]), 1048578) != 0)
        perror("truncate");
    put_file(in_box("odd", "new", name[4]), "{\n}\n");
    put_file(in_box("odd", "new", name[5]), "");
    put_file(in_box("odd", "new", "README"), "");
    for (unsigned i = 0; i < 6; i++)
        tap_status(imsg_relay_fetch(relay, TOKEN, name[i], &line, &err), IMSG_PROTOCOL, &err, "fetch: %s", what[i]);
    tap_ok(waiting_count(relay) == 3, "list: only regular files with a hash for a name");
    tap_status(deliver(relay, 0, 100, NULL), IMSG_PROTOCOL, &err, "deliver: a link has the name");
    tap_ok(count_files(in_box("odd", "tmp", "")) == 0, "tmp is empty");
    imsg_buf_free(&line);
    imsg_relay_close(relay);
}

static void test_expiry(void)
{
    const time_t day = 86400, hour = 3600;
    struct imsg_relay *relay = open_relay("old");
    char old[65], young[65], other[65];
    bool duplicate = true;
    tap_status(imsg_relay_mailbox(relay, TOKEN, &err), IMSG_OK, &err, "mailbox");
    name_of(1, old);
    name_of(2, young);
    name_of(3, other);
    tap_status(deliver(relay, 1, 100, NULL), IMSG_OK, &err, "deliver");
    tap_status(deliver(relay, 2, 100, NULL), IMSG_OK, &err, "deliver");
    set_age(in_box("old", "new", old), 30 * day + hour);
    set_age(in_box("old", "new", young), 30 * day - hour);
    tap_status(deliver(relay, 1, 100, &duplicate), IMSG_OK, &err, "deliver over an expired one");
    tap_ok(!duplicate, "it does not count as there");
    set_age(in_box("old", "new", old), 30 * day + hour);
    tap_ok(waiting_count(relay) == 1, "list drops what is over 30 days old");
    tap_ok(!exists(in_box("old", "new", old)) && exists(in_box("old", "new", young)), "and only that");
    imsg_relay_close(relay);

    put_file(in_box("old", "new", old), "{}\n");
    put_file(in_box("old", "tmp", "leftover"), "");
    put_file(in_box("old", "tmp", "in-progress"), "");
    set_age(in_box("old", "new", old), 30 * day + hour);
    set_age(in_box("old", "tmp", "leftover"), 37 * hour);
    set_age(in_box("old", "tmp", "in-progress"), 35 * hour);
    relay = open_relay("old");
    tap_status(deliver(relay, 3, 100, NULL), IMSG_OK, &err, "deliver as a visit");
    tap_ok(!exists(in_box("old", "new", old)), "drops what is over 30 days old");
    tap_ok(exists(in_box("old", "new", young)) && exists(in_box("old", "new", other)), "and only that");
    tap_ok(!exists(in_box("old", "tmp", "leftover")), "drops leftovers over 36 hours old");
    tap_ok(exists(in_box("old", "tmp", "in-progress")), "and only those");
    imsg_relay_close(relay);
}

/* A link in the place of a mailbox, or of a part of it: whoever visits would remove files of his own elsewhere. */
static void test_links(void)
{
    static const char *const parts[] = {"tmp", "new", ""};
    char name[65], box[512], there[512];
    name_of(1, name);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct imsg_relay *relay = open_relay("links");
        struct imsg_waiting waiting = {0};
        tap_status(imsg_relay_mailbox(relay, TOKEN, &err), IMSG_OK, &err, "mailbox");
        put_file(in_box("links", "tmp", "letter"), "mine\n");
        put_file(in_box("links", "new", name), "{}\n");
        set_age(in_box("links", "tmp", "letter"), 37 * 3600);
        snprintf(box, sizeof box, "%s", in_box("links", parts[i], ""));
        if (!parts[i][0])
            box[strlen(box) - 1] = '\0'; /* its slash */
        snprintf(there, sizeof there, "%s", in_scratch("links", "there"));
        if (rename(box, there) != 0 || symlink(there, box) != 0)
            perror("a link to a folder");
        tap_status(deliver(relay, 2, 100, NULL), IMSG_UNAVAILABLE, &err, "deliver: \"%s\" is a link", parts[i]);
        if (imsg_relay_list(relay, TOKEN, &waiting, NULL) == IMSG_OK)
            imsg_waiting_free(&waiting);
        (void)!acknowledge(relay, name);
        tap_ok(parts[i][0] == 'n' || exists(in_box("links", "tmp", "letter")), "nothing is swept there");
        tap_ok(parts[i][0] == 't' || exists(in_box("links", "new", name)), "nor acknowledged");
        imsg_relay_close(relay);
        if (unlink(box) != 0 || rename(there, box) != 0)
            perror("the folder back");
    }
}

static int deliver_denied(void *context)
{
    struct imsg_relay *relay = context;
    return (int)deliver(relay, 7, 100, NULL);
}

static int fetch_first(void *context)
{
    struct imsg_relay *relay = context;
    struct imsg_buf line = {0};
    char name[65];
    name_of(1, name);
    enum imsg_status status = imsg_relay_fetch(relay, TOKEN, name, &line, &err);
    imsg_buf_free(&line);
    return (int)status;
}

static int deliver_to_small_disk(void *context)
{
    struct imsg_relay *relay = context;
    struct rlimit none = {4, 4}; /* bytes */
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &none) != 0)
        return 255;
    return (int)deliver(relay, 7, 100, NULL);
}

static void test_failures(void)
{
    struct imsg_relay *relay = open_relay("failing");
    char name[65];
    tap_status(imsg_relay_mailbox(relay, TOKEN, &err), IMSG_OK, &err, "mailbox");
    tap_ok(end_child(start_child(deliver_to_small_disk, relay)) == IMSG_TEMPORARY, "a write that fails is temporary");
    tap_ok(count_files(in_scratch("failing", "")) == 0, "and leaves nothing");
    chmod(in_box("failing", "tmp", ""), 0755);
    chmod(in_box("failing", "new", ""), 0755);
    name_of(1, name);
    put_file(in_box("failing", "new", name), "{}\n");
    chmod(in_box("failing", "new", name), 0);
    tap_ok(run_as_nobody(fetch_first, relay) == IMSG_PROTOCOL, "one message that may not be read");
    unlink(in_box("failing", "new", name));
    if (getuid() != 0)
        chmod(in_box("failing", "tmp", ""), 0555);
    tap_ok(run_as_nobody(deliver_denied, relay) == IMSG_UNAVAILABLE, "a mailbox that may not be written");
    chmod(in_box("failing", "tmp", ""), 0755);
    chmod(in_scratch("failing", ""), 0);
    tap_ok(run_as_nobody(deliver_denied, relay) != IMSG_OK, "a base that may not be entered");
    chmod(in_scratch("failing", ""), 0755);
    rmdir(in_box("failing", "new", ""));
    tap_status(deliver(relay, 7, 100, NULL), IMSG_UNAVAILABLE, &err, "half a mailbox is none");
    tap_ok(count_files(in_scratch("failing", "")) == 0, "nothing is left");
    imsg_relay_close(relay);
}

#define ROUNDS 200

/* Waits until the parent closes the pipe's other end, so that both start at once. */
struct sender {
    int start[2];
    bool same; /* the same payload each time */
    int report[2];
};

static int sender_work(void *opaque)
{
    struct sender *sender = opaque;
    struct imsg_relay *relay = NULL;
    unsigned char go, fresh = 0;
    bool duplicate = false;
    close(sender->start[1]);
    if (read(sender->start[0], &go, 1) != 0 || imsg_relay_open(in_scratch("race", ""), NULL, &relay, NULL) != IMSG_OK)
        return 1;
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (deliver(relay, sender->same ? ROUNDS : i, 100, &duplicate) != IMSG_OK)
            return 2;
        fresh = (unsigned char)(fresh + !duplicate);
    }
    imsg_relay_close(relay);
    return write(sender->report[1], &fresh, 1) == 1 ? 0 : 3;
}

static void test_race(bool same, int want, int files)
{
    struct sender sender = {.same = same};
    unsigned char fresh[2] = {0};
    if (pipe(sender.start) != 0 || pipe(sender.report) != 0)
        perror("pipe");
    pid_t first = start_child(sender_work, &sender), second = start_child(sender_work, &sender);
    close(sender.start[0]);
    close(sender.start[1]);
    int left = end_child(first), right = end_child(second);
    tap_ok(left == 0 && right == 0, "two senders, no error (%d, %d)", left, right);
    tap_ok(read(sender.report[0], fresh, 1) == 1 && read(sender.report[0], fresh + 1, 1) == 1, "both report");
    tap_ok(fresh[0] + fresh[1] == want, "%d + %d were the first, want %d", fresh[0], fresh[1], want);
    tap_ok(count_files(in_box("race", "new", "")) == files, "%d files", files);
    tap_ok(count_files(in_box("race", "tmp", "")) == 0, "tmp is empty");
    close(sender.report[0]);
    close(sender.report[1]);
}

static int deliver_one(void *context)
{
    struct imsg_relay *relay = NULL;
    if (imsg_relay_open(in_scratch("wait", ""), NULL, &relay, NULL) != IMSG_OK)
        return 1;
    enum imsg_status status = deliver(relay, *(unsigned *)context, 100, NULL);
    imsg_relay_close(relay);
    return (int)status;
}

static double timed_wait(struct imsg_relay *relay, unsigned seconds)
{
    double start = seconds_now();
    tap_status(imsg_relay_wait(relay, TOKEN, seconds, &err), IMSG_OK, &err, "wait");
    return seconds_now() - start;
}

struct waiter {
    int ready[2], done[2];
};

static int waiter_work(void *opaque)
{
    struct waiter *waiter = opaque;
    struct imsg_relay *relay = NULL;
    struct imsg_waiting waiting = {0};
    if (imsg_relay_open(in_scratch("wait", ""), NULL, &relay, NULL) != IMSG_OK)
        return 1;
    double start = 0;
    while (imsg_relay_list(relay, TOKEN, &waiting, NULL) == IMSG_OK && waiting.count == 0) {
        if (start == 0 && write(waiter->ready[1], "", 1) != 1)
            return 2;
        start = start == 0 ? seconds_now() : start;
        if (imsg_relay_wait(relay, TOKEN, 60, NULL) != IMSG_OK)
            return 3;
    }
    bool quick = start > 0 && seconds_now() - start < 3;
    imsg_waiting_free(&waiting);
    imsg_relay_close(relay);
    return quick ? 0 : 4;
}

static void test_wait(void)
{
    static struct imsg_relay *relay; /* static: a child of ours does not lose it, for leak checkers */
    relay = open_relay("wait");
    struct waiter waiter;
    char byte, name[65];
    unsigned n = 1;
    tap_status(imsg_relay_mailbox(relay, TOKEN, &err), IMSG_OK, &err, "mailbox");
    tap_ok(waiting_count(relay) == 0, "nothing waits");
    tap_ok(end_child(start_child(deliver_one, &n)) == 0, "another process delivers between list and wait");
    tap_ok(timed_wait(relay, 60) < 2, "wait comes back at once");
    tap_ok(timed_wait(relay, 60) < 2, "and again, as long as nobody looked");
    tap_ok(waiting_count(relay) == 1, "one waits");
    double idle = timed_wait(relay, 1);
    tap_ok(idle > 0.9 && idle < 3, "then nothing new comes for a second");
    name_of(1, name);
    tap_status(acknowledge(relay, name), IMSG_OK, &err, "ack");

    /* Not at a moment that can be named: either the event is queued before the wait, or it ends it. */
    if (pipe(waiter.ready) != 0)
        perror("pipe");
    pid_t pid = start_child(waiter_work, &waiter);
    tap_ok(read(waiter.ready[0], &byte, 1) == 1, "a process waits");
    tap_status(deliver(relay, 2, 100, NULL), IMSG_OK, &err, "deliver");
    tap_ok(end_child(pid) == 0, "it wakes up well under 5 s");
    close(waiter.ready[0]);
    close(waiter.ready[1]);

    name_of(2, name);
    tap_status(acknowledge(relay, name), IMSG_OK, &err, "ack");
    tap_ok(rmdir(in_box("wait", "new", "")) == 0 && mkdir(in_box("wait", "new", ""), 0777) == 0, "new is made anew");
    tap_ok(waiting_count(relay) == 0, "nothing waits");
    n = 3;
    tap_ok(end_child(start_child(deliver_one, &n)) == 0, "another process delivers");
    tap_ok(timed_wait(relay, 60) < 2, "wait comes back at once");
    tap_ok(waiting_count(relay) == 1, "one waits");
    idle = timed_wait(relay, 60);
    tap_ok(idle > 4 && idle < 10, "the caller gets to look after 5 s even so");
    imsg_relay_close(relay);
}

int main(void)
{
    umask(022);
    alarm(600); /* a test that blocks is a test that fails */
    imsg_hex(TOKEN, sizeof TOKEN, token_hex);
    scratch_make();
    test_locations();
    test_contract(in_scratch("deep/relay", ""));
    test_taken_names();
    test_files();
    test_odd_files();
    test_links();
    test_expiry();
    test_failures();
    struct imsg_relay *relay = open_relay("race");
    tap_status(imsg_relay_mailbox(relay, TOKEN, &err), IMSG_OK, &err, "mailbox");
    imsg_relay_close(relay);
    test_race(true, 1, 1);
    test_race(false, ROUNDS, ROUNDS + 1);
    test_wait();
    scratch_remove();
    return tap_done();
}
