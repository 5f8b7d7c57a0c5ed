/* Transfers by libcurl: the only file that calls it, but for http_curl.c, which loads it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "net/http_transfer.h"
#include "net/http_curl.h"

#define CONNECT_TIMEOUT 10L /* seconds */
#define STALL 30            /* seconds without a byte */
#define HOST_CONNECTIONS 16L
#define KEPT_CONNECTIONS 64L          /* idle ones; by itself libcurl keeps few when few transfers are left */
#define BUFFER 131072L                /* bytes of one read or write */
#define RETRY_AFTER_MAX (366 * 86400) /* seconds */

enum imsg_status imsg_curl_open(struct imsg_http *http, struct imsg_error *err)
{
    enum imsg_status status = imsg_http_load(err);
    if (status != IMSG_OK)
        return status;
    http->multi = imsg_libcurl.multi_init();
    if (!http->multi)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    imsg_libcurl.multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS, HOST_CONNECTIONS);
    imsg_libcurl.multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
    return IMSG_OK;
}

void imsg_curl_close(struct imsg_http *http)
{
    if (http->multi)
        imsg_libcurl.multi_cleanup(http->multi);
    http->multi = NULL;
}

/* ---- callbacks ---- */

static size_t receive_header(char *bytes, size_t size, size_t count, void *context)
{
    transfer_header(context, imsg_view_of(bytes, size * count));
    return size * count;
}

static size_t receive_body(char *bytes, size_t size, size_t count, void *context)
{
    return transfer_body(context, imsg_view_of(bytes, size * count)) ? size * count : CURL_WRITEFUNC_ERROR;
}

static size_t read_body(char *buffer, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    const struct imsg_http_request *request = transfer->request;
    uint64_t left = request->size - transfer->sent;
    size_t room = size * count < left ? size * count : (size_t)left;
    size_t got = 0;
    transfer->sunk = imsg_read_at(request->fd, transfer->sent, (uint8_t *)buffer, room, &got, &transfer->sink_err);
    if (transfer->sunk == IMSG_OK && got < room)
        transfer->sunk = imsg_fail(&transfer->sink_err, IMSG_IO, "the file to send has become shorter");
    if (transfer->sunk != IMSG_OK)
        return CURL_READFUNC_ABORT;
    transfer->sent += got;
    if (request->how && request->how->progress)
        request->how->progress(request->how->context, transfer->sent, request->size);
    return got;
}

static int seek_body(void *context, curl_off_t offset, int origin)
{
    struct transfer *transfer = context;
    if (origin != SEEK_SET || offset < 0)
        return CURL_SEEKFUNC_CANTSEEK;
    transfer->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* libcurl calls this with every address that it is about to connect to, whatever the name resolved to this time. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = context;
    int fd = -1;
    if (purpose != CURLSOCKTYPE_IPCXN || !transfer_may_connect(transfer, &address->addr)) {
        transfer->blocked = true;
        return CURL_SOCKET_BAD;
    }
    fd = socket(address->family, address->socktype, address->protocol);
    if (fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        close(fd);
        fd = -1;
    }
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* ---- one try ---- */

struct options {
    CURL *easy;
    bool ok;
};

static void set_number(struct options *options, CURLoption option, long value)
{
    options->ok = options->ok && imsg_libcurl.easy_setopt(options->easy, option, value) == CURLE_OK;
}

static void set_text(struct options *options, CURLoption option, const char *value)
{
    options->ok = options->ok && imsg_libcurl.easy_setopt(options->easy, option, value) == CURLE_OK;
}

static void set_pointer(struct options *options, CURLoption option, void *value)
{
    options->ok = options->ok && imsg_libcurl.easy_setopt(options->easy, option, value) == CURLE_OK;
}

static void set_size(struct options *options, CURLoption option, uint64_t value)
{
    options->ok = options->ok && imsg_libcurl.easy_setopt(options->easy, option, (curl_off_t)value) == CURLE_OK;
}

#define CALLBACK(options, option, function)                                                                            \
    (options)->ok = (options)->ok && imsg_libcurl.easy_setopt((options)->easy, (option), (function)) == CURLE_OK

/* The protocol, and which servers are trusted. */
static void set_trust(struct options *options, struct transfer *transfer)
{
    const struct imsg_net *net = transfer->net;
    const struct origin *origin = transfer->origin;
    bool plain = strncmp(transfer->request->url, "http:", 5) == 0;
    bool pinned = origin->configured && net->pin;
    set_text(options, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
    set_number(options, CURLOPT_FOLLOWLOCATION, 0);
    set_number(options, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    set_number(options, CURLOPT_SSL_VERIFYPEER, !pinned);
    set_number(options, CURLOPT_SSL_VERIFYHOST, pinned ? 0 : 2);
    if (pinned)
        set_text(options, CURLOPT_PINNEDPUBLICKEY, net->pin);
    if (origin->configured && net->cacert) {
        set_text(options, CURLOPT_CAINFO, net->cacert);
        set_text(options, CURLOPT_CAPATH, NULL); /* in place of the system's, not beside them */
    }
    if (origin->configured && net->client_cert) {
        set_text(options, CURLOPT_SSLCERT, net->client_cert);
        set_text(options, CURLOPT_SSLKEY, net->client_cert);
    }
    if (!origin->configured || origin->loopback_only)
        set_text(options, CURLOPT_PROXY, "");
    if (transfer->request->socket)
        set_text(options, CURLOPT_UNIX_SOCKET_PATH, transfer->request->socket);
    CALLBACK(options, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    set_pointer(options, CURLOPT_OPENSOCKETDATA, transfer);
}

static void set_method(struct options *options, struct transfer *transfer)
{
    const struct imsg_http_request *request = transfer->request;
    bool sends = strcmp(request->method, "PUT") == 0 || strcmp(request->method, "POST") == 0;
    if (sends && request->fd >= 0) {
        set_number(options, CURLOPT_UPLOAD, 1);
        set_number(options, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER);
        set_size(options, CURLOPT_INFILESIZE_LARGE, request->size);
        CALLBACK(options, CURLOPT_READFUNCTION, read_body);
        set_pointer(options, CURLOPT_READDATA, transfer);
        CALLBACK(options, CURLOPT_SEEKFUNCTION, seek_body);
        set_pointer(options, CURLOPT_SEEKDATA, transfer);
    } else if (sends) {
        set_size(options, CURLOPT_POSTFIELDSIZE_LARGE, request->body.len);
        set_text(options, CURLOPT_POSTFIELDS, request->body.len > 0 ? (const char *)request->body.ptr : "");
    }
    if (strcmp(request->method, "GET") == 0)
        set_number(options, CURLOPT_HTTPGET, 1);
    else
        set_text(options, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_limits(struct options *options, const struct transfer *transfer)
{
    const struct imsg_http_request *request = transfer->request;
    unsigned stall = request->stall ? request->stall : transfer->net->stall ? transfer->net->stall : STALL;
    set_number(options, CURLOPT_NOSIGNAL, 1);
    set_number(options, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT);
    set_number(options, CURLOPT_LOW_SPEED_LIMIT, 1);
    set_number(options, CURLOPT_LOW_SPEED_TIME, (long)stall);
    set_number(options, CURLOPT_TIMEOUT, (long)request->timeout);
    set_number(options, CURLOPT_TCP_KEEPALIVE, 1);
    set_number(options, CURLOPT_BUFFERSIZE, BUFFER);
    set_number(options, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
    set_number(options, CURLOPT_PIPEWAIT, 1);
}

static void add_header(struct options *options, struct curl_slist **list, const char *header)
{
    struct curl_slist *longer = imsg_libcurl.slist_append(*list, header);
    options->ok = options->ok && longer;
    *list = longer ? longer : *list;
}

/* libcurl signs method, URL and all headers of ours; the body by its hash in x-amz-content-sha256. */
static void set_signature(struct options *options, const struct imsg_s3 *s3)
{
    char how[128];
    snprintf(how, sizeof how, "aws:amz:%.80s:s3", s3->region);
    set_text(options, CURLOPT_AWS_SIGV4, how);
    set_text(options, CURLOPT_USERNAME, s3->key);
    set_text(options, CURLOPT_PASSWORD, s3->secret);
}

static void set_headers(struct options *options, struct transfer *transfer)
{
    const struct imsg_http_request *request = transfer->request;
    struct curl_slist *list = NULL;
    char range[64];
    if (transfer->bearer)
        add_header(options, &list, transfer->bearer);
    for (size_t i = 0; i < IMSG_HEADERS_MAX && request->headers[i]; i++)
        add_header(options, &list, request->headers[i]);
    transfer->header_list = list;
    set_pointer(options, CURLOPT_HTTPHEADER, list);
    set_text(options, CURLOPT_USERAGENT, "imsg/" IMSG_VERSION);
    if (request->sink && transfer->given > 0) {
        snprintf(range, sizeof range, "%llu-", (unsigned long long)transfer->given);
        set_text(options, CURLOPT_RANGE, range);
    }
}

enum imsg_status imsg_curl_begin(struct imsg_http *http, struct transfer *transfer, struct imsg_error *err)
{
    struct options options = {.easy = imsg_libcurl.easy_init(), .ok = true};
    if (!options.easy)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    transfer->easy = options.easy;
    transfer->text[0] = '\0';
    set_pointer(&options, CURLOPT_PRIVATE, transfer);
    set_pointer(&options, CURLOPT_ERRORBUFFER, transfer->text);
    set_text(&options, CURLOPT_URL, transfer->request->url);
    set_trust(&options, transfer);
    set_method(&options, transfer);
    set_limits(&options, transfer);
    set_headers(&options, transfer);
    if (transfer->request->s3)
        set_signature(&options, transfer->request->s3);
    CALLBACK(&options, CURLOPT_HEADERFUNCTION, receive_header);
    set_pointer(&options, CURLOPT_HEADERDATA, transfer);
    CALLBACK(&options, CURLOPT_WRITEFUNCTION, receive_body);
    set_pointer(&options, CURLOPT_WRITEDATA, transfer);
    if (options.ok && imsg_libcurl.multi_add_handle(http->multi, options.easy) == CURLM_OK)
        return IMSG_OK;
    imsg_curl_end(http, transfer);
    return imsg_fail(err, IMSG_INTERNAL, "libcurl does not take the request");
}

void imsg_curl_end(struct imsg_http *http, struct transfer *transfer)
{
    if (!transfer->easy)
        return;
    imsg_libcurl.multi_remove_handle(http->multi, transfer->easy);
    imsg_libcurl.easy_cleanup(transfer->easy);
    imsg_libcurl.slist_free_all(transfer->header_list);
    transfer->easy = transfer->header_list = NULL;
}

/* ---- all of them ---- */

enum imsg_status imsg_curl_step(struct imsg_http *http, int ms, int input, bool *readable, bool *signal,
                                struct imsg_error *err)
{
    int running = 0, ready = 0;
    struct curl_waitfd also = {.fd = input, .events = CURL_WAIT_POLLIN};
    CURLMcode code = imsg_libcurl.multi_perform(http->multi, &running);
    if (code == CURLM_OK && running == (int)http->flying_count) {
        errno = 0;
        code = imsg_libcurl.multi_poll(http->multi, &also, input >= 0 ? 1 : 0, ms, &ready);
        *signal = ready == 0 && errno == EINTR;
        *readable = input >= 0 && also.revents != 0;
    }
    if (code != CURLM_OK)
        return imsg_fail(err, code == CURLM_OUT_OF_MEMORY ? IMSG_NO_MEMORY : IMSG_INTERNAL, "libcurl: multi error %d",
                         (int)code);
    return IMSG_OK;
}

/* A failed handshake: either the other side sent something wrong, or the connection broke off. */
static enum try_result classify_handshake(const char *words)
{
    bool ours = strstr(words, "SSL routines") || strstr(words, "error:");
    return ours && !strstr(words, "unexpected eof") && !strstr(words, "0A000126") ? TRY_NONSENSE : TRY_LOST;
}

static enum try_result classify_result(const struct transfer *transfer, CURLcode code)
{
    /* The write callback ended the transfer: the body was too long, or enough of an error's body was read. */
    if (code == CURLE_WRITE_ERROR && transfer->answer.status > 0)
        return TRY_ANSWERED;
    /* The server refused the request before it had read all of it. */
    if ((code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR) && transfer->answer.status >= 400)
        return TRY_ANSWERED;
    switch (code) {
    case CURLE_OK:
        /* An answer that broke off in its headers is CURLE_OK too, and looks like one without a body. */
        return transfer->answer.status == 0 ? TRY_NONSENSE : transfer->head_ended ? TRY_ANSWERED : TRY_LOST;
    case CURLE_COULDNT_CONNECT:
        return transfer->blocked ? TRY_BLOCKED : TRY_LOST;
    case CURLE_OPERATION_TIMEDOUT:
        return TRY_SILENT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_URL_MALFORMAT:
        return TRY_UNKNOWN;
    case CURLE_SSL_CONNECT_ERROR:
        return classify_handshake(transfer->text);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_ISSUER_ERROR:
        return TRY_UNTRUSTED;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_BAD_FUNCTION_ARGUMENT: /* a client certificate without its key, to newer versions of libcurl */
        return TRY_MISSET;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return TRY_NONSENSE;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
        return TRY_FAILED;
    default:
        return TRY_LOST;
    }
}

/* Take over what libcurl read in the headers of the last answer. */
static void read_headers(struct transfer *transfer, CURL *easy)
{
    struct curl_header *etag = NULL;
    curl_off_t wait = 0;
    transfer->answer.etag[0] = '\0';
    if (imsg_libcurl.easy_header(easy, "etag", 0, CURLH_HEADER, -1, &etag) != CURLHE_OK ||
        !imsg_http_etag(imsg_view_str(etag->value), transfer->answer.etag))
        transfer->answer.etag[0] = '\0';
    if (imsg_libcurl.easy_getinfo(easy, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK && wait > 0)
        transfer->retry_after = wait < RETRY_AFTER_MAX ? (uint64_t)wait : RETRY_AFTER_MAX;
}

struct transfer *imsg_curl_ended(struct imsg_http *http, enum try_result *result)
{
    struct transfer *transfer = NULL;
    CURLMsg *message;
    int left;
    do
        message = imsg_libcurl.multi_info_read(http->multi, &left);
    while (message && message->msg != CURLMSG_DONE);
    if (!message || imsg_libcurl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer) != CURLE_OK)
        return NULL;
    CURLcode code = message->data.result;
    read_headers(transfer, message->easy_handle);
    *result = classify_result(transfer, code);
    if (*result == TRY_BLOCKED)
        snprintf(transfer->text, sizeof transfer->text, "its address is not a public one");
    else if (code == CURLE_OK)
        snprintf(transfer->text, sizeof transfer->text, "the connection broke off");
    else if (!transfer->text[0])
        snprintf(transfer->text, sizeof transfer->text, "%s", imsg_libcurl.easy_strerror(code));
    return transfer;
}
