/* lib/client as a program uses it: what it answers, what it tells, and which hint it gives. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700 /* nftw */
#endif
#include "imsg-client.h"
#include "scratch.h"
#include "tap.h"

#define ALICE "mailto:alice@example.com"
#define BOB "mailto:bob@example.com"

static struct imsg_error err;

/* What was told last, and how often each kind was. */
static struct told {
    unsigned times[16];
    char handle[300], text[800];
    enum imsg_status status;
    uint64_t line;
    enum imsg_hint hint;
} told;

static void tell(void *context, const struct imsg_event *event)
{
    (void)context;
    told.times[event->kind]++;
    told.line = event->line;
    snprintf(told.handle, sizeof told.handle, "%s", event->handle ? event->handle : "");
    if (event->error) {
        told.status = event->error->status;
        told.hint = event->error->hint;
        snprintf(told.text, sizeof told.text, "%s", event->error->text);
    }
}

/* A device with its home. */
struct person {
    char home[200], directory[200];
    struct imsg_identity identity;
    struct imsg_devices records;
    struct imsg_client client;
};

static bool set_up(struct person *person, const char *name, const char *handle)
{
    struct imsg_device device = {0};
    *person = (struct person){.records = {0}};
    snprintf(person->home, sizeof person->home, "%s", in_scratch(name, ""));
    snprintf(person->directory, sizeof person->directory, "%s", in_scratch("directory", ""));
    if (mkdir(person->home, 0700) != 0)
        return false;
    bool ok = imsg_identity_generate(&handle, 1, "laptop", NULL, &person->identity, &err) == IMSG_OK &&
              imsg_identity_create(in_scratch(name, "identity.json"), &person->identity, &err) == IMSG_OK &&
              imsg_identity_device(&person->identity, &device, &err) == IMSG_OK &&
              imsg_devices_add(&person->records, &device, &err) == IMSG_OK;
    imsg_device_free(&device);
    person->client = (struct imsg_client){.home = person->home, .location = person->directory, .event = tell};
    return ok;
}

static void tear_down(struct person *person)
{
    imsg_client_close(&person->client);
    imsg_devices_free(&person->records);
    imsg_identity_free(&person->identity);
}

static unsigned register_device(struct person *person, const char *account)
{
    struct imsg_registration registration = {
        .client = &person->client, .account_file = {.path = account}, .records = &person->records};
    struct imsg_directory *directory = NULL;
    tap_ok(imsg_directory_open(person->directory, NULL, true, &directory, &err) == IMSG_OK, "a directory to write to");
    person->client.directory = directory;
    tap_status(imsg_register(&registration, &err), IMSG_OK, &err, "register");
    person->client.directory = NULL;
    unsigned failed = (unsigned)registration.failed;
    imsg_registration_free(&registration);
    imsg_directory_close(directory);
    return failed;
}

static enum imsg_status look_up(struct person *person, const char *handle)
{
    struct imsg_entry entry = {0};
    enum imsg_status status = imsg_client_look_up(&person->client, handle, &entry, NULL, &err);
    imsg_entry_free(&entry);
    return status;
}

static void test_keys(void)
{
    struct imsg_key_file file = {.path = in_scratch("account.pem", "")};
    struct imsg_p256 *made = NULL, *loaded = NULL;
    char one[IMSG_THUMBPRINT + 1], other[IMSG_THUMBPRINT + 1];
    tap_status(imsg_account_load(&file, &loaded, &err), IMSG_NO_INPUT, &err, "no account key yet");
    tap_status(imsg_account_create(file.path, imsg_view_str("secret"), &made, &err), IMSG_OK, &err, "make one");
    tap_ok(mode_of(file.path) == 0600, "it is private");
    tap_status(imsg_account_load(&file, &loaded, &err), IMSG_PERMISSION, &err, "it is encrypted");
    tap_status(imsg_account_create(file.path, imsg_view_str(""), &loaded, &err), IMSG_CANNOT_CREATE, &err,
               "it is never replaced");
    imsg_account_free(made);
    remove(file.path);
    tap_status(imsg_account_create(file.path, imsg_view_str(""), &made, &err), IMSG_OK, &err, "make another");
    tap_status(imsg_account_load(&file, &loaded, &err), IMSG_OK, &err, "and load it");
    tap_ok(imsg_account_thumbprint(made, one, &err) == IMSG_OK &&
               imsg_account_thumbprint(loaded, other, &err) == IMSG_OK && strcmp(one, other) == 0,
           "it is the same");
    imsg_account_free(made);
    imsg_account_free(loaded);
    loaded = NULL;
    tap_ok(chmod(file.path, 0644) == 0, "others may read it");
    tap_status(imsg_account_load(&file, &loaded, &err), IMSG_PERMISSION, &err, "then it is refused");
    tap_ok(err.hint == IMSG_HINT_MODE && strcmp(err.about, file.path) == 0, "with the hint: %s", err.about);
    file.others_may_read = true;
    tap_status(imsg_account_load(&file, &loaded, &err), IMSG_OK, &err, "unless the caller allows it");
    imsg_account_free(loaded);
}

static void test_trust(struct person *alice, struct person *bob)
{
    struct imsg_p256 *account = NULL;
    char other[200], accept[IMSG_THUMBPRINT + 1];
    snprintf(other, sizeof other, "%s", in_scratch("other.pem", ""));
    tap_status(look_up(alice, BOB), IMSG_TEMPORARY, &err, "there is no directory yet");
    tap_ok(register_device(bob, in_scratch("bob", "account.pem")) == 0 && told.times[IMSG_EVENT_ACCOUNT_MADE] == 1 &&
               told.times[IMSG_EVENT_REGISTERED] == 1,
           "bob's account key is made, and his device registered");
    tap_ok(register_device(bob, in_scratch("bob", "account.pem")) == 0 && told.times[IMSG_EVENT_UNCHANGED] == 1,
           "once more changes nothing");
    tap_status(look_up(alice, "mailto:carol@example.com"), IMSG_NO_ACCOUNT, &err, "carol is not there");
    tap_status(look_up(alice, BOB), IMSG_OK, &err, "bob is");
    tap_ok(told.times[IMSG_EVENT_FIRST_SEEN] == 1 && strcmp(told.handle, BOB) == 0, "and seen first");
    tap_status(look_up(alice, BOB), IMSG_OK, &err, "again");
    tap_ok(told.times[IMSG_EVENT_FIRST_SEEN] == 1, "and not first");

    tap_ok(register_device(bob, other) == 1 && told.status == IMSG_REFUSED && told.hint == IMSG_HINT_OTHER_ACCOUNT,
           "without that account key nothing is registered: %s", told.text);
    remove(in_scratch("bob", "account.pem"));
    tap_ok(imsg_account_create(in_scratch("bob", "account.pem"), imsg_view_str(""), &account, &err) == IMSG_OK,
           "another account key in the home");
    imsg_account_free(account);
    bob->client.account_checked = bob->client.has_account = false;
    tap_status(look_up(bob, BOB), IMSG_REFUSED, &err, "whose own entry then is by another");
    tap_ok(err.hint == IMSG_HINT_OWN_ACCOUNT, "as the hint says");

    /* The directory loses the entry, and then has one by another key. */
    imsg_client_close(&bob->client);
    bob->client = (struct imsg_client){.home = bob->home, .location = bob->directory, .event = tell};
    nftw(bob->directory, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    mkdir(bob->directory, 0700);
    tap_status(look_up(alice, BOB), IMSG_REFUSED, &err, "a pinned handle without an entry");
    remove(in_scratch("bob", "pins.json"));
    remove(in_scratch("bob", "account.pem"));
    tap_ok(register_device(bob, in_scratch("bob", "account.pem")) == 0, "bob starts again");
    tap_status(look_up(alice, BOB), IMSG_REFUSED, &err, "his key is another");
    tap_ok(err.hint == IMSG_HINT_ACCEPT && strlen(err.about) == IMSG_THUMBPRINT + 1 + strlen(BOB) &&
               strcmp(err.about + IMSG_THUMBPRINT, " " BOB) == 0,
           "which the hint names: %s", err.about);
    snprintf(accept, sizeof accept, "%.*s", IMSG_THUMBPRINT, err.about);
    alice->client.accept = "no such key";
    tap_status(look_up(alice, BOB), IMSG_REFUSED, &err, "a key that is not served is not accepted");
    alice->client.accept = accept;
    tap_status(look_up(alice, BOB), IMSG_OK, &err, "the one that is served is");
    alice->client.accept = NULL;
    tap_ok(told.times[IMSG_EVENT_KEY_REPLACED] == 1, "which is told");
    tap_status(look_up(alice, BOB), IMSG_OK, &err, "and stays");
}

/* Seal for bob, and give the one line without its newline. */
static struct imsg_view seal_line(struct imsg_sealer *sealer, struct imsg_draft *draft)
{
    char *bob = (char *)(uintptr_t)BOB;
    tap_ok(imsg_buf_text(&draft->content, "hello", &err) == IMSG_OK, "content");
    tap_status(imsg_seal(sealer, draft, &bob, 1, &err), IMSG_OK, &err, "seal");
    return imsg_view_of(draft->lines.ptr, draft->lines.len ? draft->lines.len - 1 : 0);
}

/* How often a message was given out, and whether it was the one of the test. */
struct given_out {
    const struct imsg_draft *draft;
    unsigned times;
    bool right;
};

static enum imsg_status keep_message(void *context, const struct imsg_opened *opened, struct imsg_error *error)
{
    struct given_out *out = context;
    (void)error;
    out->times++;
    out->right = imsg_view_equal(opened->message.content, imsg_view_str("hello")) && !opened->own &&
                 strcmp(opened->message.from, ALICE) == 0 && strcmp(opened->message.id, out->draft->id) == 0;
    return IMSG_OK;
}

/* The status that an event told, or IMSG_OK. */
static enum imsg_status open_line(struct imsg_opener *opener, struct imsg_view line)
{
    const char *path = in_scratch("line", "");
    put_file(path, (const char *)line.ptr); /* up to a NUL, which follows the newline */
    struct imsg_input input = {open(path, O_RDONLY), path};
    told.status = IMSG_OK;
    enum imsg_status status = imsg_open_input(opener, &input, &err);
    close(input.fd);
    return status == IMSG_OK ? told.status : status;
}

static void test_messages(struct person *alice, struct person *bob)
{
    struct imsg_sealer sealer = {.client = &alice->client};
    struct imsg_draft draft = {.line = 7}, lost = {.line = 8};
    struct given_out out = {.draft = &draft};
    struct imsg_opener opener = {.client = &bob->client, .message = keep_message, .context = &out};
    struct imsg_opener own = {.client = &alice->client, .message = keep_message, .context = &out};
    char *carol = (char *)(uintptr_t) "mailto:carol@example.com", *only[] = {(char *)(uintptr_t)BOB};
    tap_status(imsg_seal(&sealer, &lost, &carol, 1, &err), IMSG_NO_ACCOUNT, &err, "nobody to seal for");
    tap_ok(lost.partial && told.status == IMSG_NO_ACCOUNT && told.line == 8, "told with the draft's number");
    struct imsg_view line = seal_line(&sealer, &draft);
    tap_ok(told.times[IMSG_EVENT_UNREGISTERED] == 1 && draft.id[0] && draft.time[0] && draft.to_count == 1,
           "id and time are made; the sender is not registered");

    tap_status(open_line(&own, line), IMSG_REFUSED, &err, "not the sender's to open");
    tap_status(open_line(&opener, line), IMSG_REFUSED, &err, "nor bob's: the sender is unknown");
    opener.records = &alice->records;
    opener.from = only;
    opener.from_count = 1;
    tap_status(open_line(&opener, line), IMSG_REFUSED, &err, "alice is not expected");
    tap_ok(told.hint == IMSG_HINT_EXPECTED && out.times == 0, "as the hint says");
    opener.from_count = 0;
    tap_status(open_line(&opener, line), IMSG_OK, &err, "open");
    tap_ok(out.times == 1 && out.right, "content, sender and id");

    /* Another token in the record: verified against the wrong device. */
    opener.records = &bob->records;
    tap_status(open_line(&opener, line), IMSG_REFUSED, &err, "a sender in no record");
    opener.records = &alice->records;
    char *payload = line.ptr ? strstr((char *)(uintptr_t)line.ptr, "\"payload\":\"") : NULL;
    if (tap_ok(payload != NULL, "an envelope has a payload")) {
        payload += strlen("\"payload\":\"") + 40;
        *payload = *payload == 'A' ? 'B' : 'A';
        tap_status(open_line(&opener, line), IMSG_REFUSED, &err, "a changed payload");
        tap_ok(told.hint == IMSG_HINT_WHY && strcmp(told.text, "refused") == 0 && out.times == 1,
               "says no more than that: %s", told.text);
    }
    imsg_draft_free(&lost);
    imsg_draft_free(&draft);
    imsg_sealer_free(&sealer);
    imsg_opener_free(&opener);
    imsg_opener_free(&own);
}

int main(void)
{
    struct person alice, bob;
    scratch_make();
    test_keys();
    if (tap_ok(set_up(&alice, "alice", ALICE) && set_up(&bob, "bob", BOB), "two devices")) {
        test_trust(&alice, &bob);
        test_messages(&alice, &bob);
    }
    tear_down(&alice);
    tear_down(&bob);
    scratch_remove();
    return tap_done();
}
