/* Who asks for an s3:// store, told as to every other program that speaks S3: AWS_… variables, or the credentials
 * file. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "base/url.h"

#define FILE_MAX_BYTES 65536

static const char *either(const char *first, const char *second)
{
    const char *value = cli_environment(first);
    return value ? value : cli_environment(second);
}

/* Without the space around it; cut off in place. */
static char *trimmed(char *text)
{
    static const char space[] = " \t\r";
    text += strspn(text, space);
    for (size_t len = strlen(text); len > 0 && strchr(space, text[len - 1]); len--)
        text[len - 1] = 0;
    return text;
}

/* "[NAME]"? */
static bool is_section(const char *line, const char *name)
{
    size_t len = strlen(name);
    return line[0] == '[' && strncmp(line + 1, name, len) == 0 && strcmp(line + 1 + len, "]") == 0;
}

/* The lines of the profile, cut into words in the text, which s3 then points into. */
static void read_profile(char *text, const char *profile, struct imsg_s3 *s3)
{
    const struct {
        const char *name;
        const char **to;
    } known[] = {{"aws_access_key_id", &s3->key},
                 {"aws_secret_access_key", &s3->secret},
                 {"aws_session_token", &s3->session},
                 {"region", &s3->region}};
    bool inside = false;
    for (char *next = text; next;) {
        char *line = next, *end = strchr(line, '\n'), *equals;
        next = end ? end + 1 : NULL;
        if (end)
            *end = 0;
        line = trimmed(line);
        if (line[0] == '[')
            inside = is_section(line, profile);
        equals = inside && line[0] != '#' && line[0] != ';' ? strchr(line, '=') : NULL;
        if (!equals)
            continue;
        *equals = 0;
        const char *value = trimmed(equals + 1);
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            if (strcmp(trimmed(line), known[i].name) == 0 && *value)
                *known[i].to = value;
    }
}

static enum imsg_status from_file(struct cli *cli, struct imsg_s3 *s3, struct imsg_error *err)
{
    const char *set = cli_environment("AWS_SHARED_CREDENTIALS_FILE"), *home = cli_environment("HOME");
    const char *profile = cli_environment("AWS_PROFILE");
    char *path = NULL;
    enum imsg_status status = set    ? imsg_path_join(set, "", &path, err)
                              : home ? imsg_path_join(home, ".aws/credentials", &path, err)
                                     : imsg_fail(err, IMSG_CONFIG, "no credentials for s3://");
    if (status == IMSG_OK)
        status = imsg_read_file(path, FILE_MAX_BYTES, &cli->s3_file, err);
    if (status == IMSG_OK)
        status = imsg_buf_append(&cli->s3_file, "", 1, err);
    if (status == IMSG_OK)
        read_profile((char *)cli->s3_file.ptr, profile ? profile : "default", s3);
    if (status == IMSG_NO_INPUT || (status == IMSG_OK && (!s3->key || !s3->secret)))
        status = imsg_fail(err, IMSG_CONFIG, "no credentials for s3:// in AWS_ACCESS_KEY_ID nor in \"%s\"", path);
    free(path);
    return status;
}

/* No line of a header, and nothing that libcurl would read as more than it is. */
static bool is_word(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

enum imsg_status cli_s3(void *context, const struct imsg_s3 **out, struct imsg_error *err)
{
    struct cli *cli = context;
    struct imsg_s3 *s3 = &cli->s3;
    struct imsg_url parts;
    const char *region = either("AWS_REGION", "AWS_DEFAULT_REGION");
    enum imsg_status status = IMSG_OK;
    *out = s3;
    if (s3->key)
        return IMSG_OK;
    struct imsg_s3 made = {.key = cli_environment("AWS_ACCESS_KEY_ID"),
                           .secret = cli_environment("AWS_SECRET_ACCESS_KEY"),
                           .session = cli_environment("AWS_SESSION_TOKEN"),
                           .endpoint = either("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")};
    if (!made.key || !made.secret) {
        made.key = made.secret = made.session = NULL;
        status = from_file(cli, &made, err);
    }
    if (region || !made.region)
        made.region = region ? region : "us-east-1";
    if (status == IMSG_OK && !(is_word(made.key) && is_word(made.secret) && (!made.session || is_word(made.session))))
        status = imsg_fail(err, IMSG_CONFIG, "the credentials for s3:// hold spaces or control characters");
    if (status == IMSG_OK && made.region[strspn(made.region, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        status = imsg_fail(err, IMSG_CONFIG, "\"%.60s\" is no region of S3", made.region);
    if (status == IMSG_OK && made.endpoint && !imsg_url_split(made.endpoint, "https", &parts) &&
        !imsg_url_split(made.endpoint, "http", &parts))
        status = imsg_fail(err, IMSG_CONFIG, "AWS_ENDPOINT_URL \"%.200s\" is no URL of a host", made.endpoint);
    if (status == IMSG_OK)
        *s3 = made;
    return status;
}
