/* Work on several cores, finished in the order of its input: jobs are read one after another, worked on by any
 * thread, and finished one after another. The three steps of everything that takes lines, records or chunks. */
#ifndef IMSG_BASE_PIPELINE_H
#define IMSG_BASE_PIPELINE_H

#include "base/pool.h"

enum imsg_pipeline_step {
    IMSG_STEP_JOB,   /* the job is to be worked on */
    IMSG_STEP_LATER, /* finish one of those under way first, then read into this same job again */
    IMSG_STEP_END,   /* there is no further job; this one is not worked on */
};

struct imsg_pipeline {
    unsigned threads; /* the caller's counted (base/pool.h) */
    size_t depth;     /* jobs under way at most */
    size_t job_size;  /* bytes of one job; zeroes at first, later as finish left it */
    /* On the caller's thread, in order. LATER is allowed only while `busy`: others are under way. A failure ends the
     * run after the jobs before it are finished. */
    enum imsg_status (*read)(void *context, void *job, bool busy, enum imsg_pipeline_step *step,
                             struct imsg_error *err);
    imsg_work *work; /* on any thread */
    /* On the caller's thread, in order. A failure ends the run. */
    enum imsg_status (*finish)(void *context, void *job, struct imsg_error *err);
    void (*clear)(void *job); /* free what a job holds, at the end; may be NULL */
    void *context;            /* of read and finish, whose err is never NULL */
};
/* `each` jobs for every thread; one where there is one thread, which then works on what it has just read. */
size_t imsg_pipeline_depth(unsigned threads, size_t each);
IMSG_CHECK enum imsg_status imsg_pipeline_run(const struct imsg_pipeline *pipeline, struct imsg_error *err);

#endif
