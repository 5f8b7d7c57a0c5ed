/* From the options to a server that serves, and its end. */
#ifndef IMSG_SERVE_START_H
#define IMSG_SERVE_START_H

#include "serve/serve.h"

struct setup { /* what the options say, and what is open until the end */
    struct serve serve;
    struct cli cli;
    const char *listen, *data, *cert, *key;
    bool self_signed;
    int lock, notify;
    struct imsg_buf cert_pem, key_pem;
};
/* Everything up to the line "listening"; serve_stop closes what it opened, also where it failed. */
IMSG_CHECK enum imsg_status serve_start(struct setup *setup, struct imsg_error *err);
void serve_stop(struct setup *setup);
/* Print a line on standard output, and flush it. */
IMSG_CHECK enum imsg_status print_line(const char *first, const char *second, struct imsg_error *err);

#endif
