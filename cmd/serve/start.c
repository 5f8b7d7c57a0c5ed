/* From the options to a server that serves, and its end: folders, socket, certificate, limits, threads. */
#include "serve/start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/io.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "serve/http.h"
#include "serve/invite.h"

#define SPARE_FILES 128

enum imsg_status print_line(const char *first, const char *second, struct imsg_error *err)
{
    if (printf("%s%s\n", first, second) < 0 || fflush(stdout) != 0)
        return imsg_fail(err, IMSG_IO, "standard output: %s", strerror(errno));
    return IMSG_OK;
}

/* A server without entries prints a code, so that its first account can register. */
static enum imsg_status make_first_invite(struct serve *serve, struct imsg_error *err)
{
    char code[INVITE_CODE + 1];
    bool in_use = true;
    enum imsg_status status = storage_is_in_use(serve->storage, &in_use, err);
    if (status != IMSG_OK || in_use)
        return status;
    status = invite_make(serve->storage, code, err);
    return status == IMSG_OK ? print_line("invite ", code, err) : status;
}

static enum imsg_status make_folders(struct setup *setup, struct imsg_error *err)
{
    struct serve *serve = &setup->serve;
    char *path = NULL;
    enum imsg_status status = imsg_strdup(setup->data, &serve->data, err);
    if (status == IMSG_OK)
        status = imsg_path_join(setup->data, "store", &serve->blobs, err);
    if (status == IMSG_OK)
        status = imsg_path_join(setup->data, "partial", &serve->partial, err);
    if (status == IMSG_OK)
        status = imsg_make_folders(setup->data, 0700, err);
    if (status == IMSG_OK)
        status = imsg_make_folders(serve->blobs, 0700, err);
    if (status == IMSG_OK)
        status = imsg_make_folders(serve->partial, 0700, err);
    if (status == IMSG_OK)
        status = imsg_path_join(setup->data, "lock", &path, err);
    if (status == IMSG_OK) {
        setup->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (setup->lock < 0)
            status = imsg_fail(err, IMSG_CANNOT_CREATE, "\"%s\": %s", path, strerror(errno));
        else if (flock(setup->lock, LOCK_EX | LOCK_NB) != 0)
            status = imsg_fail(err, IMSG_TEMPORARY, "\"%s\": another imsg-serve uses it", setup->data);
    }
    free(path);
    return status;
}

static enum imsg_status load_certificate(struct setup *setup, struct imsg_error *err)
{
    struct serve *serve = &setup->serve;
    enum imsg_status status = IMSG_OK;
    if (serve->plain_http)
        return IMSG_OK;
    if (setup->self_signed) {
        status = certificate_own(serve->data, &setup->cert_pem, &setup->key_pem, err);
    } else {
        status = imsg_read_file(setup->cert, PEM_MAX, &setup->cert_pem, err);
        if (status == IMSG_OK)
            status = cli_read_key_file(&setup->cli, setup->key, "key file", &setup->key_pem, err);
    }
    if (status == IMSG_OK && serve->origins.count == 0)
        status = origins_of_certificate(&serve->origins, imsg_buf_view(&setup->cert_pem), serve->listener.port, err);
    if (status == IMSG_OK && serve->origins.count == 0) {
        status = imsg_fail(err, IMSG_CONFIG, "the certificate names no host");
        cli_error_hint(err, "--origin https://host[:port] says what clients call this server");
    }
    return status;
}

/* Without TLS no certificate names the origins, and the connection to the proxy must not leave this machine. */
static enum imsg_status check_plain(struct serve *serve, struct imsg_error *err)
{
    char origin[160];
    if (!serve->plain_http)
        return IMSG_OK;
    if (!serve->listener.loopback)
        return imsg_fail(err, IMSG_USAGE, "--plain-http on %s: only on loopback or a Unix socket",
                         serve->listener.address);
    if (serve->origins.count > 0)
        return IMSG_OK;
    if (serve->listener.local)
        return imsg_fail(err, IMSG_USAGE, "a Unix socket has no origin: --origin is needed");
    snprintf(origin, sizeof origin, "http://localhost:%u", serve->listener.port);
    enum imsg_status status = origins_add(&serve->origins, origin, err);
    snprintf(origin, sizeof origin, "http://%s", serve->listener.address);
    return status == IMSG_OK ? origins_add(&serve->origins, origin, err) : status;
}

/* Raise the limit of open files as far as allowed; it bounds the connections. */
static void set_limits(struct serve *serve)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_cur != RLIM_INFINITY && serve->connections + SPARE_FILES > limit.rlim_cur) {
        serve->connections = limit.rlim_cur > 2 * SPARE_FILES ? limit.rlim_cur - SPARE_FILES : limit.rlim_cur / 2;
        cli_note(serve->cli, "at most %llu connections: the limit of open files is %llu",
                 (unsigned long long)serve->connections, (unsigned long long)limit.rlim_cur);
    }
}

/* A file thread: checks and writes entries, finishes blobs. */
static void *file_loop(void *context)
{
    struct queue *queue = context;
    const struct serve *serve = queue->owner;
    struct job *job;
    while ((job = queue_next(queue, 1)) != NULL) {
        struct imsg_error err = {0};
        enum imsg_status status = job->run(job, &err);
        if (status != IMSG_OK && status != IMSG_REFUSED)
            cli_note(serve->cli, "%s", err.text);
        job->done(job, status);
    }
    return NULL;
}

static void wake_polls(void *context, const uint8_t token[static 32])
{
    struct serve *serve = context;
    polls_wake(&serve->polls, token);
}

/* What is on disk, and the threads that change it. */
static enum imsg_status start_data(struct serve *serve, struct imsg_error *err)
{
    const struct storage_setup setup = {
        .cli = serve->cli, .folder = serve->data, .create = true, .changed = wake_polls, .context = serve};
    enum imsg_status status = polls_start(&serve->polls, err);
    if (status == IMSG_OK)
        status = quota_start(&serve->quota, err);
    if (status == IMSG_OK)
        status = quota_start(&serve->bodies, err);
    if (status == IMSG_OK)
        status = proxies_start(&serve->proxies, err);
    if (status == IMSG_OK)
        status = authorizer_start(&serve->authorizer, err);
    if (status == IMSG_OK)
        status = storage_open(&setup, &serve->storage, err);
    if (status == IMSG_OK && serve->registration == REGISTER_INVITE)
        status = make_first_invite(serve, err);
    if (status == IMSG_OK)
        status = storage_load(serve->storage, err);
    if (status == IMSG_OK)
        status = blobs_start(serve, err);
    if (status == IMSG_OK)
        status = queue_start(&serve->files, serve, 2, file_loop, err);
    return status;
}

static enum imsg_status print_ready(struct setup *setup, struct imsg_error *err)
{
    struct serve *serve = &setup->serve;
    char pin[IMSG_PIN + 1];
    enum imsg_status status = IMSG_OK;
    if (setup->self_signed) {
        status = imsg_certificate_pin(imsg_buf_view(&setup->cert_pem), pin, err);
        if (status == IMSG_OK)
            status = print_line("pin ", pin, err);
    }
    if (status == IMSG_OK)
        status = print_line(serve->listener.local ? "listening "
                            : serve->plain_http   ? "listening http://"
                                                  : "listening https://",
                            serve->listener.address, err);
    if (status == IMSG_OK)
        listener_notify(setup->notify, "READY=1");
    return status;
}

enum imsg_status serve_start(struct setup *setup, struct imsg_error *err)
{
    struct serve *serve = &setup->serve;
    sigset_t handled;
    enum imsg_status status = make_folders(setup, err);
    if (status == IMSG_OK)
        status = listener_open(&serve->listener, setup->listen, err);
    if (status == IMSG_OK)
        status = check_plain(serve, err);
    if (status == IMSG_OK)
        status = load_certificate(setup, err);
    if (status != IMSG_OK)
        return status;
    if (serve->registration == REGISTER_DEFAULT)
        serve->registration = serve->listener.loopback ? REGISTER_OPEN : REGISTER_INVITE;
    set_limits(serve);
    /* Before there are threads, which inherit the signal mask and the sandbox. */
    sigemptyset(&handled);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGINT);
    sigaddset(&handled, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &handled, NULL);
    setup->notify = listener_notify_open();
    cli_may_write(&setup->cli, setup->data);
    if (serve->listener.local) /* it is removed at the end */
        cli_may_replace(&setup->cli, setup->listen);
    cli_confine_server(&setup->cli);
    status = start_data(serve, err);
    if (status == IMSG_OK)
        status = http_start(serve, imsg_buf_view(&setup->cert_pem), imsg_buf_view(&setup->key_pem), err);
    if (status == IMSG_OK)
        status = print_ready(setup, err);
    return status;
}

void serve_stop(struct setup *setup)
{
    struct serve *serve = &setup->serve;
    queue_stop(&serve->files);
    storage_stop(serve->storage);
    http_stop(serve);
    storage_close(serve->storage);
    polls_free(&serve->polls);
    quota_free(&serve->quota);
    quota_free(&serve->bodies);
    authorizer_free(&serve->authorizer);
    origins_free(&serve->origins);
    listener_close(&serve->listener);
    imsg_buf_free(&setup->cert_pem);
    imsg_buf_free(&setup->key_pem);
    free(serve->data);
    free(serve->blobs);
    free(serve->partial);
    if (setup->lock >= 0)
        close(setup->lock);
    if (setup->notify >= 0)
        close(setup->notify);
}
