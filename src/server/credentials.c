#include "server/credentials.h"

#include "base/exit_codes.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_file(const char *path)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        die(EXIT_CODE_USAGE,
            "--auth %s can't be read: %s; give any, none or a file of "
            "user:password lines",
            path, strerror(errno));
    if (fstat(file, &status) == 0 && (status.st_mode & S_IROTH) != 0)
        log_warning("others can read the passwords in %s: chmod o-r %s", path, path);
    return file;
}

/* Reads to the end, for it may be a pipe. */
static struct bytes read_file(uint8_t *text, const char *path)
{
    int file = open_file(path);
    uint64_t size = 0;
    ssize_t part = 0;
    while (size <= CREDENTIALS_FILE_MAX &&
           (part = read(file, text + size, CREDENTIALS_FILE_MAX + 1 - size)) > 0)
        size += (uint64_t)part;
    if (part < 0)
        die(EXIT_CODE_USAGE, "--auth %s can't be read: %s; give a file of user:password lines",
            path, strerror(errno));
    close(file);
    if (size > CREDENTIALS_FILE_MAX)
        die(EXIT_CODE_USAGE, "--auth %s is too large: at most %d octets", path,
            CREDENTIALS_FILE_MAX);
    return bytes_make(text, size);
}

static struct bytes take_line(struct bytes *text)
{
    struct bytes line = bytes_take(text, bytes_find(*text, '\n'));
    if (text->size > 0) (void)bytes_take(text, 1);
    if (line.size > 0 && line.data[line.size - 1] == '\r') line.size--;
    return line;
}

/* RFC 4616 2: neither is empty, neither holds a NUL. */
static bool parse_line(struct bytes line, struct smtp_credential *entry)
{
    uint64_t colon = bytes_find(line, ':');
    if (colon == 0 || colon + 1 >= line.size || bytes_find(line, '\0') < line.size) return false;
    entry->user = bytes_take(&line, colon);
    (void)bytes_take(&line, 1);
    entry->password = line;
    return true;
}

void credentials_load(struct credentials *credentials, const char *path)
{
    credentials->text = calloc(1, CREDENTIALS_FILE_MAX + 1);
    credentials->entries = calloc(CREDENTIALS_MAX, sizeof *credentials->entries);
    credentials->count = 0;
    if (credentials->text == NULL || credentials->entries == NULL)
        die(EXIT_CODE_FAILED, "no memory for the credentials of --auth %s", path);
    struct bytes text = read_file(credentials->text, path);
    for (uint32_t number = 1; text.size > 0; number++) {
        struct bytes line = take_line(&text);
        if (line.size == 0 || line.data[0] == '#') continue;
        if (credentials->count == CREDENTIALS_MAX)
            die(EXIT_CODE_USAGE, "--auth %s, line %u: at most %d users", path, number,
                CREDENTIALS_MAX);
        if (!parse_line(line, &credentials->entries[credentials->count]))
            die(EXIT_CODE_USAGE,
                "--auth %s, line %u: write it as user:password, or begin it with #", path, number);
        credentials->count++;
    }
    if (credentials->count == 0)
        die(EXIT_CODE_USAGE, "--auth %s names nobody: add a line user:password, or use --auth none",
            path);
}

void credentials_close(struct credentials *credentials)
{
    if (credentials->text != NULL) explicit_bzero(credentials->text, CREDENTIALS_FILE_MAX + 1);
    free(credentials->text);
    free(credentials->entries);
    *credentials = (struct credentials){0};
}
