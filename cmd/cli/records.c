/* Device records, one a line. Checking a record's keys takes longer than reading it, so the lines are parsed on all
 * cores, and taken in order. */
#include "cli/cli.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/pool.h"

#define JOBS_EACH 16 /* lines under way for every core */

/* One line. */
struct job {
    struct imsg_buf line;
    uint64_t number;
    struct imsg_device device;
    enum imsg_status status;
    struct imsg_error err;
};

static void parse_job(void *argument)
{
    struct job *job = argument;
    if (job->status == IMSG_OK)
        job->status = imsg_device_parse(imsg_buf_view(&job->line), &job->device, &job->err);
}

/* A bad line is reported, and the rest goes on. */
static enum imsg_status finish(struct cli *cli, const struct cli_input *input, struct job *job,
                               struct imsg_devices *list, struct imsg_error *err)
{
    enum imsg_status status = job->status;
    if (status == IMSG_OK)
        status = imsg_devices_add(list, &job->device, &job->err);
    if (status == IMSG_IO || status == IMSG_NO_MEMORY) {
        *err = job->err;
        return status;
    }
    if (status != IMSG_OK) {
        imsg_error_prefix(&job->err, "%s: line %llu", input->name, (unsigned long long)job->number);
        cli_report(cli, &job->err);
    }
    return IMSG_OK;
}

static enum imsg_status read_lines(struct cli *cli, const struct cli_input *input, struct imsg_pool *pool,
                                   struct job *jobs, size_t depth, struct imsg_devices *list, struct imsg_error *err)
{
    struct imsg_lines lines;
    struct imsg_view line;
    struct job *job;
    size_t given = 0;
    enum imsg_status status = IMSG_OK;
    imsg_lines_start(&lines, input->fd, IMSG_LINE_MAX);
    for (bool more = true; status == IMSG_OK && more;) {
        if (imsg_pool_full(pool)) {
            status = finish(cli, input, imsg_pool_next(pool), list, err);
            continue;
        }
        job = &jobs[given % depth];
        job->status = imsg_lines_next(&lines, &line, &more, NULL, &job->err);
        if (job->status == IMSG_OK && (!more || line.len == 0))
            continue;
        more = more && job->status != IMSG_IO && job->status != IMSG_NO_MEMORY;
        job->number = lines.number;
        imsg_buf_clear(&job->line);
        if (job->status == IMSG_OK)
            job->status = imsg_buf_append(&job->line, line.ptr, line.len, &job->err);
        given++;
        imsg_pool_add(pool, job);
    }
    while (status == IMSG_OK && (job = imsg_pool_next(pool)))
        status = finish(cli, input, job, list, err);
    imsg_lines_free(&lines);
    return status;
}

enum imsg_status cli_records_read(struct cli *cli, const char *operand, struct imsg_devices *list,
                                  struct imsg_error *err)
{
    struct cli_input input;
    struct imsg_pool *pool = NULL;
    unsigned threads = cli_jobs(cli);
    size_t depth = threads > 1 ? (size_t)threads * JOBS_EACH : 1;
    enum imsg_status status = cli_input_open(cli, operand, &input, err);
    if (status != IMSG_OK)
        return status;
    struct job *jobs = calloc(depth, sizeof *jobs);
    status =
        jobs ? imsg_pool_new(threads, depth, parse_job, &pool, err) : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (status == IMSG_OK)
        status = read_lines(cli, &input, pool, jobs, depth, list, err);
    imsg_pool_free(pool);
    for (size_t i = 0; jobs && i < depth; i++) {
        imsg_buf_free(&jobs[i].line);
        imsg_device_free(&jobs[i].device);
    }
    free(jobs);
    cli_input_close(&input);
    return status;
}
