/* Options by table: getopt_long does the parsing, with its arrays made from the table; a single-valued option given
 * twice is an error here. */
#define _GNU_SOURCE /* getopt_long, sched_getaffinity */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <jansson.h>

#include "base/os.h"
#include "crypto/crypto.h"

#define JOBS_MAX 256

/* A descriptor 0-2 that is closed would be handed to the next file opened, and messages would go into it. */
static bool occupy(int fd, int flags)
{
    if (fcntl(fd, F_GETFD) != -1 || errno != EBADF)
        return false;
    return open("/dev/null", flags) == fd;
}

/* jansson copies each string that it reads, private keys among them, and wipes none of the copies. */
static void free_wiped(void *memory)
{
    if (memory)
        imsg_wipe(memory, imsg_os_memory_size(memory));
    free(memory);
}

void cli_start(struct cli *cli, const struct cli_tool *tool, int argc, char **argv)
{
    *cli = (struct cli){.tool = tool, .argc = argc, .argv = argv, .next = 1, .passphrase_fd = -1};
    cli->net.retry_for = CLI_RETRY_FOR;
    occupy(0, O_RDONLY);
    cli->stdout_closed = occupy(1, O_WRONLY);
    occupy(2, O_WRONLY);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    json_set_alloc_funcs(malloc, free_wiped);
    imsg_crypto_start_process();
}

static void print_option(const struct cli_option *option)
{
    char left[80];
    int at = option->key < CLI_LONG ? snprintf(left, sizeof left, "  -%c, --%s", option->key, option->name)
                                    : snprintf(left, sizeof left, "      --%s", option->name);
    if (option->arg)
        snprintf(left + at, sizeof left - (size_t)at, " %s", option->arg);
    printf("%-31s  %s%s\n", left, option->help, option->flags & CLI_REPEAT ? " (repeatable)" : "");
}

static void help(const struct cli_tool *tool)
{
    const char *lead = "usage:";
    for (const char *line = tool->synopsis; *line;) {
        size_t len = strcspn(line, "\n");
        printf("%-6s %s %.*s\n", lead, tool->name, (int)len, line);
        line += len + (line[len] == '\n');
        lead = "";
    }
    printf("%c%s.\n\n", tool->purpose[0] - ('a' - 'A'), tool->purpose + 1);
    for (const struct cli_option *option = tool->options; option->name; option++)
        print_option(option);
    for (const struct cli_option *option = cli_common_options(); option->name; option++)
        print_option(option);
    printf("\nSee %s(1) for more, imsg(7) for exit statuses.\n", tool->name);
}

static _Noreturn void finish_stdout(struct cli *cli)
{
    if (cli->stdout_closed || fflush(stdout) != 0 || ferror(stdout))
        cli_error(cli, IMSG_IO, "standard output: %s", strerror(cli->stdout_closed ? EBADF : errno));
    exit(cli_finish(cli));
}

static bool choice_ok(const char *choices, const char *arg)
{
    if (!strchr(choices, '|'))
        return true;
    size_t len = strlen(arg);
    for (const char *at = choices; *at; at += strcspn(at, "|"), at += *at == '|')
        if (strcspn(at, "|") == len && strncmp(at, arg, len) == 0)
            return true;
    return false;
}

/* What every tool's options share; true if it was one of these. */
static bool take_common(struct cli *cli, const struct cli_option *option, const char *arg)
{
    switch (option->key) {
    case 'q':
        cli->quiet = true;
        return true;
    case 'v':
        cli->verbose = true;
        return true;
    case 'h':
        help(cli->tool);
        finish_stdout(cli);
    case 'V':
        printf("%s %s\n", cli->tool->name, IMSG_VERSION);
        finish_stdout(cli);
    case CLI_KEY_PASSPHRASE_FILE:
        cli->passphrase_file = arg;
        return true;
    case CLI_KEY_PASSPHRASE_FD:
        cli->passphrase_fd = (int)cli_number(cli, "passphrase-fd", arg, 0, 1023);
        return true;
    case CLI_KEY_JOBS:
        cli->jobs = (unsigned)cli_number(cli, "jobs", arg, 1, JOBS_MAX);
        return true;
    case CLI_KEY_INSECURE:
        cli->allow_insecure_key = true;
        return true;
    case CLI_KEY_CACERT:
        cli->net.cacert = arg;
        return true;
    case CLI_KEY_PIN:
        cli->net.pin = arg;
        return true;
    case CLI_KEY_RETRY_FOR:
        cli->net.retry_for = (unsigned)cli_number(cli, "retry-for", arg, 0, 30 * 86400);
        return true;
    case CLI_KEY_INSECURE_HTTP:
        cli->net.insecure_http = true;
        return true;
    default:
        return false;
    }
}

char *cli_handle(const struct cli *cli, const char *arg)
{
    struct imsg_error err;
    char *handle = NULL;
    if (!imsg_handle_is(arg))
        cli_usage(cli, "\"%s\" is a name, not a handle (an email address or +NUMBER)", arg);
    if (imsg_handle_canonical(arg, &handle, &err) != IMSG_OK)
        cli_usage(cli, "\"%s\": %s", arg, err.text);
    return handle;
}

unsigned cli_jobs(const struct cli *cli)
{
    cpu_set_t allowed;
    if (cli->jobs)
        return cli->jobs;
    int cores = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
    return cores < JOBS_MAX ? (unsigned)cores : JOBS_MAX;
}

#define OPTIONS_MAX 40

static const struct cli_option *find(const struct cli *cli, int key)
{
    const struct cli_option *tables[] = {cli->tool->options, cli_common_options()};
    for (size_t i = 0; i < 2; i++)
        for (const struct cli_option *option = tables[i]; option->name; option++)
            if (option->key == key)
                return option;
    return NULL;
}

static void mark(struct cli *cli, const struct cli_option *option)
{
    uint64_t *word = &cli->given[option->key / 64];
    uint64_t mask = UINT64_C(1) << (option->key % 64);
    if ((*word & mask) && option->arg && !(option->flags & CLI_REPEAT))
        cli_usage(cli, "--%s is given twice", option->name);
    *word |= mask;
}

static int next_key(struct cli *cli)
{
    struct option longs[OPTIONS_MAX + 1] = {{0}};
    char shorts[2 * OPTIONS_MAX + 2] = ":";
    const struct cli_option *tables[] = {cli->tool->options, cli_common_options()};
    size_t n = 0, s = 1;
    for (size_t i = 0; i < 2; i++)
        for (const struct cli_option *option = tables[i]; option->name && n < OPTIONS_MAX - 1; option++) {
            longs[n++] =
                (struct option){option->name, option->arg ? required_argument : no_argument, NULL, option->key};
            if (option->key >= CLI_LONG)
                continue;
            shorts[s++] = (char)option->key;
            if (option->arg)
                shorts[s++] = ':';
        }
    longs[n] = (struct option){"completion", required_argument, NULL, CLI_KEY_COMPLETION};
    opterr = 0;
    return getopt_long(cli->argc, cli->argv, shorts, longs, NULL);
}

_Noreturn static void unknown(const struct cli *cli, const char *word)
{
    /* Where optopt is one of ours, a long option was given an argument it does not take. */
    if (optopt && optopt < CLI_LONG && !find(cli, optopt))
        cli_usage(cli, "there is no option -%c", optopt);
    cli_usage(cli, "\"%s\" is no option here, or not with that argument", word);
}

/* False: the tool's own, for it to deal with. */
static bool take(struct cli *cli, const struct cli_option *option)
{
    mark(cli, option);
    if (option->arg && !choice_ok(option->arg, optarg))
        cli_usage(cli, "--%s takes %s, not \"%s\"", option->name, option->arg, optarg);
    return take_common(cli, option, optarg);
}

int cli_next(struct cli *cli, const char **arg)
{
    for (;;) {
        int key = next_key(cli);
        *arg = optarg;
        if (key == -1) {
            cli->next = optind;
            cli_exclusive(cli, CLI_KEY_PASSPHRASE_FILE, CLI_KEY_PASSPHRASE_FD, 0);
            cli->stdin_taken = cli->passphrase_fd == STDIN_FILENO;
            return -1;
        }
        const char *word = cli->argv[optind - 1];
        if (key == ':')
            cli_usage(cli, "%s needs an argument", word);
        if (key == CLI_KEY_COMPLETION) {
            cli_print_completion(cli->tool, optarg);
            finish_stdout(cli);
        }
        const struct cli_option *option = key == '?' ? NULL : find(cli, key);
        if (!option)
            unknown(cli, word);
        else if (!take(cli, option))
            return key;
    }
}

bool cli_given(const struct cli *cli, int key)
{
    return cli->given[key / 64] >> (key % 64) & 1;
}

int cli_operands(const struct cli *cli)
{
    return cli->argc - cli->next;
}

const char *cli_operand(const struct cli *cli, int i)
{
    return i < cli_operands(cli) ? cli->argv[cli->next + i] : NULL;
}

void cli_exclusive(const struct cli *cli, ...)
{
    const struct cli_option *first = NULL;
    va_list keys;
    va_start(keys, cli);
    for (int key; (key = va_arg(keys, int)) != 0;) {
        if (!cli_given(cli, key))
            continue;
        const struct cli_option *option = find(cli, key);
        if (first)
            cli_usage(cli, "--%s and --%s do not go together", first->name, option->name);
        first = option;
    }
    va_end(keys);
}

uint64_t cli_number(const struct cli *cli, const char *option, const char *arg, uint64_t min, uint64_t max)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = arg[0] >= '0' && arg[0] <= '9' ? strtoull(arg, &end, 10) : 0;
    if (!end || *end || errno || value < min || value > max)
        cli_usage(cli, "--%s takes a number from %llu to %llu, not \"%s\"", option, (unsigned long long)min,
                  (unsigned long long)max, arg);
    return value;
}

uint64_t cli_size(const struct cli *cli, const char *option, const char *arg)
{
    static const char units[] = "KMGT";
    char *end = NULL;
    errno = 0;
    unsigned long long value = arg[0] >= '0' && arg[0] <= '9' ? strtoull(arg, &end, 10) : 0;
    const char *unit = end && *end ? strchr(units, *end) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    if (!end || errno || (*end && (!unit || end[1])) || value > (unsigned long long)INT64_MAX >> shift)
        cli_usage(cli, "--%s takes a number of bytes, or one like 500M or 4G, not \"%s\"", option, arg);
    return (uint64_t)value << shift;
}
