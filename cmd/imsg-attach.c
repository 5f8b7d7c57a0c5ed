/* imsg-attach: files into the store as ciphertext, and back. */
#include "attach/attach.h"

#include <stdlib.h>
#include <string.h>

enum { OPT_ALLOW_PRIVATE = CLI_KEY_OWN, OPT_MAX_SIZE };

static const struct cli_option options[] = {
    CLI_OPT_STORE,
    {'o', "output", "DIR", "get: put the files into DIR (default: the current folder)", 0},
    {OPT_ALLOW_PRIVATE, "allow-private", NULL, "get: from addresses that are not public too", 0},
    {OPT_MAX_SIZE, "max-size", "SIZE", "get: refuse a file of more bytes, or K, M, G, T of 1024 each (default: 4G)", 0},
    CLI_OPTS_KEY,
    CLI_OPTS_NET,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-attach",
    .synopsis =
        "put [--store LOCATION] FILE...\nget [--store LOCATION] [--allow-private] [--max-size SIZE] [-o DIR] [FILE]",
    .purpose = "encrypt files into the store, and get them back",
    .options = options,
    .operands = "FILE",
    .commands = "put|get",
};

int main(int argc, char **argv)
{
    struct attach run = {.folder = ".", .max_size = UINT64_C(4) << 30};
    struct imsg_error err = {0};
    const char *arg;
    char *location = NULL;
    struct imsg_net *net = NULL;
    cli_start(&run.cli, &tool, argc, argv);
    for (int key; (key = cli_next(&run.cli, &arg)) != -1;) {
        if (key == CLI_KEY_STORE)
            run.store_option = arg;
        else if (key == 'o')
            run.folder = arg;
        else if (key == OPT_ALLOW_PRIVATE)
            run.cli.net.allow_private = true;
        else if (key == OPT_MAX_SIZE)
            run.max_size = cli_size(&run.cli, "max-size", arg);
    }
    const char *command = cli_operand(&run.cli, 0);
    bool putting = command && strcmp(command, "put") == 0;
    if (!putting && !(command && strcmp(command, "get") == 0))
        cli_usage(&run.cli, "the first operand is put or get");
    if (putting && cli_operands(&run.cli) < 2)
        cli_usage(&run.cli, "put needs a FILE");
    if (putting && cli_given(&run.cli, 'o'))
        cli_usage(&run.cli, "--output goes with get");
    if (putting && cli_given(&run.cli, OPT_MAX_SIZE))
        cli_usage(&run.cli, "--max-size goes with get");
    if (putting && run.cli.net.allow_private)
        cli_usage(&run.cli, "--allow-private goes with get");
    if (!putting && cli_operands(&run.cli) > 2)
        cli_usage(&run.cli, "get takes one FILE at most");
    cli_output_start(&run.cli, &run.out, NULL);
    enum imsg_status status = cli_service(&run.cli, CLI_STORE, run.store_option, &location, &err);
    if (status == IMSG_OK)
        status = cli_net(&run.cli, &net, &err);
    run.cli.auth_optional = true; /* a plain web host needs no bearer token */
    if (status == IMSG_OK)
        status = imsg_store_open(location, net, &run.store, &err);
    if (cli_ok(&run.cli, status, &err)) {
        if (putting)
            attach_put_files(&run);
        else
            attach_get_lines(&run);
    }
    cli_ok(&run.cli, cli_output_finish(&run.out, true, &err), &err);
    imsg_store_close(run.store);
    free(location);
    return cli_finish(&run.cli);
}
