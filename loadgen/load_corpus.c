#include "loadgen/load_corpus.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FROM_LINE "From "
#define DECILES   10u

/* ---- texts ---- */

/* RFC 5322 2.2: printable octets but blank and colon, then a colon. */
static bool starts_with_field(struct bytes raw)
{
    uint64_t size = 0;
    while (size < raw.size && raw.data[size] > ' ' && raw.data[size] < 127 && raw.data[size] != ':')
        size++;
    return size > 0 && size < raw.size && raw.data[size] == ':';
}

uint64_t load_corpus_normalize(struct bytes raw, uint8_t *out)
{
    bool is_empty_line = raw.size > 0 && (raw.data[0] == '\r' || raw.data[0] == '\n');
    uint64_t size = 0;
    bool was_cr = false;

    if (!is_empty_line && !starts_with_field(raw)) {
        memcpy(out, "\r\n", 2);
        size = 2;
    }
    for (uint64_t index = 0; index < raw.size; index++) {
        uint8_t octet = raw.data[index];
        bool is_second = octet == '\n' && was_cr; /* its CR has ended the line */
        was_cr = octet == '\r';
        if (is_second) continue;
        if (octet == '\r' || octet == '\n') {
            memcpy(out + size, "\r\n", 2);
            size += 2;
        } else {
            out[size++] = octet;
        }
    }
    if (size < 2 || out[size - 1] != '\n') {
        memcpy(out + size, "\r\n", 2);
        size += 2;
    }
    return size;
}

uint64_t load_corpus_stuff(struct bytes stored, uint8_t *out)
{
    uint64_t size = 0;
    bool is_line_start = true;
    for (uint64_t index = 0; index < stored.size; index++) {
        if (is_line_start && stored.data[index] == '.') out[size++] = '.';
        out[size++] = stored.data[index];
        is_line_start = stored.data[index] == '\n';
    }
    return size;
}

static bool is_from_line(struct bytes text)
{
    return text.size >= strlen(FROM_LINE) && memcmp(text.data, FROM_LINE, strlen(FROM_LINE)) == 0;
}

static struct bytes take_line(struct bytes *text)
{
    uint64_t end = bytes_find(*text, '\n');
    return bytes_take(text, end < text->size ? end + 1 : text->size);
}

static bool is_empty(struct bytes line)
{
    return line.size <= 2 && line.size > 0 && (line.data[0] == '\n' || line.data[0] == '\r');
}

bool load_corpus_take_mbox(struct bytes *mbox, struct bytes *message)
{
    if (!is_from_line(*mbox)) return false;
    (void)take_line(mbox);
    const uint8_t *begin = mbox->data;
    uint64_t size = 0;
    bool was_empty = false;
    uint64_t empty_size = 0;

    while (mbox->size > 0 && !(was_empty && is_from_line(*mbox))) {
        struct bytes line = take_line(mbox);
        was_empty = is_empty(line);
        empty_size = was_empty ? line.size : 0;
        size += line.size;
    }
    /* The empty line in front of the next From_ line is the format's. */
    *message = bytes_make(begin, size - empty_size);
    return true;
}

/* mboxrd: ">From " was "From ", ">>From " was ">From "; in place, for lines only get shorter. */
static struct bytes unquote(uint8_t *text, uint64_t size)
{
    struct bytes rest = bytes_make(text, size);
    uint64_t kept = 0;
    while (rest.size > 0) {
        struct bytes line = take_line(&rest);
        struct bytes bare = line;
        while (bare.size > 0 && bare.data[0] == '>')
            (void)bytes_take(&bare, 1);
        if (bare.size < line.size && is_from_line(bare)) (void)bytes_take(&line, 1);
        memmove(text + kept, line.data, line.size);
        kept += line.size;
    }
    return bytes_make(text, kept);
}

/* ---- files ---- */

__attribute__((format(printf, 2, 3))) static bool fail(char *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error, LOAD_CORPUS_ERROR_MAX, format, arguments);
    va_end(arguments);
    return false;
}

static bool add_message(struct load_corpus *corpus, struct bytes raw, const char *path, char *error)
{
    if (corpus->count == LOAD_CORPUS_MESSAGES_MAX)
        return fail(error, "%s: more than %u messages", path, LOAD_CORPUS_MESSAGES_MAX);
    uint8_t *stored = malloc(load_corpus_normal_max(raw.size));
    if (stored == NULL) return fail(error, "%s: no memory", path);
    uint64_t size = load_corpus_normalize(raw, stored);
    uint8_t *fitted = realloc(stored, size);
    corpus->messages[corpus->count++] = bytes_make(fitted == NULL ? stored : fitted, size);
    corpus->size += size;
    for (uint64_t index = 0; index < raw.size; index++)
        if (raw.data[index] >= 128) corpus->is_8bit = true;
    if (corpus->size > LOAD_CORPUS_SIZE_MAX)
        return fail(error, "%s: more than %llu octets in all", path,
                    (unsigned long long)LOAD_CORPUS_SIZE_MAX);
    return true;
}

/* One message a file; a From_ line in front of it is none of its own. */
static bool add_file(struct load_corpus *corpus, const char *path, char *error)
{
    uint64_t size = 0;
    uint8_t *octets = file_read(path, LOAD_CORPUS_SIZE_MAX, &size);
    if (octets == NULL) return fail(error, "%s: %s", path, strerror(errno));
    struct bytes raw = bytes_make(octets, size);
    if (is_from_line(raw)) (void)take_line(&raw);
    bool is_added = add_message(corpus, raw, path, error);
    free(octets);
    return is_added;
}

static bool add_mbox(struct load_corpus *corpus, const char *path, char *error)
{
    uint64_t size = 0;
    uint8_t *octets = file_read(path, LOAD_CORPUS_SIZE_MAX, &size);
    if (octets == NULL) return fail(error, "%s: %s", path, strerror(errno));
    struct bytes mbox = bytes_make(octets, size);
    struct bytes message;
    bool is_added = true;
    while (is_added && load_corpus_take_mbox(&mbox, &message)) {
        uint64_t offset = (uint64_t)(message.data - octets);
        is_added = add_message(corpus, unquote(octets + offset, message.size), path, error);
    }
    free(octets);
    return is_added;
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int is_eml(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return is_shown(entry) && size > 4 && strcmp(entry->d_name + size - 4, ".eml") == 0;
}

/* Of a folder's regular files those that `choose` takes. */
static bool add_folder(struct load_corpus *corpus, const char *folder,
                       int (*choose)(const struct dirent *), char *error)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, choose, alphasort);
    bool is_added = count >= 0;
    char path[PATH_MAX];

    if (count < 0) return fail(error, "%s: %s", folder, strerror(errno));
    for (int index = 0; index < count; index++) {
        struct stat found;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entries[index]->d_name);
        bool is_file = lstat(path, &found) == 0 && S_ISREG(found.st_mode);
        if (is_added && is_file) is_added = add_file(corpus, path, error);
        free(entries[index]);
    }
    free(entries);
    return is_added;
}

static bool has_folder(const char *path, const char *name, char *folder)
{
    struct stat found;
    (void)snprintf(folder, PATH_MAX, "%s/%s", path, name);
    return lstat(folder, &found) == 0 && S_ISDIR(found.st_mode);
}

static bool add_directory(struct load_corpus *corpus, const char *path, char *error)
{
    char folder[PATH_MAX];
    bool is_maildir = has_folder(path, "cur", folder) && has_folder(path, "new", folder);
    if (!is_maildir) return add_folder(corpus, path, is_eml, error);
    (void)has_folder(path, "cur", folder);
    if (!add_folder(corpus, folder, is_shown, error)) return false;
    (void)has_folder(path, "new", folder);
    return add_folder(corpus, folder, is_shown, error);
}

/* ---- how long the bodies are ---- */

static uint64_t body_size(struct bytes stored)
{
    while (stored.size > 0)
        if (is_empty(take_line(&stored))) break;
    return stored.size;
}

static int compare_sizes(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a;
    uint64_t other = *(const uint64_t *)b;
    return (one > other) - (one < other);
}

/* Ten sizes of the same weight, for the report: the middles of the tenths. */
static bool describe(struct load_corpus *corpus)
{
    CHECK(corpus->count > 0);
    uint64_t *sizes = calloc(corpus->count, sizeof *sizes);
    uint32_t written = 0;
    if (sizes == NULL) return false;
    for (uint32_t index = 0; index < corpus->count; index++)
        sizes[index] = body_size(corpus->messages[index]);
    qsort(sizes, corpus->count, sizeof *sizes, compare_sizes);
    for (uint32_t tenth = 0; tenth < DECILES; tenth++) {
        uint64_t size = sizes[(2ull * tenth + 1) * corpus->count / (2ull * DECILES)];
        int added =
            snprintf(corpus->length_text + written, sizeof corpus->length_text - written,
                     "%s%llu:1", tenth == 0 ? "" : ",", (unsigned long long)(size == 1 ? 2 : size));
        CHECK(added > 0);
        written += (uint32_t)added;
        CHECK(written < sizeof corpus->length_text);
    }
    free(sizes);
    return true;
}

static bool finish(struct load_corpus *corpus, const char *path, bool is_read, char *error)
{
    if (is_read && corpus->count == 0)
        is_read =
            fail(error, "%s holds no message: a directory of *.eml, a Maildir, or an mbox", path);
    if (is_read && !describe(corpus)) is_read = fail(error, "%s: no memory", path);
    if (!is_read) load_corpus_close(corpus);
    return is_read;
}

static bool begin(struct load_corpus *corpus, const char *path, char *error)
{
    *corpus = (struct load_corpus){0};
    corpus->messages = calloc(LOAD_CORPUS_MESSAGES_MAX, sizeof *corpus->messages);
    return corpus->messages != NULL || fail(error, "%s: no memory", path);
}

bool load_corpus_open_file(struct load_corpus *corpus, const char *path, char *error)
{
    if (!begin(corpus, path, error)) return false;
    return finish(corpus, path, add_file(corpus, path, error), error);
}

bool load_corpus_open(struct load_corpus *corpus, const char *path, char *error)
{
    struct stat found;
    /* The path itself may be a link; what lies in a directory may not. */
    if (stat(path, &found) != 0) return fail(error, "%s: %s", path, strerror(errno));
    if (!begin(corpus, path, error)) return false;
    bool is_read =
        S_ISDIR(found.st_mode) ? add_directory(corpus, path, error) : add_mbox(corpus, path, error);
    return finish(corpus, path, is_read, error);
}

void load_corpus_close(struct load_corpus *corpus)
{
    for (uint32_t index = 0; index < corpus->count; index++)
        free((void *)(uintptr_t)corpus->messages[index].data);
    free(corpus->messages);
    *corpus = (struct load_corpus){0};
}
