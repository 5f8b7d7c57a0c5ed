/* supply: makes in seconds what the tools would take minutes for.
 *
 *   supply devices N pair|pair-ec         N device records of one handle. All "pair" records have one RSA key: sealing
 *                                         does the same work for it, and N of them would take 30 ms each.
 *   supply messages N IDENTITY RECORD FILE   N envelopes with the content of FILE, all by and for the same device */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/text.h"
#include "crypto/crypto.h"

static struct imsg_error err;

static void must(enum imsg_status status)
{
    if (status == IMSG_OK)
        return;
    fprintf(stderr, "supply: %s\n", err.text);
    exit(1);
}

static void print(const struct imsg_buf *text)
{
    fwrite(text->ptr, 1, text->len, stdout);
}

/* The record of a device with these private keys, which are freed. */
static void print_device(struct imsg_identity *identity, const struct imsg_p256 *auth)
{
    char *handle = "mailto:bob@example.com";
    struct imsg_device device = {0};
    struct imsg_buf line = {0};
    identity->handles = &handle;
    identity->handle_count = 1;
    must(imsg_sha256(imsg_view_of(imsg_p256_point(auth), 65), identity->token, &err));
    must(imsg_identity_device(identity, &device, &err));
    must(imsg_device_print(&device, NULL, &line, &err));
    print(&line);
    imsg_buf_free(&line);
    imsg_device_free(&device);
    imsg_p256_free(identity->signing);
    imsg_p256_free(identity->device);
    imsg_p256_free(identity->prekey);
}

static void device_pair(const struct imsg_rsa *rsa)
{
    struct imsg_identity identity = {.has_pair = true};
    must(imsg_p256_generate(&identity.signing, &err));
    must(imsg_public_identity_make(imsg_p256_point(identity.signing), imsg_rsa_modulus(rsa), &identity.identity, &err));
    print_device(&identity, identity.signing);
}

static void device_pair_ec(void)
{
    struct imsg_identity identity = {.has_pair_ec = true};
    must(imsg_p256_generate_compact(&identity.device, &err));
    must(imsg_p256_generate_compact(&identity.prekey, &err));
    memcpy(identity.device_x, imsg_p256_point(identity.device) + 1, sizeof identity.device_x);
    must(imsg_prekey_make(identity.device, imsg_p256_point(identity.prekey) + 1, (double)imsg_now(),
                          &identity.prekey_record, &err));
    print_device(&identity, identity.device);
}

static void devices(long count, const struct imsg_format *format)
{
    struct imsg_rsa *rsa = NULL;
    if (format == imsg_format_of("pair"))
        must(imsg_rsa_generate(&rsa, &err));
    for (long i = 0; i < count; i++)
        if (format == imsg_format_of("pair"))
            device_pair(rsa);
        else
            device_pair_ec();
    imsg_rsa_free(rsa);
}

static void message(const struct imsg_identity *sender, const struct imsg_device *device, struct imsg_view content)
{
    struct imsg_buf plaintext = {0}, payload = {0}, line = {0};
    struct imsg_message sealed = {.from = sender->handles[0],
                                  .to = device->handles,
                                  .to_count = 1,
                                  .type = "text/plain; charset=utf-8",
                                  .content = content};
    must(imsg_message_print(&sealed, &plaintext, &err));
    const struct imsg_seal_how how = {.format = imsg_format_of("pair-ec")};
    must(imsg_seal_payload(sender, device, &how, imsg_buf_view(&plaintext), &payload, &err));
    struct imsg_envelope envelope = {.id = sealed.id,
                                     .from = sender->handles[0],
                                     .to = device->handles[0],
                                     .time = sealed.time,
                                     .format = how.format,
                                     .payload = payload};
    memcpy(envelope.from_token, sender->token, IMSG_TOKEN);
    memcpy(envelope.to_token, device->token, IMSG_TOKEN);
    must(imsg_envelope_print(&envelope, &line, &err));
    print(&line);
    imsg_buf_free(&plaintext);
    imsg_buf_free(&payload);
    imsg_buf_free(&line);
}

static void messages(long count, const char *identity_file, const char *record_file, const char *content_file)
{
    struct imsg_buf file = {0}, record = {0}, content = {0};
    struct imsg_identity sender;
    struct imsg_device device;
    must(imsg_read_file(identity_file, 1 << 20, &file, &err));
    must(imsg_read_file(record_file, 1 << 20, &record, &err));
    must(imsg_read_file(content_file, 1 << 20, &content, &err));
    must(imsg_identity_parse(imsg_buf_view(&file), imsg_view_str(""), &sender, &err));
    must(imsg_device_parse(imsg_buf_view(&record), &device, &err));
    for (long i = 0; i < count; i++)
        message(&sender, &device, imsg_buf_view(&content));
    imsg_device_free(&device);
    imsg_identity_free(&sender);
    imsg_buf_free(&file);
    imsg_buf_free(&record);
    imsg_buf_free(&content);
}

int main(int argc, char **argv)
{
    long count = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    if (argc == 4 && strcmp(argv[1], "devices") == 0 && imsg_format_of(argv[3])) {
        devices(count, imsg_format_of(argv[3]));
    } else if (argc == 6 && strcmp(argv[1], "messages") == 0) {
        messages(count, argv[3], argv[4], argv[5]);
    } else {
        fprintf(stderr, "usage: supply devices N pair|pair-ec | messages N IDENTITY RECORD FILE\n");
        return 64;
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("supply");
        return 74;
    }
    return 0;
}
