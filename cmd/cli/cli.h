/* cli.h: what the tools share and only they may do: options, messages, exit status, environment, files of $IMSG_HOME,
 * passphrases, output. The one place with policy; lib/ has none. */
#ifndef IMSG_CLI_H
#define IMSG_CLI_H

#include "base/io.h"
#include "imsg-client.h"
#include "imsg.h"
#include "imsg-net.h"

/* ---- options.c: one table per tool, from which parsing, --help and the completions are made ------------------- */

enum cli_option_flag { CLI_REPEAT = 1 }; /* may be given more than once */

struct cli_option {
    int key;          /* the short letter, or a number from CLI_LONG up for long-only */
    const char *name; /* long name */
    /* NULL: it takes none. FILE, DIR, FOLDER: completed as paths; "a|b": one of these; else a free word. */
    const char *arg;
    const char *help; /* one line, lower case, no period */
    int flags;
};
#define CLI_LONG 256
#define CLI_RETRY_FOR 30 /* seconds; stands in the help too */
/* clang-format off */
#define CLI_END {0, NULL, NULL, NULL, 0}

/* Options that mean the same everywhere are written once. */
#define CLI_OPT_IDENTITY {'i', "identity", "FILE", "this device's private keys (default: identity.json in IMSG_HOME)", 0}
#define CLI_OPT_DIRECTORY {'d', "directory", "LOCATION", "directory to use, a URL or a folder (IMSG_DIRECTORY)", 0}
#define CLI_OPT_RELAY {CLI_KEY_RELAY, "relay", "LOCATION", "relay to use, a URL or a folder (IMSG_RELAY)", 0}
#define CLI_OPT_STORE {CLI_KEY_STORE, "store", "LOCATION", "store to use, a URL or a folder (IMSG_STORE)", 0}
/* Of every tool that talks; read by cli_next itself, used by cli_net. */
#define CLI_OPTS_NET                                                                                                   \
    {CLI_KEY_CACERT, "cacert", "FILE", "believe the CAs in FILE, in place of the system's (IMSG_CACERT)", 0},          \
        {CLI_KEY_PIN, "pin", "PIN", "believe the server with this public key, sha256//BASE64 (IMSG_PIN)", 0},          \
        {CLI_KEY_RETRY_FOR, "retry-for", "SECONDS", "try again for SECONDS what fails for a while (default 30)", 0}, { \
        CLI_KEY_INSECURE_HTTP, "insecure-http", NULL, "allow http:// to other machines", 0                             \
    }
#define CLI_OPT_JSON {'j', "json", NULL, "print JSON, one object a line", 0}
#define CLI_OPT_JOBS {CLI_KEY_JOBS, "jobs", "N", "work on N cores at once (default: all of them)", 0}
#define CLI_OPTS_KEY                                                                                                   \
    {CLI_KEY_PASSPHRASE_FILE, "passphrase-file", "FILE", "read the passphrase from the first line of FILE", 0},        \
        {CLI_KEY_PASSPHRASE_FD, "passphrase-fd", "N", "read the passphrase from descriptor N", 0}, {                   \
        CLI_KEY_INSECURE, "allow-insecure-key", NULL, "use a private key file that others can read", 0                 \
    }
/* clang-format on */
enum {
    CLI_KEY_RELAY = CLI_LONG,
    CLI_KEY_STORE,
    CLI_KEY_PASSPHRASE_FILE,
    CLI_KEY_PASSPHRASE_FD,
    CLI_KEY_INSECURE,
    CLI_KEY_JOBS,
    CLI_KEY_CACERT,
    CLI_KEY_PIN,
    CLI_KEY_RETRY_FOR,
    CLI_KEY_INSECURE_HTTP,
    CLI_KEY_COMPLETION, /* hidden */
    CLI_KEY_OWN         /* the first a tool may use for itself */
};

struct cli_tool {
    const char *name;
    const char *synopsis;             /* after the name; several lines are separated by '\n' */
    const char *purpose;              /* one line, lower case, no period */
    const struct cli_option *options; /* without -h -V -q -v, which every tool has; ends with CLI_END */
    const char *operands;             /* "FILE", "HANDLE", "" for the completions */
    const char *commands;             /* words the first operand must be, "put|get", or NULL */
};

struct cli_config_line;
struct cli_path;
struct cli {
    const struct cli_tool *tool;
    int argc, next; /* after options are done, operands are argv[next] … argv[argc - 1] */
    char **argv;
    bool quiet, verbose;
    int status; /* exit status of the first failure, else 0 */
    bool stdout_closed;
    bool stdin_taken;
    bool allow_insecure_key;
    const char *passphrase_file;
    int passphrase_fd;            /* -1: none */
    struct imsg_buf passphrase;   /* what was read from it last */
    unsigned jobs;                /* of --jobs; 0: not given */
    char *home;                   /* $IMSG_HOME, once asked for */
    struct imsg_client client;    /* cli_client */
    const char *identity_path;    /* -i as given, or NULL */
    const char *directory_option; /* -d as given, or NULL */
    bool directory_create;        /* a directory folder that is not there is made, not reported */
    const char *event_input;      /* the input that the lines of events are in */
    struct imsg_buf config;
    bool config_read;
    struct imsg_net net; /* cli_net */
    bool net_ready;
    struct imsg_s3 s3;       /* cli_s3 */
    struct imsg_buf s3_file; /* what it points into, where it is from a file */
    char *net_cache;
    bool auth_optional;         /* bearer tokens need an identity, unless the server may need none */
    struct imsg_error auth_err; /* why there is none */
    uint64_t given[8];          /* bit set: which options were given */

    struct cli_path *paths; /* cli_may_read and others, until cli_confine */
    size_t path_count;
    bool talks;   /* this run may need a network */
    bool waits;   /* it may last for days */
    bool no_home; /* it makes no home, and writes nothing there */
};

/* Call first: descriptors 0-2 made safe, SIGPIPE ignored, no core dumps. */
void cli_start(struct cli *cli, const struct cli_tool *tool, int argc, char **argv);
/* The next option's key with its argument, or -1 at the end. --help, --version and the options shared by all tools
 * (-q, -v, CLI_OPTS_KEY) are dealt with here. A wrong option, or one given twice, ends the program with 64. */
int cli_next(struct cli *cli, const char **arg);
/* Was the option with this key given? */
bool cli_given(const struct cli *cli, int key);
/* The operands: count, and number i. */
int cli_operands(const struct cli *cli);
const char *cli_operand(const struct cli *cli, int i);
/* "TOOL: error: …", "TOOL: hint: TOOL --help …", exit 64. Only before any file is touched. */
_Noreturn void cli_usage(const struct cli *cli, const char *fmt, ...) IMSG_PRINTF(2, 3);
/* 64 unless at most one of the keys (0-terminated list) was given. */
void cli_exclusive(const struct cli *cli, ...);
/* An unsigned decimal argument, else 64. */
uint64_t cli_number(const struct cli *cli, const char *option, const char *arg, uint64_t min, uint64_t max);
/* The same for a number of bytes, or of K, M, G or T (1024, 1024², …). */
uint64_t cli_size(const struct cli *cli, const char *option, const char *arg);
/* An argument that must be a handle, in its canonical form, which is the caller's; else 64. */
char *cli_handle(const struct cli *cli, const char *arg);
/* --jobs, or the number of cores this process may use. */
unsigned cli_jobs(const struct cli *cli);
void cli_print_completion(const struct cli_tool *tool, const char *shell); /* completion.c */
const struct cli_option *cli_common_options(void);                         /* common.c */

/* ---- message.c ------------------------------------------------------------------------------------------------ */

/* "TOOL: error: TEXT" and the hint, escaped, on stderr; the exit status is kept if it is the first. */
void cli_report(struct cli *cli, const struct imsg_error *err);
/* The same with an exit status of its own and a text. */
void cli_error(struct cli *cli, enum imsg_status status, const char *fmt, ...) IMSG_PRINTF(3, 4);
void cli_hint(const struct cli *cli, const char *fmt, ...) IMSG_PRINTF(2, 3);
/* "TOOL: …": not with -q; cli_detail only with -v. */
void cli_note(const struct cli *cli, const char *fmt, ...) IMSG_PRINTF(2, 3);
void cli_detail(const struct cli *cli, const char *fmt, ...) IMSG_PRINTF(2, 3);
/* Report if status is not ok; returns true if it was ok. */
bool cli_ok(struct cli *cli, enum imsg_status status, const struct imsg_error *err);
/* Frees what cli holds; the exit status: the first failure's, 0 if none. `return cli_finish(&cli);` ends main. */
int cli_finish(struct cli *cli);

/* ---- hints.c -------------------------------------------------------------------------------------------------- */

/* One word of a command that a person may copy into a shell: in quotes where it needs them, its meaning never changed
 * by what it holds. The caller's. */
IMSG_CHECK enum imsg_status cli_shell_word(const char *text, char **out, struct imsg_error *err);
/* A hint in words of the tool's own, for cli_report. */
void cli_error_hint(struct imsg_error *err, const char *fmt, ...) IMSG_PRINTF(2, 3);
/* The hint of an error in words, or "". cli_report calls it. */
void cli_hint_text(const struct cli *cli, const struct imsg_error *err, char *out, size_t size);

/* ---- settings.c ----------------------------------------------------------------------------------------------- */

/* A variable of the environment; NULL if it is not set, or empty. Borrowed. */
const char *cli_environment(const char *name);
/* ${XDG:-$HOME/FALLBACK}/imsg; the caller's. */
IMSG_CHECK enum imsg_status cli_xdg_path(const char *xdg, const char *fallback, char **out, struct imsg_error *err);
/* $IMSG_HOME, else ${XDG_CONFIG_HOME:-~/.config}/imsg; made 0700 with parents. IMSG_PERMISSION: others can write to it.
 * Borrowed. */
IMSG_CHECK enum imsg_status cli_home(struct cli *cli, const char **home, struct imsg_error *err);
/* Where it is, not made; the caller's. */
IMSG_CHECK enum imsg_status cli_home_find(char **path, struct imsg_error *err);
/* A path below it; the caller's. */
IMSG_CHECK enum imsg_status cli_home_path(struct cli *cli, const char *name, char **path, struct imsg_error *err);
/* The environment, else $IMSG_HOME/config, else NULL. Borrowed until cli_finish. A bad config line: IMSG_CONFIG. */
IMSG_CHECK enum imsg_status cli_setting(struct cli *cli, const char *name, const char **value, struct imsg_error *err);

enum cli_service { CLI_DIRECTORY, CLI_RELAY, CLI_STORE };
/* Where a service is: `option` (may be NULL), else IMSG_DIRECTORY etc., else IMSG_SERVER, from the environment and then
 * from the config file, else a folder under ${XDG_DATA_HOME:-~/.local/share}/imsg (the three are made together when
 * that is missing). *location is the caller's. */
IMSG_CHECK enum imsg_status cli_service(struct cli *cli, enum cli_service service, const char *option, char **location,
                                        struct imsg_error *err);

/* The same, and nothing is made. */
IMSG_CHECK enum imsg_status cli_service_find(struct cli *cli, enum cli_service service, const char *option,
                                             char **location, struct imsg_error *err);
/* The same without the embedded default: *location stays as it is where nothing is configured, and nothing is made. */
IMSG_CHECK enum imsg_status cli_configured(struct cli *cli, enum cli_service service, const char *option,
                                           char **location, struct imsg_error *err);

/* ---- keys.c --------------------------------------------------------------------------------------------------- */

/* The passphrase from --passphrase-file, --passphrase-fd, IMSG_PASSPHRASE_FILE or /dev/tty (prompt names `what`;
 * `again`: asked twice). No trailing newline. Empty: IMSG_PERMISSION. */
IMSG_CHECK enum imsg_status cli_passphrase(struct cli *cli, const char *what, bool again, struct imsg_buf *out,
                                           struct imsg_error *err);
/* Read a private key file as ssh would: links, pipes and "-" (stdin) allowed; one's own regular file that others can
 * read is IMSG_PERMISSION. */
IMSG_CHECK enum imsg_status cli_read_key_file(struct cli *cli, const char *path, const char *role, struct imsg_buf *out,
                                              struct imsg_error *err);
/* What lib/client reads a key file with: `path`, "-" for standard input, or NULL for `standard` in $IMSG_HOME.
 * *name, the caller's, holds the path for as long as *out is used. */
IMSG_CHECK enum imsg_status cli_key_file(struct cli *cli, const char *path, const char *standard, char **name,
                                         struct imsg_key_file *out, struct imsg_error *err);
/* Load an identity (path NULL: identity.json of $IMSG_HOME), asking for the passphrase if it is encrypted. */
IMSG_CHECK enum imsg_status cli_identity(struct cli *cli, const char *path, struct imsg_identity *out,
                                         struct imsg_error *err);
/* Only its token, which is public: no passphrase is asked. */
IMSG_CHECK enum imsg_status cli_identity_token(struct cli *cli, const char *path, uint8_t token[static 32],
                                               struct imsg_error *err);
/* Give it the thumbprint of an account key, or (account NULL) a new prekey, write it back, and load it. */
IMSG_CHECK enum imsg_status cli_identity_change(struct cli *cli, const char *path, const char *account,
                                                struct imsg_identity *out, struct imsg_error *err);
/* The thumbprint of the account key: of `path`, or of account.pem of $IMSG_HOME (NULL). A passphrase is asked for only
 * where the file does not begin with the public key. IMSG_NO_INPUT if there is none. */
IMSG_CHECK enum imsg_status cli_account_thumbprint(struct cli *cli, const char *path,
                                                   char out[static IMSG_THUMBPRINT + 1], struct imsg_error *err);

/* ---- client.c ------------------------------------------------------------------------------------------------- */

/* Set up cli->client: a home, an identity and a directory that are made or opened when they are first needed, and
 * cli_event. Until cli_finish. */
void cli_client(struct cli *cli);
/* What the connections of this run share, from options (CLI_OPTS_NET), environment and config. The services
 * configured are the user's own origins; one given as an option becomes one when it is opened. Borrowed, until
 * cli_finish. */
IMSG_CHECK enum imsg_status cli_net(struct cli *cli, struct imsg_net **net, struct imsg_error *err);

/* ---- events.c ------------------------------------------------------------------------------------------------- */

/* An event of the library in words on stderr; context is the struct cli. */
void cli_event(void *context, const struct imsg_event *event);

/* ---- s3.c ------------------------------------------------------------------------------------------------------ */

/* For imsg_net.s3; context is the struct cli. Read once. */
IMSG_CHECK enum imsg_status cli_s3(void *context, const struct imsg_s3 **out, struct imsg_error *err);

/* ---- progress.c ----------------------------------------------------------------------------------------------- */

/* A transfer with all the cores this run may use, and a line that tells how far it is where stderr is a terminal (not
 * with -q): shown after half a second, gone at the end. `how` points into the structure, which stays where it is. */
struct cli_progress {
    struct imsg_transfer how;
    char name[128];
    uint64_t begun, started, shown; /* imsg_monotonic; 0: not yet */
    uint64_t from, done;
};
void cli_progress_start(const struct cli *cli, const char *name, struct cli_progress *state);
/* Before anything else is said. */
void cli_progress_end(struct cli_progress *state);

/* ---- stream.c ------------------------------------------------------------------------------------------------- */

struct cli_input {
    int fd;
    char name[264]; /* for messages: the operand in quotes, or: standard input */
};
/* Open an operand; NULL or "-": stdin (once per run, else IMSG_USAGE; a note when it is a terminal). */
IMSG_CHECK enum imsg_status cli_input_open(struct cli *cli, const char *operand, struct cli_input *input,
                                           struct imsg_error *err);
void cli_input_close(struct cli_input *input);

/* Where results go: stdout (path NULL or "-"), or a file that appears complete at cli_output_finish or not at all.
 * Opened lazily, at the first write or at finish. */
struct cli_output {
    struct cli *cli;
    const char *path; /* NULL: stdout */
    bool to_tty_ok;   /* "-o -" was given */
    bool raw_tty;     /* text goes to a terminal as it is */
    bool opened, tty;
    struct imsg_file file;
    struct imsg_buf pending;
    struct imsg_buf begun; /* cli_output_text: the first bytes of a character */
};
void cli_output_start(struct cli *cli, struct cli_output *out, const char *path);
/* Refuse (64) if the output is also one of the inputs. */
void cli_output_not_input(const struct cli *cli, const struct cli_output *out, const char *operand);
/* Same for the identity (NULL: the default one) and the passphrase file: they are inputs too. */
void cli_output_not_keys(struct cli *cli, const struct cli_output *out, const char *identity);
/* Buffered. `binary`: refused with IMSG_USAGE when stdout is a terminal and -o - was not given. */
IMSG_CHECK enum imsg_status cli_output_write(struct cli_output *out, struct imsg_view bytes, bool binary,
                                             struct imsg_error *err);
/* Text from outside: on a terminal nothing in it acts on that, unless out->raw_tty. More of the same text follows where
 * it is not the `last`. */
IMSG_CHECK enum imsg_status cli_output_text(struct cli_output *out, struct imsg_view text, bool last,
                                            struct imsg_error *err);
/* JSON from outside: on a terminal nothing in its strings acts on it. */
IMSG_CHECK enum imsg_status cli_output_json(struct cli_output *out, struct imsg_view text, struct imsg_error *err);
IMSG_CHECK enum imsg_status cli_output_flush(struct cli_output *out, struct imsg_error *err);
/* keep: flush, and for a file commit it (created even if nothing was written); else drop what is pending and leave the
 * file as it was. Frees everything. */
IMSG_CHECK enum imsg_status cli_output_finish(struct cli_output *out, bool keep, struct imsg_error *err);

/* ---- records.c ------------------------------------------------------------------------------------------------ */

/* Read device records, one a line, from a file or stdin ("-"). Bad lines are reported with their number and the rest
 * goes on; *list grows by the good ones. IMSG_NO_INPUT if it cannot be opened. */
IMSG_CHECK enum imsg_status cli_records_read(struct cli *cli, const char *operand, struct imsg_devices *list,
                                             struct imsg_error *err);

/* ---- sandbox.c ------------------------------------------------------------------------------------------------ */

/* First say what this run was told to use, then confine it, once, before there are threads and before anything from
 * outside is read. Where the system has no such thing these do nothing; -v tells. A path may be relative, and NULL or
 * "-" is none. */
void cli_may_read(struct cli *cli, const char *path);
/* The operands from `first` on. */
void cli_may_read_operands(struct cli *cli, int first);
/* Read, write, make and remove everything below `folder`, which may have to be made. */
void cli_may_write(struct cli *cli, const char *folder);
/* Put a new file in the place of `file`: what is in its folder. */
void cli_may_replace(struct cli *cli, const char *file);
/* A service as its option says (NULL: none), else as it is configured: its folder, or the network. */
void cli_may_use(struct cli *cli, enum cli_service service, const char *option);
/* Any server. */
void cli_may_talk(struct cli *cli);
/* Beside that there stay: the home, key and passphrase files; the system's libraries and their data, read only; and
 * with the network what names and certificates are looked up in, the cache and the folder for temporary files. */
void cli_confine(struct cli *cli);
/* The same for a server, which has no home: it answers on sockets that are open, and connects nowhere. */
void cli_confine_server(struct cli *cli);

#endif
