/* What a directory, relay or store engine implements. To add one: write its file with its row, and name it below, where
 * the rows are. The generic halves do what is the same for all (paths, names, size limits); an engine only moves bytes.
 * Every function follows the contract of its namesake in imsg-net.h where nothing else is said; `state` is what open
 * made. */
#ifndef IMSG_NET_BACKEND_H
#define IMSG_NET_BACKEND_H

#include "imsg-net.h"

struct directory_backend {
    const char *scheme;
    enum imsg_status (*open)(const char *location, struct imsg_net *net, bool create, void **state,
                             struct imsg_error *err);
    /* `path` is relative to the base. Append at most `max` bytes (more: IMSG_PROTOCOL). *found = false and IMSG_OK: the
     * directory answered, there is none. */
    enum imsg_status (*get)(void *state, const char *path, size_t max, struct imsg_buf *out, bool *found,
                            struct imsg_error *err);
    enum imsg_status (*put)(void *state, const char *path, size_t max, struct imsg_view previous,
                            struct imsg_view entry, struct imsg_error *err);
    void (*close)(void *state);
};

/* token: 64 hex digits. name: 64 hex digits, checked by relay.c. */
struct relay_message {
    const char *token, *name;
    const struct imsg_envelope *envelope;
    struct imsg_view line;
};
struct relay_backend {
    const char *scheme;
    enum imsg_status (*open)(const char *location, struct imsg_net *net, void **state, struct imsg_error *err);
    enum imsg_status (*mailbox)(void *state, const char *token, struct imsg_error *err);
    enum imsg_status (*deliver)(void *state, const char *token, const char *name, struct imsg_view line,
                                bool *duplicate, struct imsg_error *err);
    /* In place of deliver, where many can be under way: both or neither. */
    void (*send)(void *state, const struct relay_message *message, imsg_delivered *done, void *context);
    enum imsg_status (*settle)(void *state, size_t most, int input, struct imsg_error *err);
    enum imsg_status (*list)(void *state, const char *token, struct imsg_waiting *out, struct imsg_error *err);
    /* Append at most `max` bytes (more: IMSG_PROTOCOL), with or without the line's newline. */
    enum imsg_status (*fetch)(void *state, const char *token, const char *name, size_t max, struct imsg_buf *out,
                              struct imsg_error *err);
    /* At most IMSG_RELAY_ACKNOWLEDGE_MAX names. */
    enum imsg_status (*acknowledge)(void *state, const char *token, const char *const *names, size_t count,
                                    struct imsg_error *err);
    enum imsg_status (*wait)(void *state, const char *token, unsigned seconds, struct imsg_error *err);
    void (*close)(void *state);
};

/* sha256: 64 hex digits. store.c closes put->fd and frees put->temp when commit or discard has come back. */
struct store_backend {
    const char *scheme;
    enum imsg_status (*open)(const char *location, struct imsg_net *net, void **state, struct imsg_error *err);
    enum imsg_status (*begin)(void *state, struct imsg_store_put *put, struct imsg_error *err);
    /* On failure nothing is left behind. */
    enum imsg_status (*commit)(void *state, struct imsg_store_put *put, const char *sha256, char **uri,
                               struct imsg_error *err);
    void (*discard)(void *state, struct imsg_store_put *put); /* NULL: closing put->fd is enough */
    /* NULL: no object is a file of this machine. */
    enum imsg_status (*open_object)(void *state, const char *uri, int *fd, struct imsg_error *err);
    /* `max` lets an engine refuse early; store.c counts too. */
    enum imsg_status (*get)(void *state, const struct imsg_store_read *read, struct imsg_error *err);
    void (*close)(void *state);
};

/* The rows: a location's scheme picks one. */
#define IMSG_DIRECTORY_ROWS &imsg_directory_file, &imsg_directory_http
#define IMSG_RELAY_ROWS &imsg_relay_file, &imsg_relay_http
#define IMSG_STORE_ROWS &imsg_store_file, &imsg_store_http, &imsg_store_s3
extern const struct directory_backend imsg_directory_file, imsg_directory_http;
extern const struct relay_backend imsg_relay_file, imsg_relay_http, imsg_relay_http_foreign;
extern const struct store_backend imsg_store_file, imsg_store_http, imsg_store_s3;

/* store_http.c, for all stores over HTTP: a file without a name for an object on its way out; the GET of one, with the
 * request's headers and signature filled in by the caller. */
struct imsg_http_request;
IMSG_CHECK enum imsg_status imsg_store_temp(const struct imsg_net *net, struct imsg_store_put *put,
                                            struct imsg_error *err);
/* The same with the PUT of one: a status that is not 200, 201, 204 or `also` (0: none) is a failure. */
IMSG_CHECK enum imsg_status imsg_store_send(struct imsg_net *net, struct imsg_http_request *request,
                                            const struct imsg_store_put *put, unsigned also, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_store_fetch(struct imsg_net *net, struct imsg_http_request *request,
                                             const struct imsg_store_read *read, struct imsg_error *err);
/* An object on a server that is not configured, as a descriptor names it. */
IMSG_CHECK enum imsg_status imsg_store_get_foreign(struct imsg_net *net, const struct imsg_store_read *read,
                                                   struct imsg_error *err);

#endif
