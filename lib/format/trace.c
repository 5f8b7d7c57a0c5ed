#include "format/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct imsg_step *add_step(struct imsg_trace *trace, const char *name, enum imsg_step_kind kind)
{
    if (!trace)
        return NULL;
    if (trace->count == trace->cap) {
        size_t cap = trace->cap ? 2 * trace->cap : 32;
        struct imsg_step *steps = realloc(trace->steps, cap * sizeof *steps);
        if (!steps) {
            trace->incomplete = true;
            return NULL;
        }
        trace->steps = steps;
        trace->cap = cap;
    }
    struct imsg_step *step = &trace->steps[trace->count++];
    *step = (struct imsg_step){.name = name, .kind = kind};
    return step;
}

static void add_bytes(struct imsg_trace *trace, const char *name, enum imsg_step_kind kind, struct imsg_view bytes)
{
    struct imsg_step *step = add_step(trace, name, kind);
    if (step && imsg_buf_append(&step->bytes, bytes.ptr, bytes.len, NULL) != IMSG_OK)
        trace->incomplete = true;
}

void imsg_trace_value(struct imsg_trace *trace, const char *name, struct imsg_view bytes)
{
    if (trace)
        add_bytes(trace, name, IMSG_STEP_VALUE, bytes);
}

void imsg_trace_text(struct imsg_trace *trace, const char *name, const char *text)
{
    if (trace)
        add_bytes(trace, name, IMSG_STEP_TEXT, imsg_view_str(text));
}

void imsg_trace_number(struct imsg_trace *trace, const char *name, uint64_t number)
{
    struct imsg_step *step = add_step(trace, name, IMSG_STEP_NUMBER);
    if (step)
        step->number = number;
}

bool imsg_trace_check(struct imsg_trace *trace, const char *name, bool ok, const char *note)
{
    struct imsg_step *step = add_step(trace, name, IMSG_STEP_CHECK);
    if (step) {
        step->ok = ok;
        snprintf(step->note, sizeof step->note, "%s", ok ? "" : note);
    }
    return ok;
}

const struct imsg_step *imsg_trace_find(const struct imsg_trace *trace, const char *name, enum imsg_step_kind kind)
{
    for (size_t i = trace->count; i-- > 0;)
        if (trace->steps[i].kind == kind && strcmp(trace->steps[i].name, name) == 0)
            return &trace->steps[i];
    return NULL;
}

size_t imsg_trace_mark(const struct imsg_trace *trace)
{
    return trace ? trace->count : 0;
}

void imsg_trace_cut(struct imsg_trace *trace, size_t mark)
{
    if (!trace)
        return;
    while (trace->count > mark)
        imsg_buf_free(&trace->steps[--trace->count].bytes);
    imsg_layout_free(&trace->inner);
    trace->key_fits = false;
}

void imsg_trace_free(struct imsg_trace *trace)
{
    imsg_trace_cut(trace, 0);
    free(trace->steps);
    *trace = (struct imsg_trace){0};
}
