/* Where things are: $IMSG_HOME, its config file, and the three services. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/url.h"

#define CONFIG_MAX 65536

static const char *const names[] = {"IMSG_SERVER",          "IMSG_DIRECTORY", "IMSG_RELAY", "IMSG_STORE",
                                    "IMSG_PASSPHRASE_FILE", "IMSG_CACERT",    "IMSG_PIN",   "IMSG_CLIENT_CERT"};

const char *cli_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

enum imsg_status cli_xdg_path(const char *xdg, const char *fallback, char **out, struct imsg_error *err)
{
    char *base = NULL;
    enum imsg_status status;
    const char *set = cli_environment(xdg), *user = cli_environment("HOME");
    if (set && set[0] == '/') /* the XDG specification: relative paths are ignored */
        return imsg_path_join(set, "imsg", out, err);
    if (!user)
        return imsg_fail(err, IMSG_CONFIG, "neither IMSG_HOME, %s nor HOME is set", xdg);
    status = imsg_path_join(user, fallback, &base, err);
    if (status == IMSG_OK)
        status = imsg_path_join(base, "imsg", out, err);
    free(base);
    return status;
}

/* Who can write to it could put in keys, pins and settings of his own. */
static enum imsg_status check_home(const char *path, struct imsg_error *err)
{
    struct stat st;
    char *word = NULL;
    if (stat(path, &st) != 0) /* then none of its files can be opened either */
        return IMSG_OK;
    if (geteuid() != 0 && st.st_uid != geteuid() && st.st_uid != 0)
        return imsg_fail(err, IMSG_PERMISSION, "IMSG_HOME \"%s\" belongs to another user", path);
    if (!(st.st_mode & (S_IWGRP | S_IWOTH)))
        return IMSG_OK;
    (void)imsg_fail(err, IMSG_PERMISSION, "IMSG_HOME \"%s\": mode %04o lets others write to it", path,
                    (unsigned)(st.st_mode & 07777));
    if (cli_shell_word(path, &word, NULL) == IMSG_OK)
        cli_error_hint(err, "chmod go-w %s%s", path[0] == '-' ? "-- " : "", word);
    free(word);
    return IMSG_PERMISSION;
}

enum imsg_status cli_home_find(char **path, struct imsg_error *err)
{
    const char *set = cli_environment("IMSG_HOME");
    return set ? imsg_path_join(set, "", path, err) : cli_xdg_path("XDG_CONFIG_HOME", ".config", path, err);
}

enum imsg_status cli_home(struct cli *cli, const char **home, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (!cli->home) {
        char *path = NULL;
        status = cli_home_find(&path, err);
        if (status == IMSG_OK && !cli->no_home)
            status = imsg_make_folders(path, 0700, err);
        if (status == IMSG_OK)
            status = check_home(path, err);
        if (status != IMSG_OK) {
            free(path);
            return status;
        }
        cli->home = path;
    }
    *home = cli->home;
    return IMSG_OK;
}

enum imsg_status cli_home_path(struct cli *cli, const char *name, char **path, struct imsg_error *err)
{
    const char *home = NULL;
    enum imsg_status status = cli_home(cli, &home, err);
    return status == IMSG_OK ? imsg_path_join(home, name, path, err) : status;
}

static bool known(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* Turn "A=b\n# c\n" into "A=b\0…": each line NUL-terminated, comments and blank lines empty. */
static enum imsg_status read_config(struct cli *cli, struct imsg_error *err)
{
    char *path = NULL, *home = NULL;
    enum imsg_status status = cli_home_find(&home, err);
    unsigned number = 0;
    if (status != IMSG_OK)
        goto out;
    if (!cli->home && access(home, F_OK) != 0 && errno == ENOENT) /* reading makes no home */
        goto out;
    status = cli_home_path(cli, "config", &path, err);
    if (status != IMSG_OK)
        goto out;
    struct stat st;
    if (stat(path, &st) != 0 && errno == ENOENT) {
        cli->config_read = true;
        goto out;
    }
    imsg_buf_clear(&cli->config); /* of a first look that found it wrong */
    status = imsg_read_file(path, CONFIG_MAX, &cli->config, err);
    if (status != IMSG_OK) {
        status = imsg_fail(err, IMSG_CONFIG, "config file \"%s\" cannot be read", path);
        goto out;
    }
    char *text = (char *)cli->config.ptr, *end = text ? text + cli->config.len : text;
    while (text < end) {
        char *stop = memchr(text, '\n', (size_t)(end - text));
        stop = stop ? stop : end;
        *stop = '\0';
        number++;
        size_t at = strspn(text, " \t");
        char *equals = strchr(text, '=');
        if (text[at] == '#' || text[at] == '\0') {
            text[0] = '\0';
        } else {
            if (equals)
                *equals = '\0';
            if (!equals || !known(text)) {
                status = imsg_fail(err, IMSG_CONFIG,
                                   "config file \"%s\": line %u: \"%s\" is not one of IMSG_SERVER, "
                                   "IMSG_DIRECTORY, IMSG_RELAY, IMSG_STORE, IMSG_PASSPHRASE_FILE, IMSG_CACERT, "
                                   "IMSG_PIN, IMSG_CLIENT_CERT with =VALUE",
                                   path, number, text);
                goto out;
            }
            *equals = '=';
        }
        text = stop + 1;
    }
    cli->config_read = true;
out:
    free(home);
    free(path);
    return status;
}

enum imsg_status cli_setting(struct cli *cli, const char *name, const char **value, struct imsg_error *err)
{
    *value = cli_environment(name);
    if (*value)
        return IMSG_OK;
    if (!cli->config_read) {
        enum imsg_status status = read_config(cli, err);
        if (status != IMSG_OK)
            return status;
    }
    const char *text = (const char *)cli->config.ptr, *end = text ? text + cli->config.len : text;
    size_t len = strlen(name);
    for (; text < end; text += strlen(text) + 1)
        if (strncmp(text, name, len) == 0 && text[len] == '=' && text[len + 1])
            *value = text + len + 1;
    return IMSG_OK;
}

static const struct {
    const char *variable, *folder;
} services[] = {
    [CLI_DIRECTORY] = {"IMSG_DIRECTORY", "directory"},
    [CLI_RELAY] = {"IMSG_RELAY", "relay"},
    [CLI_STORE] = {"IMSG_STORE", "store"},
};

/* The embedded default. The three folders are made together, once: when one is missing later it has gone away (an
 * unmounted disk), and making it anew would hide that. */
static enum imsg_status embedded(enum cli_service service, char **location, struct imsg_error *err)
{
    char *base = NULL, *folder = NULL;
    struct stat st;
    enum imsg_status status = cli_xdg_path("XDG_DATA_HOME", ".local/share", &base, err);
    if (status == IMSG_OK && stat(base, &st) != 0 && errno == ENOENT)
        for (size_t i = 0; status == IMSG_OK && i < sizeof services / sizeof services[0]; i++) {
            status = imsg_path_join(base, services[i].folder, &folder, err);
            if (status == IMSG_OK)
                status = imsg_make_folders(folder, 0777, err);
            free(folder);
            folder = NULL;
        }
    if (status == IMSG_OK)
        status = imsg_path_join(base, services[service].folder, location, err);
    free(base);
    return status;
}

static enum imsg_status below_server(enum cli_service service, const char *server, char **location,
                                     struct imsg_error *err)
{
    char scheme[16];
    imsg_url_scheme(server, scheme);
    /* A server speaks all three under one origin; a folder holds three folders. */
    return strcmp(scheme, "file") == 0 ? imsg_path_join(server, services[service].folder, location, err)
                                       : imsg_path_join(server, "", location, err);
}

/* Option, then environment, then config: a setting in the environment wins over any in the file, IMSG_RELAY over
 * IMSG_SERVER within one place. */
enum imsg_status cli_configured(struct cli *cli, enum cli_service service, const char *option, char **location,
                                struct imsg_error *err)
{
    const char *variable = services[service].variable;
    const char *one = option ? option : cli_environment(variable);
    const char *all = one ? NULL : cli_environment("IMSG_SERVER");
    if (!one && !all) {
        enum imsg_status status = cli_setting(cli, variable, &one, err);
        if (status == IMSG_OK && !one)
            status = cli_setting(cli, "IMSG_SERVER", &all, err);
        if (status != IMSG_OK)
            return status;
    }
    if (one)
        return imsg_path_join(one, "", location, err);
    return all ? below_server(service, all, location, err) : IMSG_OK;
}

enum imsg_status cli_service_find(struct cli *cli, enum cli_service service, const char *option, char **location,
                                  struct imsg_error *err)
{
    char *found = NULL, *base = NULL;
    enum imsg_status status = cli_configured(cli, service, option, &found, err);
    if (status == IMSG_OK && !found)
        status = cli_xdg_path("XDG_DATA_HOME", ".local/share", &base, err);
    if (base)
        status = imsg_path_join(base, services[service].folder, &found, err);
    free(base);
    if (status == IMSG_OK)
        *location = found;
    return status;
}

enum imsg_status cli_service(struct cli *cli, enum cli_service service, const char *option, char **location,
                             struct imsg_error *err)
{
    char *found = NULL;
    enum imsg_status status = cli_configured(cli, service, option, &found, err);
    if (status == IMSG_OK && !found)
        return embedded(service, location, err);
    if (status == IMSG_OK)
        *location = found;
    return status;
}
