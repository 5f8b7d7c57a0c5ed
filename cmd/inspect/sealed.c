/* The chunks of a sealed file, one at a time, in constant memory. The keys come from its envelopes, which were
 * inspected before. */
#include "inspect/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "client/chunks.h"

enum { CHUNK = IMSG_STREAM_CHUNK + IMSG_STREAM_EXTRA, TAG = 16 };
#define CONTENT_SHOWN 64 /* bytes of each chunk */
#define PLACES 64        /* chunk numbers tried for one that is not in its place */

struct sealed_run {
    struct inspect *run;
    const struct source *source;
    struct imsg_stream *stream; /* with the key, where there is one */
    struct imsg_stream *verifier;
    uint64_t number, at, content;
    uint64_t failed; /* the first chunk that is refused, where there is a reason */
    char reason[160];
};

bool is_sealed_file(struct imsg_view bytes)
{
    const uint8_t *end = bytes.ptr + bytes.len;
    for (const uint8_t *at = bytes.ptr; at && at < end; at = at ? at + 1 : NULL) {
        if (imsg_stream_is(imsg_view_of(at, (size_t)(end - at))))
            return true;
        at = memchr(at, '\n', (size_t)(end - at));
    }
    return false;
}

/* Whether the line is committed to the header's key. */
static bool judge_commitment(struct item *item, struct imsg_error *err)
{
    const struct sealed *sealed = &item->run->sealed;
    struct imsg_trace trace = {0};
    struct imsg_stream *stream = NULL;
    bool fits = imsg_stream_new_traced(sealed->key, &sealed->line, &trace, &stream, err) == IMSG_OK;
    inspect_trace(item->json, &trace, NULL);
    imsg_trace_free(&trace);
    imsg_stream_free(stream);
    return fits && !tree_failed(item->json);
}

void judge_stream(struct item *item, struct imsg_error *err)
{
    struct sealed *sealed = &item->run->sealed;
    char note[80];
    enum imsg_status status = imsg_stream_parse(item->bytes, &sealed->line, err);
    sealed->whole = status == IMSG_OK;
    if (status != IMSG_OK) {
        tree_error(item, status, err);
        return;
    }
    if (!sealed->held)
        return;
    bool same = strcmp(sealed->line.id, sealed->id) == 0;
    snprintf(note, sizeof note, "the header says %s", sealed->id);
    tree_check(item->json, "stream_id", same, note);
    sealed->held = same && judge_commitment(item, err);
    const json_t *failed = tree_failed(item->json);
    if (failed)
        tree_verdict(item, IMSG_REFUSED, "imsg-open refuses it (%s: %s)",
                     json_string_value(json_object_get(failed, "name")),
                     json_string_value(json_object_get(failed, "note")));
}

/* ---- a chunk ---- */

/* What the signature alone says of a chunk; nothing is decrypted. */
static enum imsg_status judge_signature(const struct sealed_run *sealed, const struct imsg_chunk *chunk)
{
    struct imsg_trace trace = {0};
    enum imsg_status status = imsg_stream_open_traced(sealed->verifier, sealed->run->sealed.auth, chunk, &trace, NULL);
    enum imsg_status why = trace.why;
    imsg_trace_free(&trace);
    return status == IMSG_OK ? IMSG_OK : why;
}

/* Where a chunk belongs whose signature does not fit here. */
static void find_place(const struct sealed_run *sealed, const struct imsg_chunk *chunk, json_t *json)
{
    for (uint64_t i = 0; i < PLACES + 1; i++) {
        struct imsg_chunk other = *chunk;
        other.number = i == 0 ? chunk->number : i - 1;
        for (int both = 0; both < 2; both++) {
            other.last = both ? !chunk->last : chunk->last;
            if ((other.number == chunk->number && other.last == chunk->last) ||
                judge_signature(sealed, &other) != IMSG_OK)
                continue;
            if (other.number != chunk->number)
                tree_note(json, "this is chunk %llu of the file", (unsigned long long)other.number);
            else if (chunk->last)
                tree_note(json, "the signature is that of a chunk which another follows: the file was cut here");
            else
                tree_note(json, "the signature is that of the last chunk: the rest does not belong to the file");
            return;
        }
    }
}

static void rows_chunk(json_t *json, struct imsg_view bytes)
{
    size_t content = bytes.len - IMSG_STREAM_EXTRA;
    const uint8_t *extra = bytes.ptr + content;
    tree_row(json, "chunk", 0, content, "ciphertext", NULL);
    tree_row(json, "chunk", content, TAG, "tag", tree_hex(imsg_view_of(extra, TAG)));
    tree_row(json, "chunk", content + TAG, IMSG_STREAM_EXTRA - TAG, "signature",
             tree_hex(imsg_view_of(extra + TAG, IMSG_STREAM_EXTRA - TAG)));
}

static void keep_reason(struct sealed_run *sealed, const char *text)
{
    if (sealed->reason[0])
        return;
    snprintf(sealed->reason, sizeof sealed->reason, "%.159s", text);
    sealed->failed = sealed->number;
}

static void open_chunk(struct sealed_run *sealed, struct item *item, const struct imsg_chunk *chunk)
{
    const struct sealed *known = &sealed->run->sealed;
    const uint8_t *auth = known->has_auth ? known->auth : NULL;
    struct imsg_trace trace = {0};
    struct imsg_error err = {0};
    struct imsg_stream *stream = sealed->stream ? sealed->stream : sealed->verifier;
    if (auth && judge_signature(sealed, chunk) == IMSG_BAD_SIGNATURE)
        find_place(sealed, chunk, item->json);
    enum imsg_status status = imsg_stream_open_traced(stream, auth, chunk, &trace, &err), why = trace.why;
    inspect_trace(item->json, &trace, NULL);
    imsg_trace_free(&trace);
    const json_t *failed = tree_failed(item->json);
    if (status != IMSG_OK && failed) {
        const char *name = json_string_value(json_object_get(failed, "name"));
        const char *note = json_string_value(json_object_get(failed, "note"));
        keep_reason(sealed, note);
        tree_verdict(item, IMSG_REFUSED, "imsg-open refuses it: %s (%s: %s)", imsg_status_name(why), name, note);
    } else if (status != IMSG_OK) {
        tree_error(item, status, &err);
    } else if (sealed->stream) {
        size_t content = chunk->len - IMSG_STREAM_EXTRA;
        tree_value(item->json, "content",
                   imsg_view_of(chunk->bytes, content < CONTENT_SHOWN ? content : CONTENT_SHOWN));
    }
}

static enum imsg_status report_chunk(struct sealed_run *sealed, uint8_t *chunk, size_t len, bool last,
                                     struct imsg_error *err)
{
    struct item item = tree_start(sealed->run, "chunk", imsg_view_of(chunk, len));
    struct imsg_buf copy = {0}; /* for the hex dump: opening decrypts in place */
    enum imsg_status status = IMSG_OK;
    tree_set(item.json, "number", json_integer((json_int_t)sealed->number));
    tree_set(item.json, "last", json_boolean(last));
    tree_set(item.json, "at", json_integer((json_int_t)sealed->at));
    if (cli_given(&sealed->run->cli, OPT_HEX)) {
        status = imsg_buf_append(&copy, chunk, len, err);
        item.bytes = imsg_buf_view(&copy);
    }
    if (len < IMSG_STREAM_EXTRA) {
        struct imsg_error short_err = {0};
        tree_row(item.json, "chunk", 0, len, "unreadable", tree_hex(imsg_view_of(chunk, len)));
        enum imsg_status why = imsg_fail_at(&short_err, IMSG_MALFORMED, len,
                                            "chunk %llu ends before its tag and signature do: the file was cut",
                                            (unsigned long long)sealed->number);
        tree_error(&item, why, &short_err);
        keep_reason(sealed, short_err.text);
    } else {
        rows_chunk(item.json, imsg_view_of(chunk, len));
        open_chunk(sealed, &item, &(struct imsg_chunk){sealed->number, last, chunk, len});
        sealed->content += len - IMSG_STREAM_EXTRA;
    }
    if (status == IMSG_OK)
        status = inspection_report(&item, sealed->source, 0, "binary", err);
    else
        json_decref(item.json);
    imsg_buf_free(&copy);
    return status;
}

/* ---- the whole ---- */

static void judge_file(const struct sealed_run *sealed, struct item *item)
{
    const struct sealed *known = &sealed->run->sealed;
    bool keys = inspect_has_keys(sealed->run);
    if (sealed->number == 0) {
        struct imsg_error err = {0};
        tree_error(item, imsg_fail(&err, IMSG_MALFORMED, "there is no chunk: the file ends after its lines"), &err);
    } else if (known->mine > 1) {
        tree_verdict(item, IMSG_REFUSED, "imsg-open refuses it: %u envelopes for this device, not one", known->mine);
    } else if (sealed->reason[0]) {
        tree_verdict(item, IMSG_REFUSED, "imsg-open refuses it at chunk %llu: %s", (unsigned long long)sealed->failed,
                     sealed->reason);
    } else if (keys && known->mine > 0 && !known->held) {
        tree_verdict(item, IMSG_REFUSED, "imsg-open refuses it: the envelope for this device gives no key");
    } else if (known->held) {
        tree_verdict(item, IMSG_OK, "imsg-open accepts it");
    }
    if (!keys)
        tree_note(item->json, "not opened: give -i IDENTITY");
    else if (known->mine == 0)
        tree_note(item->json, "not opened: no envelope for this device");
    if (!known->has_auth)
        tree_note(item->json, "signatures: not checked, give -R RECORDS");
}

static enum imsg_status report_file(const struct sealed_run *sealed, struct imsg_error *err)
{
    struct item item = tree_start(sealed->run, "sealed-file", imsg_view_of(NULL, 0));
    tree_set(item.json, "length", json_integer((json_int_t)sealed->at));
    tree_set(item.json, "chunks", json_integer((json_int_t)sealed->number));
    tree_set(item.json, "content_length", json_integer((json_int_t)sealed->content));
    judge_file(sealed, &item);
    return inspection_report(&item, sealed->source, 0, "binary", err);
}

static enum imsg_status open_streams(struct sealed_run *sealed, struct imsg_error *err)
{
    const struct sealed *known = &sealed->run->sealed;
    enum imsg_status status = imsg_stream_new(NULL, &known->line, &sealed->verifier, err);
    if (status == IMSG_OK && known->held)
        status = imsg_stream_new(known->key, &known->line, &sealed->stream, err);
    return status;
}

enum imsg_status inspect_sealed(struct inspect *run, struct imsg_view first, int fd, uint64_t at,
                                const struct source *source, struct imsg_error *err)
{
    struct sealed_run sealed = {.run = run, .source = source, .at = at};
    struct imsg_chunks chunks;
    bool last = first.len == 0 && fd < 0;
    size_t len = 0;
    uint8_t *chunk = malloc(CHUNK);
    enum imsg_status status = chunk ? open_streams(&sealed, err) : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    imsg_chunks_start(&chunks, first, fd);
    while (status == IMSG_OK && !last) {
        status = imsg_chunks_next(&chunks, chunk, CHUNK, &len, &last, err);
        if (status == IMSG_IO)
            imsg_error_prefix(err, "%s", source->name);
        if (status != IMSG_OK || len == 0)
            break;
        status = report_chunk(&sealed, chunk, len, last, err);
        sealed.number++;
        sealed.at += len;
    }
    if (status == IMSG_OK)
        status = report_file(&sealed, err);
    imsg_stream_free(sealed.stream);
    imsg_stream_free(sealed.verifier);
    if (chunk)
        imsg_wipe(chunk, CHUNK);
    free(chunk);
    return status;
}
