/* Device records, one a line. Checking a record's keys takes longer than reading it, so the lines are parsed on all
 * cores and added in order. */
#include <stdlib.h>

#include "base/io.h"
#include "base/json.h"
#include "base/pipeline.h"
#include "client/client.h"

#define JOBS_EACH 16 /* lines under way for every thread */

/* One line. */
struct job {
    struct imsg_buf line;
    uint64_t number;
    struct imsg_device device;
    enum imsg_status status;
    struct imsg_error err;
};

struct reading {
    struct imsg_lines lines;
    struct imsg_devices *list;
    imsg_bad_line *bad;
    void *context;
};

static enum imsg_status record_read(void *context, void *argument, bool busy, enum imsg_pipeline_step *step,
                                    struct imsg_error *err)
{
    struct reading *reading = context;
    struct job *job = argument;
    struct imsg_view line = {0};
    bool more = true;
    (void)busy;
    do {
        job->status = imsg_lines_next(&reading->lines, &line, &more, NULL, &job->err);
    } while (job->status == IMSG_OK && more && line.len == 0);
    *step = more ? IMSG_STEP_JOB : IMSG_STEP_END;
    if (job->status == IMSG_IO || job->status == IMSG_NO_MEMORY) {
        *err = job->err;
        return job->status;
    }
    job->number = reading->lines.number;
    imsg_buf_clear(&job->line);
    if (job->status == IMSG_OK && more)
        job->status = imsg_buf_append(&job->line, line.ptr, line.len, &job->err);
    return IMSG_OK;
}

static void record_parse(void *argument)
{
    struct job *job = argument;
    if (job->status == IMSG_OK)
        job->status = imsg_device_parse(imsg_buf_view(&job->line), &job->device, &job->err);
}

static enum imsg_status record_add(void *context, void *argument, struct imsg_error *err)
{
    struct reading *reading = context;
    struct job *job = argument;
    if (job->status == IMSG_OK)
        job->status = imsg_devices_add(reading->list, &job->device, &job->err);
    if (job->status == IMSG_NO_MEMORY) {
        *err = job->err;
        return job->status;
    }
    if (job->status != IMSG_OK && reading->bad)
        reading->bad(reading->context, job->number, &job->err);
    return IMSG_OK;
}

static void record_clear(void *argument)
{
    struct job *job = argument;
    imsg_buf_free(&job->line);
    imsg_device_free(&job->device);
}

enum imsg_status imsg_records_read(int fd, unsigned threads, struct imsg_devices *list, imsg_bad_line *bad,
                                   void *context, struct imsg_error *err)
{
    struct reading reading = {.list = list, .bad = bad, .context = context};
    const struct imsg_pipeline pipeline = {
        .threads = threads,
        .depth = imsg_pipeline_depth(threads, JOBS_EACH),
        .job_size = sizeof(struct job),
        .read = record_read,
        .work = record_parse,
        .finish = record_add,
        .clear = record_clear,
        .context = &reading,
    };
    imsg_lines_start(&reading.lines, fd, IMSG_LINE_MAX);
    enum imsg_status status = imsg_pipeline_run(&pipeline, err);
    imsg_lines_free(&reading.lines);
    return status;
}
