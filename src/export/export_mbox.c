#include "export/export_mbox.h"

#include "base/clock.h"
#include "export/export_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SENDER_SHOWN_MAX 256
#define FROM_LINE_MAX    (SENDER_SHOWN_MAX + 64)

/* "From SENDER Thu Jan  1 00:00:00 1970": the sender is one word of printable ASCII. */
static struct bytes from_line_put(char *out, const struct export_letter *letter)
{
    time_t seconds = (time_t)(letter->received_ns / CLOCK_NS_PER_S);
    char sender[SENDER_SHOWN_MAX + 1] = "MAILER-DAEMON";
    char date[32] = "";
    struct tm parts;
    uint64_t size = letter->sender.size < SENDER_SHOWN_MAX ? letter->sender.size : SENDER_SHOWN_MAX;

    for (uint64_t i = 0; i < size; i++) {
        uint8_t octet = letter->sender.data[i];
        sender[i] = octet > 0x20 && octet < 0x7f ? (char)octet : '?';
    }
    if (size > 0) sender[size] = 0;
    if (gmtime_r(&seconds, &parts) != NULL)
        (void)strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &parts);
    (void)snprintf(out, FROM_LINE_MAX, "From %s %s\n", sender, date);
    return bytes_from_text(out);
}

/* -EINTR: a signal came, which is to end the program and not to wait for the lock. */
static int whole_file_lock(int file)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(file, F_SETLKW, &lock) < 0 ? -errno : 0;
}

/* What another program left without an end of line must not swallow the From_ line. */
static struct bytes gap_before(int file, uint64_t size)
{
    char last = '\n';

    if (size == 0) return BYTES("");
    if (pread(file, &last, 1, (off_t)size - 1) == 1 && last == '\n') return BYTES("");
    return BYTES("\n\n");
}

static int letter_append(int file, struct bytes text, const struct export_letter *letter)
{
    char from_line[FROM_LINE_MAX];
    struct stat status;

    if (fstat(file, &status) < 0) return -errno;
    if (!S_ISREG(status.st_mode)) return -EINVAL;
    bool is_ended = text.data[text.size - 1] == '\n';
    const struct bytes parts[] = {gap_before(file, (uint64_t)status.st_size),
                                  from_line_put(from_line, letter), text,
                                  is_ended ? BYTES("\n") : BYTES("\n\n")};
    int error = 0;
    for (uint32_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && error == 0; i++)
        error = export_directory_write(file, parts[i]);
    if (error < 0 && ftruncate(file, status.st_size) < 0) return error;
    return error;
}

int export_mbox_deliver(int root, const char *mailbox, const struct export_letter *letter)
{
    int file = export_directory_open_file(root, mailbox, O_RDWR | O_APPEND | O_CREAT);

    if (file < 0) return file;
    struct bytes text = export_letter_render(letter, EXPORT_LETTER_MBOX);
    int error = text.data == NULL ? -ENOMEM : whole_file_lock(file);
    if (error == 0) error = letter_append(file, text, letter);
    free((void *)(uintptr_t)text.data);
    if (close(file) < 0 && error == 0) error = -errno; /* gives the lock back */
    return error;
}
