/* Loads libcurl. */
#include "net/http_curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "crypto/crypto.h"
#include "net/http.h"

#define CURL_LIBRARY "libcurl.so.4"
#define VERSION_MIN 0x075500 /* 7.85: CURLOPT_PROTOCOLS_STR */

struct imsg_libcurl imsg_libcurl;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char load_error[256];

static void load_libcurl(void)
{
    imsg_crypto_add_names();
    void *library = dlopen(CURL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    bool all = library != NULL;
#define FIND(name) all = all && (*(void **)&imsg_libcurl.name = dlsym(library, "curl_" #name)) != NULL;
    LIBCURL_FUNCTIONS(FIND)
    if (!all)
        snprintf(load_error, sizeof load_error, "%s", dlerror());
    else if (imsg_libcurl.version_info(CURLVERSION_NOW)->version_num < VERSION_MIN)
        snprintf(load_error, sizeof load_error, CURL_LIBRARY " is older than 7.85");
    else if (imsg_libcurl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        snprintf(load_error, sizeof load_error, CURL_LIBRARY " does not start");
}

enum imsg_status imsg_http_load(struct imsg_error *err)
{
    pthread_once(&once, load_libcurl);
    if (!load_error[0])
        return IMSG_OK;
    enum imsg_status status = imsg_fail(err, IMSG_CONFIG, "cannot speak HTTP: %s", load_error);
    imsg_error_suggest(err, IMSG_HINT_LIBCURL, NULL);
    return status;
}

const char *imsg_http_version(void)
{
    return imsg_libcurl.version();
}
