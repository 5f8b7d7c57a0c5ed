/* Mauled messages (maul.h) of both formats: each is refused, nothing of it comes out, and all that look right without a
 * key are refused alike. 2^18 of them with DEEP=1, 2^13 otherwise, 2^8 under valgrind. SEED: other ones.
 *
 * t-mauled --write FOLDER COUNT makes what tests/deep/refused-alike.bats gives to imsg-open: bob's identity, alice's
 * record, and COUNT lines on standard output that are refused only where a key is used. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imsg-client.h"
#include "maul.h"
#include "tap.h"

static struct imsg_error err;

struct counts {
    size_t opened, released, same, refused, malformed, other_texts;
    char text[sizeof err.text]; /* of the first refusal */
};

/* As imsg-open does it. */
static enum imsg_status open_line(struct maul *maul, const struct maul_case *which, struct imsg_view line, bool *same,
                                  size_t *released)
{
    struct imsg_envelope envelope = {0};
    struct imsg_message message = {0};
    enum imsg_status status = imsg_envelope_parse(line, &envelope, &err);
    if (status == IMSG_OK)
        status = imsg_open_envelope(&maul->bob.identity, &maul->alice.device, &envelope, &message, &err);
    *same = status == IMSG_OK && maul_means_same(which, &envelope, &message);
    *released = message.plaintext.len + message.content.len;
    imsg_message_free(&message);
    imsg_envelope_free(&envelope);
    return status;
}

static void show(const struct maul_case *which, const struct imsg_buf *line, const char *what)
{
    printf("# %s: %s of message %zu of \"%s\": %.*s\n", what, which->how, which->number,
           imsg_format_name(which->pool->format), (int)line->len, (const char *)line->ptr);
}

static void try_one(struct maul *maul, struct counts *counts)
{
    struct maul_case which;
    struct imsg_buf line = {0};
    bool same;
    size_t released;
    maul_next(maul, &which, &line);
    enum imsg_status status = open_line(maul, &which, imsg_buf_view(&line), &same, &released);
    if (same) {
        counts->same++;
    } else if (status == IMSG_OK) {
        counts->opened++;
        show(&which, &line, "opened");
    } else if (status == IMSG_REFUSED) {
        if (counts->refused++ == 0)
            snprintf(counts->text, sizeof counts->text, "%s", err.text);
        counts->other_texts += strcmp(counts->text, err.text) != 0;
    } else if (status == IMSG_MALFORMED || status == IMSG_UNSUPPORTED) {
        counts->malformed++;
    } else {
        counts->opened++;
        show(&which, &line, imsg_status_name(status));
    }
    if (status != IMSG_OK && released > 0) {
        counts->released++;
        show(&which, &line, "something came out");
    }
    imsg_buf_free(&line);
}

/* A sender whose record does not offer the format that his message has. */
static void try_other_record(struct maul *maul, struct imsg_device record, const struct maul_pool *pool)
{
    struct imsg_message message = {0};
    tap_status(imsg_open_envelope(&maul->bob.identity, &record, &pool->genuine[0], &message, &err), IMSG_REFUSED, &err,
               "a message in a format that its sender's record does not offer");
    tap_ok(strcmp(err.text, "refused") == 0, "is refused like the others: %s", err.text);
    imsg_message_free(&message);
}

static int write_refused(struct maul *maul, const char *folder, size_t count)
{
    char path[4096];
    struct imsg_buf record = {0};
    snprintf(path, sizeof path, "%s/identity.json", folder);
    enum imsg_status status = imsg_identity_create(path, &maul->bob.identity, &err);
    if (status == IMSG_OK)
        status = imsg_device_print(&maul->alice.device, NULL, &record, &err);
    snprintf(path, sizeof path, "%s/alice.jsonl", folder);
    FILE *file = status == IMSG_OK ? fopen(path, "w") : NULL;
    if (!file || fwrite(record.ptr, 1, record.len, file) != record.len || fclose(file) != 0)
        return 1;
    imsg_buf_free(&record);
    while (count > 0) {
        struct maul_case which;
        struct imsg_buf line = {0};
        bool same;
        size_t released;
        maul_next(maul, &which, &line);
        /* That no record has this handle and token is public, and said. */
        bool routed = strcmp(which.how, "rerouted") != 0 && strcmp(which.how, "the line") != 0;
        if (routed && open_line(maul, &which, imsg_buf_view(&line), &same, &released) == IMSG_REFUSED) {
            printf("%.*s\n", (int)line.len, (const char *)line.ptr);
            count--;
        }
        imsg_buf_free(&line);
    }
    return ferror(stdout) || fflush(stdout) != 0;
}

int main(int argc, char **argv)
{
    size_t cases = getenv("VALGRIND") ? 1 << 8 : getenv("DEEP") ? 1 << 18 : 1 << 13;
    const char *seed = getenv("SEED");
    struct counts counts = {0};
    struct maul maul;
    maul_start(&maul, seed ? strtoull(seed, NULL, 10) : 12);
    if (argc == 4 && strcmp(argv[1], "--write") == 0)
        return write_refused(&maul, argv[2], strtoul(argv[3], NULL, 10));
    for (size_t i = 0; i < MAUL_GENUINE; i++) {
        struct maul_case which = {"genuine", &maul.pools[i % 2], i};
        struct imsg_buf line = {0};
        bool same;
        size_t released;
        bool printed = imsg_envelope_print(&which.pool->genuine[i], &line, &err) == IMSG_OK;
        tap_ok(printed && open_line(&maul, &which, imsg_view_of(line.ptr, line.len - 1), &same, &released) == IMSG_OK &&
                   same,
               "message %zu opens as it was sealed", i);
        imsg_buf_free(&line);
    }
    struct imsg_device without = maul.alice.device; /* its members stay alice's */
    without.has_pair_ec = without.has_device_key = false;
    try_other_record(&maul, without, &maul.pools[0]);
    without = maul.alice.device;
    without.has_pair = false;
    try_other_record(&maul, without, &maul.pools[1]);
    size_t tried = 0;
    while (tried - counts.same < cases) {
        try_one(&maul, &counts);
        tried++;
    }
    tap_ok(counts.opened == 0, "none of %zu mauled messages opens", cases);
    tap_ok(counts.released == 0, "and nothing comes out");
    tap_ok(counts.other_texts == 0, "%zu look right without a key, and are refused with one text: %s", counts.refused,
           counts.text);
    tap_ok(counts.refused > cases / 4 && counts.malformed > cases / 8, "%zu are malformed", counts.malformed);
    tap_ok(counts.same < tried / 16, "%zu more mean what they meant", counts.same);
    tap_quality("A mauled message in process, both formats: refused, nothing out, refusals alike", cases,
                counts.opened + counts.released + counts.other_texts);
    maul_free(&maul);
    return tap_done();
}
