#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imsg.h"

static struct imsg_step *add(struct imsg_trace *trace, const char *name)
{
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
    *step = (struct imsg_step){.name = name};
    return step;
}

void imsg_trace_value(struct imsg_trace *trace, const char *name, struct imsg_view bytes)
{
    struct imsg_step *step = trace ? add(trace, name) : NULL;
    if (step && imsg_buf_append(&step->bytes, bytes.ptr, bytes.len, NULL) != IMSG_OK)
        trace->incomplete = true;
}

bool imsg_trace_check(struct imsg_trace *trace, const char *name, bool ok, const char *note)
{
    struct imsg_step *step = trace ? add(trace, name) : NULL;
    if (step) {
        step->is_check = true;
        step->ok = ok;
        snprintf(step->note, sizeof step->note, "%s", ok ? "" : note);
    }
    return ok;
}

void imsg_trace_free(struct imsg_trace *trace)
{
    for (size_t i = 0; i < trace->count; i++)
        imsg_buf_free(&trace->steps[i].bytes);
    free(trace->steps);
    *trace = (struct imsg_trace){0};
}
