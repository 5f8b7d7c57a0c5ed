/* What t-wycheproof.c needs around its cases: their bytes, the answers, and the counting. */
#ifndef WYCHEPROOF_H
#define WYCHEPROOF_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/err.h>

#include "base/text.h"
#include "tap.h"
#include "vector.h"

enum answer {
    ACCEPTED,
    REFUSED,
    NOT_OURS, /* `note` says why */
    WRONG,    /* neither a proper yes nor the proper no; `note` says what */
};

static _Noreturn void IMSG_PRINTF(1, 2) broken(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    printf("Bail out! wycheproof: ");
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
    exit(1);
}

/* ---- The bytes of one case ---- */

static uint8_t *pieces[8];
static size_t piece_count;

/* Memory of exactly its size, so that a checker of memory sees the first byte read beyond. Until forget_pieces. */
static struct imsg_view hex(const json_t *object, const char *member)
{
    const char *text = vector_string(object, member);
    size_t len = strlen(text) / 2;
    uint8_t *bytes = piece_count < sizeof pieces / sizeof *pieces ? malloc(len > 0 ? len : 1) : NULL;

    if (!bytes || imsg_hex_decode(imsg_view_str(text), bytes, len, NULL) != IMSG_OK)
        broken("\"%s\" is no hex, or no memory", member);
    pieces[piece_count++] = bytes;
    return imsg_view_of(bytes, len);
}

static void forget_pieces(void)
{
    while (piece_count > 0)
        free(pieces[--piece_count]);
}

static size_t number(const json_t *object, const char *member)
{
    const json_t *value = vector_member(object, member);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        broken("\"%s\" is no number", member);
    return (size_t)json_integer_value(value);
}

static bool is_text(const json_t *object, const char *member, const char *want)
{
    return strcmp(vector_string(object, member), want) == 0;
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++)
        any |= bytes[i];
    return any == 0;
}

enum result { VALID, INVALID, ACCEPTABLE, RESULTS };
static const char *const result_names[RESULTS] = {"valid", "invalid", "acceptable"};

static enum result result_of(const json_t *test)
{
    for (int i = 0; i < RESULTS; i++) {
        if (is_text(test, "result", result_names[i]))
            return (enum result)i;
    }
    broken("\"%s\" is no result", vector_string(test, "result"));
}

/* The yes, the one proper no, or neither. */
static enum answer answer_of(enum imsg_status got, enum imsg_status no, const char **note)
{
    if (got == IMSG_OK)
        return ACCEPTED;
    if (got == no)
        return REFUSED;
    *note = imsg_status_name(got);
    return WRONG;
}

/* ---- Counting ---- */

struct tally {
    unsigned seen, agreed[RESULTS], not_ours, disagreed, left_errors;
    struct {
        const char *note;
        unsigned count;
    } notes[8];
};

static void count_note(struct tally *tally, const char *note)
{
    size_t i = 0;
    while (tally->notes[i].note && strcmp(tally->notes[i].note, note) != 0) {
        if (++i == sizeof tally->notes / sizeof *tally->notes)
            broken("more kinds of notes than expected");
    }
    tally->notes[i].note = note;
    tally->notes[i].count++;
}

static void judge(const char *file, const json_t *test, enum answer answer, const char *note, struct tally *tally)
{
    static const char *const names[] = {"accepted", "refused", "not ours", "wrong"};
    enum result want = result_of(test);

    if (answer != WRONG && note)
        count_note(tally, note);
    if (answer == NOT_OURS) {
        tally->not_ours++;
    } else if (answer == (want == VALID ? ACCEPTED : REFUSED)) {
        tally->agreed[want]++;
    } else {
        tally->disagreed++;
        tap_ok(false, "%s: case %zu (%s) is %s, but %s%s%s", file, number(test, "tcId"), vector_string(test, "comment"),
               result_names[want], names[answer], note ? ": " : "", note ? note : "");
    }
    if (ERR_peek_error() != 0) {
        tally->left_errors++;
        ERR_clear_error();
    }
}

static void report(const char *file, const struct tally *tally, size_t announced)
{
    unsigned ours = tally->agreed[VALID] + tally->agreed[INVALID] + tally->agreed[ACCEPTABLE];

    printf("# %s: %u cases: %u valid accepted, %u invalid refused, %u acceptable refused, %u not ours, %u disagree\n",
           file, tally->seen, tally->agreed[VALID], tally->agreed[INVALID], tally->agreed[ACCEPTABLE], tally->not_ours,
           tally->disagreed);
    for (size_t i = 0; i < sizeof tally->notes / sizeof *tally->notes && tally->notes[i].note; i++)
        printf("#   of these %u: %s\n", tally->notes[i].count, tally->notes[i].note);
    if (tally->left_errors > 0)
        printf("#   OpenSSL's error queue was left with something %u times\n", tally->left_errors);
    tap_ok(tally->disagreed == 0 && tally->left_errors == 0 && ours > 0 && tally->seen == announced,
           "%s: all %zu cases read, all agree", file, announced);
}

#endif
