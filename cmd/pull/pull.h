/* imsg-pull's own parts: the process that runs the command of -x (runner.c); options and rounds in imsg-pull.c. */
#ifndef IMSG_CMD_PULL_H
#define IMSG_CMD_PULL_H

#include "imsg-client.h"

/* Start the process that runs `sh -c command`, before this one is confined: a command inherits what its parent gave
 * up. It ends when *runner, a socket, is closed. */
IMSG_CHECK enum imsg_status runner_start(const char *command, int *runner, struct imsg_error *err);
/* Run the command for a message and wait for its end. *code: its exit status, or 128 and the number of the signal that
 * ended it. */
IMSG_CHECK enum imsg_status runner_run(int runner, const struct imsg_handed *message, int *code,
                                       struct imsg_error *err);

#endif
