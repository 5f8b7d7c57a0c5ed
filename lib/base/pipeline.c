#include "base/pipeline.h"

#include <stdlib.h>

size_t imsg_pipeline_depth(unsigned threads, size_t each)
{
    return threads > 1 ? threads * each : 1;
}

static enum imsg_status finish_next(const struct imsg_pipeline *pipeline, struct imsg_pool *pool, size_t *under_way,
                                    struct imsg_error *err)
{
    --*under_way;
    return pipeline->finish(pipeline->context, imsg_pool_next(pool), err);
}

static enum imsg_status run(const struct imsg_pipeline *pipeline, struct imsg_pool *pool, char *jobs,
                            struct imsg_error *err)
{
    enum imsg_pipeline_step step = IMSG_STEP_JOB;
    enum imsg_status status = IMSG_OK, failed = IMSG_OK;
    struct imsg_error reading = {0};
    size_t given = 0, under_way = 0;
    while (status == IMSG_OK && failed == IMSG_OK && step != IMSG_STEP_END) {
        if (imsg_pool_full(pool) || step == IMSG_STEP_LATER) {
            step = IMSG_STEP_JOB;
            status = finish_next(pipeline, pool, &under_way, err);
            continue;
        }
        void *job = jobs + (given % pipeline->depth) * pipeline->job_size;
        failed = pipeline->read(pipeline->context, job, under_way > 0, &step, &reading);
        if (failed == IMSG_OK && step == IMSG_STEP_JOB) {
            imsg_pool_add(pool, job);
            given++;
            under_way++;
        }
    }
    while (status == IMSG_OK && under_way > 0)
        status = finish_next(pipeline, pool, &under_way, err);
    if (status == IMSG_OK && failed != IMSG_OK) {
        status = failed;
        *err = reading;
    }
    return status;
}

enum imsg_status imsg_pipeline_run(const struct imsg_pipeline *pipeline, struct imsg_error *err)
{
    struct imsg_error unheard; /* what read and finish write to is never NULL */
    struct imsg_pool *pool = NULL;
    char *jobs = calloc(pipeline->depth, pipeline->job_size);
    enum imsg_status status = jobs ? imsg_pool_new(pipeline->threads, pipeline->depth, pipeline->work, &pool, err)
                                   : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (status == IMSG_OK)
        status = run(pipeline, pool, jobs, err ? err : &unheard);
    imsg_pool_free(pool); /* no job runs any more */
    for (size_t i = 0; jobs && pipeline->clear && i < pipeline->depth; i++)
        pipeline->clear(jobs + i * pipeline->job_size);
    free(jobs);
    return status;
}
