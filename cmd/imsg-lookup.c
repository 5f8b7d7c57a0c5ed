/* imsg-lookup: from a handle to the records of its devices, trusted as far as the pins go. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "crypto/crypto.h"
#include "imsg-net.h"

enum { OPT_ACCEPT = CLI_KEY_OWN, OPT_FORGET, OPT_PINS, OPT_PATH };

static const struct cli_option options[] = {
    CLI_OPT_DIRECTORY,
    {OPT_ACCEPT, "accept", "THUMBPRINT", "accept this account key in place of the pinned one", 0},
    {OPT_FORGET, "forget", NULL, "drop the pin of the handle: the next look-up trusts the directory", 0},
    {OPT_PINS, "pins", NULL, "list the pinned account keys", 0},
    {OPT_PATH, "path", NULL, "print where the handle's entry stands below a directory", 0},
    CLI_OPTS_NET,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-lookup",
    .synopsis = "[-d LOCATION] [--accept THUMBPRINT] HANDLE...\n--forget HANDLE...\n--path HANDLE...\n--pins",
    .purpose = "print the device records of handles, checked against the pinned account keys",
    .options = options,
    .operands = "HANDLE",
};

struct lookup {
    struct cli cli;
    struct cli_output out;
    const char *accept;
};

/* Records of one handle; what fails is reported and the next handle goes on. */
static enum imsg_status print_handle(struct lookup *run, const char *handle, struct imsg_error *err)
{
    struct imsg_entry entry = {0};
    struct imsg_buf line = {0};
    enum imsg_status status = imsg_client_look_up(&run->cli.client, handle, &entry, err);
    if (status == IMSG_OK && entry.devices.count == 0)
        status = imsg_fail(err, IMSG_NO_ACCOUNT, "%s has no device in directory \"%s\"", handle,
                           imsg_client_location(&run->cli.client));
    for (size_t i = 0; status == IMSG_OK && i < entry.devices.count; i++) {
        status = imsg_device_print(&entry.devices.items[i], handle, &line, err);
        if (status == IMSG_OK)
            status = cli_output_json(&run->out, imsg_buf_view(&line), err);
        imsg_buf_clear(&line);
    }
    imsg_buf_free(&line);
    imsg_entry_free(&entry);
    return status;
}

static enum imsg_status print_path(struct lookup *run, const char *handle, struct imsg_error *err)
{
    struct imsg_buf line = {0};
    enum imsg_status status = imsg_entry_path(handle, &line, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&line, "\n", err);
    if (status == IMSG_OK)
        status = cli_output_write(&run->out, imsg_buf_view(&line), false, err);
    imsg_buf_free(&line);
    return status;
}

static enum imsg_status print_pins(struct lookup *run, struct imsg_error *err)
{
    struct imsg_pins pins = {.lock = -1};
    struct imsg_buf line = {0};
    char *path = NULL;
    const char *handle;
    json_t *pin;
    enum imsg_status status = cli_home_path(&run->cli, "pins.json", &path, err);
    if (status == IMSG_OK)
        status = imsg_pins_open(path, &pins, err);
    if (status != IMSG_OK)
        goto out;
    json_object_foreach (json_object_get(pins.json, "pins"), handle, pin) {
        json_t *row = json_pack("{s:s,s:s}", "imsg", "pin/1", "handle", handle);
        status = row && json_object_update_missing(row, pin) == 0 ? imsg_json_print(row, &line, err)
                                                                  : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        json_decref(row);
        if (status == IMSG_OK)
            status = imsg_buf_text(&line, "\n", err);
        if (status == IMSG_OK)
            status = cli_output_write(&run->out, imsg_buf_view(&line), false, err);
        imsg_buf_clear(&line);
        if (status != IMSG_OK)
            break;
    }
out:
    imsg_pins_close(&pins);
    imsg_buf_free(&line);
    free(path);
    return status;
}

/* Every operand in its canonical form; a name or nonsense is 64 before anything is asked. */
static char **read_handles(const struct lookup *run)
{
    int count = cli_operands(&run->cli);
    char **handles = calloc((size_t)count + 1, sizeof *handles);
    for (int i = 0; handles && i < count; i++)
        handles[i] = cli_handle(&run->cli, cli_operand(&run->cli, i));
    return handles;
}

static enum imsg_status forget_handle(struct lookup *run, const char *handle, struct imsg_error *err)
{
    return imsg_client_forget(&run->cli.client, handle, err);
}

static void run_handles(struct lookup *run, char *const *handles)
{
    struct imsg_error err = {0};
    struct imsg_directory *directory;
    enum imsg_status (*each)(struct lookup * run, const char *handle, struct imsg_error *err) = print_handle;
    if (cli_given(&run->cli, OPT_PATH))
        each = print_path;
    else if (cli_given(&run->cli, OPT_FORGET))
        each = forget_handle;
    cli_client(&run->cli);
    run->cli.client.accept = run->accept;
    if (each == print_handle && !cli_ok(&run->cli, imsg_client_directory(&run->cli.client, &directory, &err), &err))
        return;
    for (int i = 0; i < cli_operands(&run->cli); i++)
        cli_ok(&run->cli, each(run, handles[i], &err), &err);
}

int main(int argc, char **argv)
{
    struct lookup run = {0};
    struct imsg_error err = {0};
    const char *arg;
    cli_start(&run.cli, &tool, argc, argv);
    for (int key; (key = cli_next(&run.cli, &arg)) != -1;) {
        if (key == 'd')
            run.cli.directory_option = arg;
        else if (key == OPT_ACCEPT)
            run.accept = arg;
    }
    cli_exclusive(&run.cli, OPT_PINS, OPT_PATH, OPT_FORGET, OPT_ACCEPT, 0);
    cli_exclusive(&run.cli, OPT_PINS, OPT_FORGET, 'd', 0);
    if (cli_given(&run.cli, OPT_PINS) ? cli_operands(&run.cli) > 0 : cli_operands(&run.cli) == 0)
        cli_usage(&run.cli, cli_given(&run.cli, OPT_PINS) ? "--pins takes no HANDLE" : "no HANDLE");
    if (run.accept && cli_operands(&run.cli) != 1)
        cli_usage(&run.cli, "--accept goes with exactly one HANDLE");
    if (run.accept && strlen(run.accept) != IMSG_THUMBPRINT)
        cli_usage(&run.cli, "--accept takes a thumbprint of %d characters", IMSG_THUMBPRINT);
    char **handles = read_handles(&run);
    if (!cli_given(&run.cli, OPT_PINS) && !cli_given(&run.cli, OPT_PATH) && !cli_given(&run.cli, OPT_FORGET))
        cli_may_use(&run.cli, CLI_DIRECTORY, run.cli.directory_option);
    cli_confine(&run.cli);
    cli_output_start(&run.cli, &run.out, NULL);
    if (cli_given(&run.cli, OPT_PINS))
        cli_ok(&run.cli, print_pins(&run, &err), &err);
    else
        run_handles(&run, handles);
    cli_ok(&run.cli, cli_output_finish(&run.out, true, &err), &err);
    imsg_strings_free(handles, (size_t)cli_operands(&run.cli));
    return cli_finish(&run.cli);
}
