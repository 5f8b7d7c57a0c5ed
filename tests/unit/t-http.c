/* HTTP, as far as it is done here: what stands in answers, which addresses are public, what is a URL, and how a body
 * that comes in several tries is put together. Real servers: tests/cli/http.bats. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/text.h"
#include "base/url.h"
#include "net/http_transfer.h"
#include "net/remote.h"
#include "tap.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct imsg_error err;

/* In the place of the C library's for what is linked here; libcurl has its own way to it. */
static int resolver_says;
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    (void)node;
    (void)service;
    (void)hints;
    (void)result;
    return resolver_says;
}

/* A name that nobody has, over a URL with a query. */
static enum imsg_status ask_nobody(int says)
{
    struct imsg_net net = {.retry_for = 0};
    struct imsg_http_answer answer;
    const struct imsg_http_request request = {.role = "relay",
                                              .place = "https://nobody.invalid",
                                              .method = "GET",
                                              .url = "https://nobody.invalid/3/device/x?wait=50",
                                              .fd = -1};
    resolver_says = says;
    enum imsg_status status = imsg_http_do(&net, &request, &answer, &err);
    imsg_http_answer_free(&answer);
    imsg_net_free(&net);
    return status;
}

static void test_names(void)
{
    tap_status(ask_nobody(EAI_NONAME), IMSG_UNAVAILABLE, &err, "a name that nobody has");
    tap_status(ask_nobody(EAI_AGAIN), IMSG_TEMPORARY, &err, "a resolver that does not answer");
}

static void test_etag(void)
{
    static const char *const good[] = {"\"a\"", "\"\"", "W/\"x-y\"", "\"5f3e-1a\"", "\"*\""};
    static const char *const bad[] = {"",   "\"",   "a",       "\"a",      "a\"",          "\"a b\"",      "\"a\"b\"",
                                      "W/", "W/\"", "w/\"a\"", "\"\x7f\"", "\"\xc3\xa9\"", "\"a\r\nx: y\""};
    char etag[IMSG_ETAG_MAX], longest[IMSG_ETAG_MAX + 2];
    for (size_t i = 0; i < COUNT(good); i++)
        tap_ok(imsg_http_etag(imsg_view_str(good[i]), etag) && strcmp(etag, good[i]) == 0, "ETag %s", good[i]);
    for (size_t i = 0; i < COUNT(bad); i++)
        tap_ok(!imsg_http_etag(imsg_view_str(bad[i]), etag), "no ETag (%zu)", i);
    memset(longest, 'x', sizeof longest);
    longest[0] = longest[IMSG_ETAG_MAX - 2] = '"';
    tap_ok(imsg_http_etag(imsg_view_of(longest, IMSG_ETAG_MAX - 1), etag), "the longest that is kept");
    longest[IMSG_ETAG_MAX - 2] = 'x';
    longest[IMSG_ETAG_MAX - 1] = '"';
    tap_ok(!imsg_http_etag(imsg_view_of(longest, IMSG_ETAG_MAX), etag), "one more");
}

static void test_reason(void)
{
    static const struct {
        const char *body, *reason;
    } cases[] = {
        {"{\"reason\":\"BadDeviceToken\"}", "BadDeviceToken"},
        {"{\"reason\":\"Unregistered\",\"timestamp\":1}", "Unregistered"},
        {"{\"reason\":\"\\u001b[31m\"}", ""},
        {"{\"reason\":7}", ""},
        {"{\"reason\":\"a\",\"reason\":\"b\"}", ""},
        {"{}", ""},
        {"<html>", ""},
        {"", ""},
        {"{\"reason\":\"1234567890123456789012345678901234567890123456789012345678901234\"}", ""},
    };
    char reason[IMSG_REASON_MAX];
    for (size_t i = 0; i < COUNT(cases); i++) {
        imsg_http_reason(imsg_view_str(cases[i].body), reason);
        tap_ok(strcmp(reason, cases[i].reason) == 0, "reason of %s: \"%s\"", cases[i].body, reason);
    }
}

static void test_range(void)
{
    static const char *const bad[] = {"",          "bytes",     "bytes */100", "bytes 5-4/100", "bytes -4/100",
                                      "bytes 5-9", "items 1-2", "bytes 5/100", "bytes x-9/100", "5-9/100"};
    uint64_t first = 0;
    tap_ok(imsg_http_content_range(imsg_view_str(" bytes 5-9/10\r\n"), &first) && first == 5, "bytes 5-9/10");
    tap_ok(imsg_http_content_range(imsg_view_str("Bytes 0-0/*"), &first) && first == 0, "Bytes 0-0/*");
    for (size_t i = 0; i < COUNT(bad); i++)
        tap_ok(!imsg_http_content_range(imsg_view_str(bad[i]), &first), "no range: \"%s\"", bad[i]);
}

static bool is_global(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return imsg_address_is_global((struct sockaddr *)&v4);
    return inet_pton(AF_INET6, text, &v6.sin6_addr) == 1 && imsg_address_is_global((struct sockaddr *)&v6);
}

static void test_addresses(void)
{
    static const char *const global[] = {
        "1.1.1.1",         "8.8.8.8",     "9.255.255.255",   "11.0.0.0",         "100.63.255.255",  "100.128.0.0",
        "126.255.255.255", "128.0.0.0",   "169.253.255.255", "169.255.0.0",      "172.15.255.255",  "172.32.0.0",
        "192.167.1.1",     "192.169.0.0", "198.17.255.255",  "198.20.0.0",       "223.255.255.255", "2606:4700::1111",
        "2001:200::1",     "2a00::1",     "::ffff:8.8.8.8",  "64:ff9b::8.8.8.8", "2002:808:808::1", "3fff:1000::1"};
    static const char *const special[] = {"0.0.0.0",
                                          "0.1.2.3",
                                          "10.0.0.1",
                                          "10.255.255.255",
                                          "100.64.0.0",
                                          "100.127.255.255",
                                          "127.0.0.1",
                                          "127.255.255.255",
                                          "169.254.169.254",
                                          "172.16.0.0",
                                          "172.31.255.255",
                                          "192.0.0.1",
                                          "192.0.2.1",
                                          "192.88.99.1",
                                          "192.168.0.0",
                                          "192.168.255.255",
                                          "198.18.0.0",
                                          "198.19.255.255",
                                          "198.51.100.7",
                                          "203.0.113.9",
                                          "224.0.0.1",
                                          "239.1.1.1",
                                          "240.0.0.1",
                                          "255.255.255.255",
                                          "::",
                                          "::1",
                                          "::7f00:1",
                                          "::ffff:127.0.0.1",
                                          "::ffff:10.0.0.1",
                                          "::ffff:169.254.169.254",
                                          "64:ff9b::10.0.0.1",
                                          "64:ff9b:1::8.8.8.8",
                                          "64:ff9b::7f00:1",
                                          "2002:7f00:1::",
                                          "2002:a00:1::1",
                                          "2001::1",
                                          "2001:1ff::1",
                                          "2001:db8::1",
                                          "3fff::1",
                                          "fc00::1",
                                          "fd12:3456::1",
                                          "fe80::1",
                                          "fec0::1",
                                          "ff02::1",
                                          "4000::1",
                                          "100::1",
                                          "5f00::1"};
    struct sockaddr other = {.sa_family = AF_UNIX};
    for (size_t i = 0; i < COUNT(global); i++)
        tap_ok(is_global(global[i]), "%s is public", global[i]);
    for (size_t i = 0; i < COUNT(special); i++)
        tap_ok(!is_global(special[i]), "%s is not", special[i]);
    tap_ok(!imsg_address_is_global(&other), "nor is what is no address of the internet");
}

static bool may_connect(struct imsg_net *net, struct origin origin, const char *socket, int family, const char *text)
{
    const struct imsg_http_request request = {.socket = socket};
    const struct transfer transfer = {.net = net, .request = &request, .origin = &origin};
    struct sockaddr_in v4 = {.sin_family = (sa_family_t)family};
    return inet_pton(AF_INET, text, &v4.sin_addr) == 1 && transfer_may_connect(&transfer, (struct sockaddr *)&v4);
}

static void test_connections(void)
{
    struct imsg_net strict = {.retry_for = 0}, lax = {.allow_private = true};
    const struct origin own = {.configured = true}, local = {.configured = true, .loopback_only = true}, foreign = {0};
    tap_ok(may_connect(&strict, own, NULL, AF_INET, "10.0.0.1"), "one's own server may be anywhere");
    tap_ok(may_connect(&strict, local, NULL, AF_INET, "127.0.0.2"), "http may go to this machine");
    tap_ok(!may_connect(&lax, local, NULL, AF_INET, "10.0.0.1") && !may_connect(&lax, local, NULL, AF_INET, "8.8.8.8"),
           "and to no other, whatever its name resolves to");
    tap_ok(may_connect(&strict, foreign, NULL, AF_INET, "8.8.8.8"), "somebody else's server may be a public one");
    tap_ok(!may_connect(&strict, foreign, NULL, AF_INET, "10.0.0.1"), "and no other");
    tap_ok(may_connect(&lax, foreign, NULL, AF_INET, "10.0.0.1"), "unless that is allowed");
    tap_ok(may_connect(&strict, own, "/s", AF_UNIX, "0.0.0.0") &&
               !may_connect(&strict, own, "/s", AF_INET, "127.0.0.1"),
           "a Unix socket is one");
}

static void test_urls(void)
{
    static const char *const good[] = {"https://host.example",     "https://host.example/",
                                       "https://h:1/a/b.c~d",      "https://[2001:db8::1]:8443/x",
                                       "https://192.0.2.1/%20%2f", "https://HOST/a@b:c,d;e=f&g"};
    static const char *const bad[] = {
        "https://",           "https:///x",     "https://h:0",   "https://h:",    "https://h:65536/", "https://u@h",
        "https://u:p@h/x",    "https://h/a b",  "https://h/a?b", "https://h/a#b", "https://h/\\",     "https://h/\x7f",
        "https://h/\xc3\xa9", "https://h/\n",   "https://h?x",   "http://h",      "HTTPS://h",        "https://[::1",
        "https://[x]",        "https://127.1/", "https://h_x"};
    struct imsg_url parts;
    for (size_t i = 0; i < COUNT(good); i++)
        tap_ok(imsg_url_split(good[i], "https", &parts), "a URL: %s", good[i]);
    for (size_t i = 0; i < COUNT(bad); i++)
        tap_ok(!imsg_url_split(bad[i], "https", &parts), "no URL of ours (%zu)", i);
    tap_ok(imsg_url_split("http://[::1]:8080/x", "http", &parts) && strcmp(parts.host, "::1") == 0 &&
               parts.port == 8080 && parts.origin == 17,
           "host, port and origin");
    tap_ok(imsg_url_split_origin("https://h:1/a?wait=50", "https", &parts) && parts.origin == 11 &&
               strcmp(parts.host, "h") == 0,
           "the origin of a URL with a query");
    tap_ok(!imsg_url_split_origin("https://u@h/a", "https", &parts) &&
               !imsg_url_split_origin("https://h?x", "https", &parts) &&
               !imsg_url_split_origin("http://h/a", "https", &parts),
           "what has no origin of ours");
    tap_ok(imsg_host_is_loopback("127.0.0.1") && imsg_host_is_loopback("::1") && imsg_host_is_loopback("LocalHost") &&
               imsg_host_is_loopback("127.9.9.9"),
           "this machine");
    tap_ok(!imsg_host_is_loopback("128.0.0.1") && !imsg_host_is_loopback("::2") &&
               !imsg_host_is_loopback("localhost.example"),
           "another");
}

static void test_origins(void)
{
    struct imsg_net net = {.retry_for = 0};
    static const char *const own[] = {"https://relay.example", "https://other.example:8443"};
    static const char *const foreign[] = {"https://relay.example:8443", "https://other.example",
                                          "https://relay.example.org"};
    tap_status(imsg_net_trust(&net, "https://Relay.Example:443/path", &err), IMSG_OK, &err, "an own server");
    tap_status(imsg_net_trust(&net, "https://other.example:8443", &err), IMSG_OK, &err, "another");
    tap_status(imsg_net_trust(&net, "/a/folder", &err), IMSG_OK, &err, "a folder");
    tap_status(imsg_net_trust(&net, "http://relay.example", &err), IMSG_CONFIG, &err, "http to another machine");
    for (size_t i = 0; i < COUNT(own); i++)
        tap_ok(imsg_net_is_configured(&net, own[i]), "%s is one's own", own[i]);
    for (size_t i = 0; i < COUNT(foreign); i++)
        tap_ok(!imsg_net_is_configured(&net, foreign[i]), "%s is not", foreign[i]);
    imsg_net_free(&net);
}

/* ---- a body ---- */

static struct imsg_buf taken;

static enum imsg_status take(void *context, struct imsg_view piece, struct imsg_error *e)
{
    (void)context;
    return imsg_buf_append(&taken, piece.ptr, piece.len, e);
}

static void header(struct transfer *transfer, const char *line)
{
    transfer_header(transfer, imsg_view_str(line));
}

static bool body(struct transfer *transfer, const char *text)
{
    return transfer_body(transfer, imsg_view_str(text));
}

static void next_try(struct transfer *transfer)
{
    transfer->received = transfer->skip = 0;
    transfer->has_range = false;
}

static bool has(const char *text)
{
    return imsg_view_equal(imsg_buf_view(&taken), imsg_view_str(text));
}

static void test_body(void)
{
    const struct imsg_http_request request = {.sink = take, .max = 10};
    struct transfer transfer = {.request = &request};
    header(&transfer, "HTTP/1.1 100 Continue\r\n");
    header(&transfer, "\r\n");
    header(&transfer, "HTTP/1.1 200 OK\r\n");
    tap_ok(transfer.answer.status == 200 && !transfer.head_ended, "the last status counts");
    tap_ok(body(&transfer, "abc") && body(&transfer, "de") && has("abcde"), "a body in two pieces");
    next_try(&transfer);
    header(&transfer, "HTTP/1.1 206 Partial Content\r\n");
    header(&transfer, "content-range: bytes 5-9/10\r\n");
    tap_ok(body(&transfer, "fg") && has("abcdefg"), "the next try brings the rest");
    next_try(&transfer);
    header(&transfer, "HTTP/1.1 200 OK\r\n");
    tap_ok(body(&transfer, "abcde") && body(&transfer, "fgh") && has("abcdefgh"), "or all of it again");
    next_try(&transfer);
    header(&transfer, "HTTP/1.1 206 Partial Content\r\n");
    header(&transfer, "content-range: bytes 7-9/10\r\n");
    tap_ok(!body(&transfer, "hij") && transfer.out_of_turn && has("abcdefgh"), "another part than asked for is none");
    transfer.out_of_turn = false;
    next_try(&transfer);
    header(&transfer, "HTTP/1.1 206 Partial Content\r\n");
    tap_ok(!body(&transfer, "ij") && transfer.out_of_turn, "nor is one that does not say which");
    transfer.out_of_turn = false;
    next_try(&transfer);
    header(&transfer, "HTTP/1.1 503 Busy\r\n");
    tap_ok(body(&transfer, "{\"reason\":\"x\"}") && has("abcdefgh"), "an error's body goes elsewhere");
    next_try(&transfer);
    header(&transfer, "HTTP/1.1 200 OK\r\n");
    tap_ok(!body(&transfer, "abcdefghijk") && transfer.over && has("abcdefgh"), "more than the most is refused");
    imsg_http_answer_free(&transfer.answer);
    imsg_buf_free(&taken);
    const struct imsg_http_request cut = {.max = 4, .cut = true};
    struct transfer second = {.request = &cut};
    header(&second, "HTTP/2 200\r\n");
    tap_ok(body(&second, "abc") && !body(&second, "def") && second.answer.cut && !second.over &&
               imsg_view_equal(imsg_buf_view(&second.answer.body), imsg_view_str("abcd")),
           "or cut where that was asked for");
    imsg_http_answer_free(&second.answer);
    const struct imsg_http_request first_part = {.sink = take, .max = 10};
    struct transfer third = {.request = &first_part};
    header(&third, "HTTP/1.1 206 Partial Content\r\n");
    header(&third, "content-range: bytes 0-2/10\r\n");
    tap_ok(!body(&third, "abc") && third.out_of_turn, "a part is no answer to who asked for all");
    imsg_http_answer_free(&third.answer);
    imsg_buf_free(&taken);
}

int main(void)
{
    test_etag();
    test_reason();
    test_range();
    test_addresses();
    test_connections();
    test_urls();
    test_origins();
    test_body();
    test_names();
    return tap_done();
}
