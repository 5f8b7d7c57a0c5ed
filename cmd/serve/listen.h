/* The listening socket, and what systemd passes and is told. */
#ifndef IMSG_SERVE_LISTEN_H
#define IMSG_SERVE_LISTEN_H

#include "imsg.h"

struct listener {
    int fd;
    char address[128]; /* 127.0.0.1:8443, [::1]:8443, unix:/path */
    char host[80];     /* 127.0.0.1, [::1]; "" for a Unix socket */
    unsigned port;
    bool loopback, local; /* local: a Unix socket */
    char *unlink_path;
};
/* A socket of our own for ADDRESS:PORT, :PORT or /PATH; or, with `text` NULL, the one that systemd passed (IMSG_CONFIG
 * if it passed several, or one that does not listen). */
IMSG_CHECK enum imsg_status listener_open(struct listener *listener, const char *text, struct imsg_error *err);
void listener_close(struct listener *listener);
struct sockaddr;
bool address_is_loopback(const struct sockaddr *address); /* a Unix socket counts as one */
bool listener_passed(void);                               /* did systemd pass sockets? */
/* Connect to NOTIFY_SOCKET. -1 where it is unset or nobody listens there: then listener_notify does nothing. */
int listener_notify_open(void);
void listener_notify(int fd, const char *state);

#endif
