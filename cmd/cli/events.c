/* The words for what the library tells. */
#include "cli/cli.h"

#include "base/text.h"

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void note_device(const struct cli *cli, const struct imsg_event *event, const char *what)
{
    const char *name = event->device->name ? event->device->name : "without a name";
    char token[2 * IMSG_TOKEN + 1];
    imsg_hex(event->device->token, IMSG_TOKEN, token);
    cli_note(cli, "%s: device \"%s\" (%.8s…) %s", event->handle, name, token, what);
}

static void note_no_copies(const struct cli *cli, const struct imsg_error *why)
{
    char hint[600];
    cli_hint_text(cli, why, hint, sizeof hint);
    cli_note(cli, "no copies for your other devices: %s%s%s", why->text, hint[0] ? "; " : "", hint);
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
        cli_note(cli, "made account key %s in \"%s\": keep a copy elsewhere, it cannot be made again", event->key,
                 event->path);
        cli_note(cli, "keys for your other devices: imsg-keygen --account %s HANDLE", event->key);
        break;
    case IMSG_EVENT_REGISTERED:
        cli_note(cli, "registered %zu device%s for %s (seq %llu)", event->devices, plural(event->devices),
                 event->handle, (unsigned long long)event->seq);
        break;
    case IMSG_EVENT_UNCHANGED:
        cli_note(cli, "%s is as it was (seq %llu)", event->handle, (unsigned long long)event->seq);
        break;
    case IMSG_EVENT_HEALED:
        cli_note(cli, "%s: the directory had gone back behind seq %llu, which the new entry follows", event->handle,
                 (unsigned long long)event->seq);
        break;
    case IMSG_EVENT_LEFT_OUT:
        note_device(cli, event, "is left out: only the older entry that the directory served has it");
        break;
    case IMSG_EVENT_TAKEN_OVER:
        note_device(cli, event, "is in the entry, but was not registered from here");
        break;
    case IMSG_EVENT_FORGOTTEN:
        cli_note(cli, "%s: no longer pinned to account key %s", event->handle, event->old_key);
        break;
    case IMSG_EVENT_NO_COPIES:
        note_no_copies(cli, event->error);
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
