/* The client that a tool is: its home, its directory, and the words for its events. */
#include "cli/cli.h"

#include <stdlib.h>

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

void cli_event(void *context, const struct imsg_event *event)
{
    struct cli *cli = context;
    struct imsg_error err;
    switch (event->kind) {
    case IMSG_EVENT_FIRST_SEEN:
        cli_note(cli, "%s: first seen, pinned to account key %s", event->handle, event->key);
        break;
    case IMSG_EVENT_KEY_REPLACED:
        cli_note(cli, "%s: pinned to account key %s in place of %s", event->handle, event->key, event->old_key);
        break;
    case IMSG_EVENT_UNREGISTERED:
        cli_note(cli, "%s is not registered: recipients will not find the key that signs", event->handle);
        break;
    case IMSG_EVENT_COUNTERS:
        cli_note(cli, "%s: message counters may come again", event->error->text);
        break;
    case IMSG_EVENT_ACCOUNT_MADE:
        cli_note(cli, "made account key \"%s\": keep a copy elsewhere, it cannot be made again", event->path);
        break;
    case IMSG_EVENT_REGISTERED:
        cli_note(cli, "registered %zu device%s for %s (seq %llu)", event->devices, plural(event->devices),
                 event->handle, (unsigned long long)event->seq);
        break;
    case IMSG_EVENT_UNCHANGED:
        cli_note(cli, "%s is as it was (seq %llu)", event->handle, (unsigned long long)event->seq);
        break;
    case IMSG_EVENT_FAILED:
        err = *event->error;
        if (cli->event_input && event->line)
            imsg_error_prefix(&err, "%s: line %llu%s", cli->event_input, (unsigned long long)event->line,
                              event->cut ? " (cut short)" : "");
        else if (cli->event_input)
            imsg_error_prefix(&err, "%s", cli->event_input);
        cli_report(cli, &err);
        break;
    }
}

/* The directory is opened at the first look-up: without one, no default folder is made and no bad setting is
 * reported. */
static enum imsg_status open_directory(void *context, struct imsg_directory **out, struct imsg_error *err)
{
    struct cli *cli = context;
    char *location = NULL;
    struct imsg_net *net = NULL;
    enum imsg_status status = cli_service(cli, CLI_DIRECTORY, cli->directory_option, &location, err);
    if (status == IMSG_OK)
        status = cli_net(cli, &net, err);
    if (status == IMSG_OK)
        status = imsg_directory_open(location, net, cli->directory_create, out, err);
    free(location);
    return status;
}

static enum imsg_status load_identity(void *context, struct imsg_identity *out, struct imsg_error *err)
{
    struct cli *cli = context;
    return cli_identity(cli, cli->identity_path, out, err);
}

/* It is made when something of it is first needed: a run that names all it uses needs no home. */
static enum imsg_status find_home(void *context, const char **home, struct imsg_error *err)
{
    return cli_home(context, home, err);
}

void cli_client(struct cli *cli)
{
    cli->client.find_home = find_home;
    cli->client.load_identity = load_identity;
    cli->client.open_directory = open_directory;
    cli->client.event = cli_event;
    cli->client.context = cli;
    cli->client.threads = cli_jobs(cli);
    cli->client.others_may_read = cli->allow_insecure_key;
}
