/* Fuzzing: one target per parser, tests/fuzz/NAME.c, and its seeds in tests/fuzz/corpus/NAME/.
 *
 * To add one, write NAME.c with LLVMFuzzerTestOneInput and a part of make-corpus that fills corpus/NAME/; the Makefile
 * finds both. `make check` replays the seeds with the ordinary compiler (replay.c, $(BUILD)/unit/t-fuzz-NAME), `make
 * fuzz` mutates them under ASan and UBSan (run). A line " * max_len N" in NAME.c's first comment is the longest input
 * in bytes; 4096 where there is none. What was found once stays as corpus/NAME/found-…, which make-corpus leaves alone.
 *
 * A target asserts more than that nothing crashes: what was read prints and reads again as the same, a refusal names an
 * offset inside the input and leaves the output as it was. Where a signature or an encoding keeps mutations out, an
 * input may start with a letter no real input starts with, and the target itself makes what stands around the rest. */
#ifndef FUZZ_H
#define FUZZ_H

#include <string.h>

#include "format/layout.h"

/* libFuzzer's. Always return 0. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* abort() unless it holds: a finding for libFuzzer as for replay.c. */
#define MUST(condition) ((condition) ? (void)0 : fuzz_broken(__FILE__, __LINE__, #condition))
_Noreturn void fuzz_broken(const char *file, int line, const char *condition);
/* The same for a call that must succeed; shows its error. */
#define MUST_OK(call) fuzz_must_ok(__FILE__, __LINE__, (call), &fuzz_err)
void fuzz_must_ok(const char *file, int line, enum imsg_status status, const struct imsg_error *err);
extern struct imsg_error fuzz_err; /* for the call inside MUST_OK */

/* What every refusal of an input of `size` bytes must be: a status that blames the input, the same in err, a sentence,
 * and an offset within the input. */
void fuzz_refused(enum imsg_status status, const struct imsg_error *err, size_t size);
/* The same for a JSON document: once the JSON itself is good, an offset would be one inside some member. */
void fuzz_refused_document(enum imsg_status status, const struct imsg_error *err, struct imsg_view document);
/* Fill an output before a call, and see whether one that failed left it as it was. */
void fuzz_paint(void *out, size_t len);
bool fuzz_untouched(const void *out, size_t len);
/* A layout's parts lie within `size` bytes, and those inside others within these. */
void fuzz_lies_within(const struct imsg_layout *layout, size_t size);
/* And they leave none of them out. */
void fuzz_covers(const struct imsg_layout *layout, size_t size);
/* True if the input starts with `mode`, which is taken off. */
bool fuzz_mode(struct imsg_view *input, char mode);
/* Up to `len` bytes off the front. */
struct imsg_view fuzz_take(struct imsg_view *input, size_t len);
/* With a NUL behind it, in memory of exactly that size. The caller's. */
char *fuzz_string(struct imsg_view bytes);
/* Equal, or both NULL. */
bool fuzz_same(const char *a, const char *b);

#endif
