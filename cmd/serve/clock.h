/* What the main thread does while others serve. */
#ifndef IMSG_SERVE_CLOCK_H
#define IMSG_SERVE_CLOCK_H

#include "serve/serve.h"

/* Until SIGTERM or SIGINT; SIGHUP reads the entries again. */
void clock_run(struct serve *serve);
/* Accept nobody new, answer the long polls, and finish what is under way. */
void clock_drain(struct serve *serve);

#endif
