/* What a tool may still do once its options are read: which files, whether there is a network, which system calls. */
#define _GNU_SOURCE /* realpath */
#include "cli/sandbox.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

struct cli_path {
    char *path;
    enum sandbox_access access;
};

/* For every tool: libraries and the data of libraries, locales, time zones, the types of libmagic and the usual places
 * of CA bundles are below /usr. Where /lib is no link into it, it is asked for too. */
static const char *const readable[] = {"/usr", "/etc/localtime", "/dev/urandom"};
static const char *const libraries[] = {"/lib", "/lib64"};
static const char *const writable[] = {"/dev/tty", "/dev/null"};
/* For those that look up names and check certificates; the stores that some systems have in place of /usr. */
static const char *const network[] = {"/etc/ssl",      "/etc/pki",       "/etc/ca-certificates", "/etc/ld.so.cache",
                                      "/etc/hosts",    "/etc/host.conf", "/etc/nsswitch.conf",   "/etc/gai.conf",
                                      "/etc/services", "/etc/protocols", "/etc/resolv.conf",     "/run/systemd/resolve",
                                      "/run/nscd",     "/var/run/nscd",  "/nix/store",           "/gnu/store"};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- what the options ask for ---- */

/* A failure to remember a path is one to open it later, and reported there. */
static void add(struct cli *cli, const char *path, enum sandbox_access access)
{
    struct cli_path *grown = realloc(cli->paths, (cli->path_count + 1) * sizeof *grown);
    if (!grown)
        return;
    cli->paths = grown;
    grown[cli->path_count].access = access;
    if (imsg_strdup(path, &grown[cli->path_count].path, NULL) == IMSG_OK)
        cli->path_count++;
}

/* `path` up to its last slash, in place; false where there is none. */
static bool go_up(char *path)
{
    char *slash = strrchr(path, '/');
    while (slash && slash > path && !slash[1]) {
        *slash = 0;
        slash = strrchr(path, '/');
    }
    if (!slash || !slash[1])
        return false;
    slash[slash == path] = 0;
    return true;
}

/* What is not there yet may come, from the other end of a pipe: then its folder. */
void cli_may_read(struct cli *cli, const char *path)
{
    char *folder = NULL;
    if (!path || strcmp(path, "-") == 0)
        return;
    if (access(path, F_OK) == 0 || errno != ENOENT)
        add(cli, path, SANDBOX_READ);
    else if (imsg_strdup(path, &folder, NULL) == IMSG_OK)
        add(cli, go_up(folder) ? folder : ".", SANDBOX_READ);
    free(folder);
}

void cli_may_read_operands(struct cli *cli, int first)
{
    for (int i = first; i < cli_operands(cli); i++)
        cli_may_read(cli, cli_operand(cli, i));
}

/* The nearest folder above what is not there yet, for it will be made. */
void cli_may_write(struct cli *cli, const char *folder)
{
    char *at = NULL;
    struct stat st;
    if (!folder || imsg_strdup(*folder ? folder : ".", &at, NULL) != IMSG_OK)
        return;
    bool there = true;
    while (there && stat(at, &st) != 0 && errno == ENOENT)
        there = go_up(at);
    add(cli, there ? at : ".", SANDBOX_WRITE);
    free(at);
}

/* Its folder; what cannot be replaced, a device say, is written to as it is. */
void cli_may_replace(struct cli *cli, const char *file)
{
    char *real = NULL, *whole;
    struct stat st;
    if (!file || strcmp(file, "-") == 0 || imsg_follow_links(file, &real, NULL) != IMSG_OK)
        return;
    whole = realpath(real, NULL);
    if (whole) {
        free(real);
        real = whole;
    }
    if (stat(real, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) || S_ISFIFO(st.st_mode)))
        add(cli, real, SANDBOX_WRITE);
    else
        cli_may_write(cli, strchr(real, '/') && go_up(real) ? real : ".");
    free(real);
}

void cli_may_talk(struct cli *cli)
{
    cli->talks = true;
}

void cli_may_use(struct cli *cli, enum cli_service service, const char *option)
{
    char *location = NULL;
    /* What is wrong with the configuration is reported when it is used. */
    if (cli_service_find(cli, service, option, &location, NULL) != IMSG_OK)
        return;
    if (imsg_location_is_remote(location))
        cli->talks = true;
    else
        cli_may_write(cli, location);
    free(location);
}

/* ---- what every run asks for ---- */

/* Key files of the home may be links to where they really are. */
static void add_linked(struct cli *cli, const char *home, const char *name)
{
    char *path = NULL;
    struct stat st;
    if (imsg_path_join(home, name, &path, NULL) == IMSG_OK && lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
        add(cli, path, SANDBOX_READ);
    free(path);
}

static void add_home(struct cli *cli)
{
    const char *passphrase = cli->passphrase_file;
    char *home = NULL;
    if (cli_home_find(&home, NULL) == IMSG_OK) {
        if (cli->no_home)
            add(cli, home, SANDBOX_READ);
        else
            cli_may_write(cli, home);
        add_linked(cli, home, "identity.json");
        add_linked(cli, home, "account.pem");
    }
    free(home);
    if (!passphrase)
        (void)!cli_setting(cli, "IMSG_PASSPHRASE_FILE", &passphrase, NULL);
    cli_may_read(cli, passphrase);
    cli_may_read(cli, cli->identity_path);
}

static void add_setting(struct cli *cli, const char *name)
{
    const char *value = NULL;
    if (cli_setting(cli, name, &value, NULL) == IMSG_OK)
        cli_may_read(cli, value);
}

/* A file that is replaced while a run waits for days: the folder that it is in stays readable. */
static void add_resolver(struct cli *cli)
{
    char *real = realpath("/etc/resolv.conf", NULL);
    if (real && go_up(real))
        cli_may_read(cli, real);
    free(real);
}

/* Each entry of a list that is separated by colons. */
static void add_list(struct cli *cli, const char *list)
{
    char *copy = NULL, *rest;
    if (!list || imsg_strdup(list, &copy, NULL) != IMSG_OK)
        return;
    for (char *entry = strtok_r(copy, ":", &rest); entry; entry = strtok_r(NULL, ":", &rest))
        cli_may_read(cli, entry);
    free(copy);
}

static void add_network(struct cli *cli)
{
    const char *temp = cli_environment("TMPDIR"), *home = cli_environment("HOME");
    char *cache = NULL, *credentials = NULL;
    if (cli_xdg_path("XDG_CACHE_HOME", ".cache", &cache, NULL) == IMSG_OK &&
        imsg_make_folders(cache, 0700, NULL) == IMSG_OK)
        add(cli, cache, SANDBOX_WRITE);
    free(cache);
    add(cli, temp ? temp : "/var/tmp", SANDBOX_WRITE);
    for (size_t i = 0; i < COUNT(network); i++)
        add(cli, network[i], SANDBOX_READ);
    if (cli->waits)
        add_resolver(cli);
    add_list(cli, cli_environment("LD_LIBRARY_PATH"));
    cli_may_read(cli, cli->net.cacert);
    cli_may_read(cli, cli->net.client_cert);
    add_setting(cli, "IMSG_CACERT");
    add_setting(cli, "IMSG_CLIENT_CERT");
    add_list(cli, cli_environment("SSL_CERT_FILE"));
    add_list(cli, cli_environment("SSL_CERT_DIR"));
    cli_may_read(cli, cli_environment("AWS_SHARED_CREDENTIALS_FILE"));
    if (home && imsg_path_join(home, ".aws/credentials", &credentials, NULL) == IMSG_OK)
        cli_may_read(cli, credentials);
    free(credentials);
}

static void add_system(const struct sandbox *sandbox)
{
    struct stat st;
    for (size_t i = 0; i < COUNT(readable); i++)
        (void)sandbox_allow(sandbox, readable[i], SANDBOX_READ);
    for (size_t i = 0; i < COUNT(libraries); i++)
        if (lstat(libraries[i], &st) == 0 && !S_ISLNK(st.st_mode))
            (void)sandbox_allow(sandbox, libraries[i], SANDBOX_READ);
    for (size_t i = 0; i < COUNT(writable); i++)
        (void)sandbox_allow(sandbox, writable[i], SANDBOX_WRITE);
}

/* ---- closing ---- */

static void tell(const struct cli *cli, const struct sandbox *sandbox)
{
    char files[64] = "any file (no Landlock)";
    if (sandbox->version > 0)
        snprintf(files, sizeof files, "named files (Landlock, ABI %d)", sandbox->version);
    cli_detail(cli, "confined to %s, %s, %s", files,
               sandbox->filters ? "listed system calls (seccomp)" : "any system call (no seccomp)",
               sandbox->network == SANDBOX_TALKING         ? "with a network"
               : sandbox->network == SANDBOX_SERVING       ? "connections of others"
               : sandbox->filters || sandbox->version >= 4 ? "no network"
                                                           : "with a network");
}

static void confine(struct cli *cli, enum sandbox_network reach)
{
    struct sandbox sandbox;
    sandbox_start(&sandbox, reach);
    add_system(&sandbox);
    for (size_t i = 0; i < cli->path_count; i++) {
        (void)sandbox_allow(&sandbox, cli->paths[i].path, cli->paths[i].access);
        free(cli->paths[i].path);
    }
    free(cli->paths);
    cli->paths = NULL;
    cli->path_count = 0;
    sandbox_close(&sandbox);
    tell(cli, &sandbox);
}

void cli_confine(struct cli *cli)
{
    add_home(cli);
    if (cli->talks)
        add_network(cli);
    confine(cli, cli->talks ? SANDBOX_TALKING : SANDBOX_SILENT);
}

void cli_confine_server(struct cli *cli)
{
    confine(cli, SANDBOX_SERVING);
}
