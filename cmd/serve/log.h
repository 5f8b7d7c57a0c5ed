/* The lines of --log. */
#ifndef IMSG_SERVE_LOG_H
#define IMSG_SERVE_LOG_H

struct request;

enum log_mode { LOG_NONE, LOG_TEXT, LOG_JSON };
/* One line for a request that is over. */
void log_request(const struct request *request);

#endif
