/* lib/base/pipeline: jobs are read and finished in order, worked on once, and cleared, whatever ends the run. */
#include <stdlib.h>

#include "base/pipeline.h"
#include "tap.h"

#define NOBODY (unsigned)-1

struct job {
    unsigned number, worked;
    bool later; /* it was put off once */
};

/* What happens, and what was seen. */
struct plan {
    unsigned jobs, bad_read, bad_finish;
    unsigned put_off; /* every so many jobs one is put off; 0: none is */
    unsigned read, finished, wrong, put_off_count;
};

static enum imsg_status job_read(void *context, void *argument, bool busy, enum imsg_pipeline_step *step,
                                 struct imsg_error *err)
{
    struct plan *plan = context;
    struct job *job = argument;
    *step = plan->read == plan->jobs ? IMSG_STEP_END : IMSG_STEP_JOB;
    if (plan->read == plan->bad_read)
        return imsg_fail(err, IMSG_IO, "read %u", plan->read);
    if (busy && plan->put_off && plan->read % plan->put_off == 0 && !job->later) {
        job->later = true;
        *step = IMSG_STEP_LATER;
        plan->put_off_count++;
    }
    if (*step != IMSG_STEP_JOB)
        return IMSG_OK;
    job->number = plan->read++;
    job->worked = 0;
    return IMSG_OK;
}

static void job_work(void *argument)
{
    struct job *job = argument;
    job->worked++;
}

static enum imsg_status job_finish(void *context, void *argument, struct imsg_error *err)
{
    struct plan *plan = context;
    struct job *job = argument;
    plan->wrong += job->number != plan->finished || job->worked != 1;
    job->later = false;
    if (plan->finished++ == plan->bad_finish)
        return imsg_fail(err, IMSG_REFUSED, "finish %u", job->number);
    return IMSG_OK;
}

static unsigned cleared; /* jobs; clear runs on one thread */
static void job_clear(void *argument)
{
    (void)argument;
    cleared++;
}

static enum imsg_status run(struct plan *plan, unsigned threads, size_t depth, struct imsg_error *err)
{
    const struct imsg_pipeline pipeline = {
        .threads = threads,
        .depth = depth,
        .job_size = sizeof(struct job),
        .read = job_read,
        .work = job_work,
        .finish = job_finish,
        .clear = job_clear,
        .context = plan,
    };
    cleared = 0;
    return imsg_pipeline_run(&pipeline, err);
}

static void every_way(unsigned threads, size_t depth)
{
    struct imsg_error err = {0};
    struct plan all = {.jobs = 500, .bad_read = NOBODY, .bad_finish = NOBODY};
    tap_status(run(&all, threads, depth, &err), IMSG_OK, &err, "%u threads, depth %zu", threads, depth);
    tap_ok(all.finished == 500 && all.wrong == 0 && cleared == depth, "all once and in order, then cleared");

    struct plan later = {.jobs = 500, .put_off = 3, .bad_read = NOBODY, .bad_finish = NOBODY};
    tap_status(run(&later, threads, depth, &err), IMSG_OK, &err, "jobs are put off");
    tap_ok(later.finished == 500 && later.wrong == 0 && (depth == 1 || later.put_off_count > 0), "and come in order");

    struct plan read = {.jobs = 500, .bad_read = 100, .bad_finish = NOBODY};
    tap_status(run(&read, threads, depth, &err), IMSG_IO, &err, "a failure to read ends the run");
    tap_ok(read.finished == 100 && read.wrong == 0 && cleared == depth, "after the jobs before it were finished");

    struct plan finish = {.jobs = 500, .bad_read = NOBODY, .bad_finish = 100};
    tap_status(run(&finish, threads, depth, NULL), IMSG_REFUSED, NULL, "a failure to finish ends the run");
    tap_ok(finish.finished == 101 && finish.wrong == 0 && cleared == depth, "at once");

    struct plan both = {.jobs = 500, .bad_read = 100, .bad_finish = 99};
    tap_status(run(&both, threads, depth, &err), IMSG_REFUSED, &err, "of two failures the earlier job's counts");
}

int main(void)
{
    static const unsigned threads[] = {1, 2, 3, 8};
    static const size_t depths[] = {1, 2, 5, 64};
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 4; k++)
            every_way(threads[i], depths[k]);
    tap_ok(imsg_pipeline_depth(1, 8) == 1 && imsg_pipeline_depth(3, 8) == 24, "depth");
    return tap_done();
}
