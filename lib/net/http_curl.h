/* libcurl, which is loaded when the first remote URL is used: a process without one starts 10 ms sooner. Only
 * http_curl.c and http.c include this. */
#ifndef IMSG_NET_HTTP_CURL_H
#define IMSG_NET_HTTP_CURL_H

#include <curl/curl.h>

/* Macros that check the arguments of the functions of these names, which are called by pointer here. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define LIBCURL_FUNCTIONS(X)                                                                                           \
    X(global_init)                                                                                                     \
    X(version)                                                                                                         \
    X(version_info)                                                                                                    \
    X(slist_append)                                                                                                    \
    X(slist_free_all)                                                                                                  \
    X(easy_init)                                                                                                       \
    X(easy_setopt)                                                                                                     \
    X(easy_getinfo)                                                                                                    \
    X(easy_cleanup)                                                                                                    \
    X(easy_strerror)                                                                                                   \
    X(easy_header)                                                                                                     \
    X(multi_init)                                                                                                      \
    X(multi_setopt)                                                                                                    \
    X(multi_add_handle)                                                                                                \
    X(multi_remove_handle)                                                                                             \
    X(multi_perform)                                                                                                   \
    X(multi_poll)                                                                                                      \
    X(multi_info_read)                                                                                                 \
    X(multi_cleanup)

/* The functions, once imsg_http_load has succeeded. */
#define LIBCURL_MEMBER(name) __typeof__(curl_##name) *name;
struct imsg_libcurl {
    LIBCURL_FUNCTIONS(LIBCURL_MEMBER)
};
extern struct imsg_libcurl imsg_libcurl;

#endif
