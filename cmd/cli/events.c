/* The words for what the library tells. */
#include "cli/cli.h"

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
