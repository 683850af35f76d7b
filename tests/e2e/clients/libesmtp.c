/*
 * libesmtp -- sends a file with libESMTP. usage: PORT SENDER FILE RECIPIENT...
 */
#include <stdio.h>
#include <stdlib.h>

/* After them: it uses size_t and includes nothing. */
#include <libesmtp.h>

static void fail(const char *what)
{
    char text[256];

    fprintf(stderr, "%s: %s\n", what, smtp_strerror(smtp_errno(), text, sizeof text));
    exit(1);
}

/* Every recipient and the message itself have to be accepted. */
static void require_success(smtp_recipient_t recipient, const char *mailbox, void *message)
{
    const smtp_status_t *status = smtp_recipient_status(recipient);

    (void)message;
    if (status->code / 100 != 2) {
        fprintf(stderr, "%s: %d %s\n", mailbox, status->code, status->text);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    char server[32];
    smtp_session_t session = smtp_create_session();
    smtp_message_t message = smtp_add_message(session);
    FILE *file = argc > 4 ? fopen(argv[3], "rb") : NULL;
    const smtp_status_t *status;

    if (file == NULL) {
        fputs("usage: PORT SENDER FILE RECIPIENT...\n", stderr);
        return 2;
    }
    snprintf(server, sizeof server, "127.0.0.1:%s", argv[1]);
    smtp_set_server(session, server);
    smtp_set_hostname(session, "client.test");
    smtp_set_reverse_path(message, argv[2]);
    smtp_8bitmime_set_body(message, E8bitmime_8BITMIME);
    for (int index = 4; index < argc; index++) {
        smtp_add_recipient(message, argv[index]);
    }
    smtp_set_message_fp(message, file);
    if (!smtp_start_session(session)) {
        fail("session");
    }
    smtp_enumerate_recipients(message, require_success, NULL);
    status = smtp_message_transfer_status(message);
    if (status->code / 100 != 2) {
        fprintf(stderr, "message: %d %s\n", status->code, status->text);
        return 1;
    }
    smtp_destroy_session(session);
    return fclose(file) != 0;
}
