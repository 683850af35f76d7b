#include "export/export_maildir.h"

#include "base/clock.h"
#include "export/export_directory.h"
#include "export/export_path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_TEXT_MAX 255
#define HOST_SHOWN    64

struct maildir {
    int tmp;
    int new;
    int cur;
};

static void maildir_close(struct maildir *maildir)
{
    if (maildir->tmp >= 0) (void)close(maildir->tmp);
    if (maildir->new >= 0) (void)close(maildir->new);
    if (maildir->cur >= 0) (void)close(maildir->cur);
}

static int maildir_open(struct maildir *maildir, int root, const char *mailbox)
{
    *maildir = (struct maildir){-1, -1, -1};
    int folder = export_directory_enter(root, mailbox);
    if (folder < 0) return folder;
    maildir->tmp = export_directory_enter(folder, "tmp");
    maildir->new = export_directory_enter(folder, "new");
    maildir->cur = export_directory_enter(folder, "cur");
    (void)close(folder);
    int error = maildir->tmp < 0   ? maildir->tmp
                : maildir->new < 0 ? maildir->new
                : maildir->cur < 0 ? maildir->cur
                                   : 0;
    if (error < 0) maildir_close(maildir);
    return error;
}

static void name_put(char *out, const struct export_letter *letter)
{
    char host[EXPORT_PATH_MAX];
    char id[SPOOL_ID_TEXT_MAX + 1];
    uint64_t seconds = letter->received_ns / CLOCK_NS_PER_S;
    uint64_t fraction_ns = letter->received_ns % CLOCK_NS_PER_S;

    (void)export_path_encode(host, letter->host);
    (void)snprintf(out, NAME_TEXT_MAX, "%" PRIu64 ".N%" PRIu64 "R%s.%.*s", seconds, fraction_ns,
                   export_letter_put_id(id, letter), HOST_SHOWN, host);
}

/* A reader has moved it to cur, where flags follow the name: "NAME:2,S". */
static bool is_read(int cur, const char *name)
{
    struct dirent *entry;
    size_t size = strlen(name);
    bool is_found = false;
    int copy = openat(cur, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = copy < 0 ? NULL : fdopendir(copy);

    if (listing == NULL) {
        if (copy >= 0) (void)close(copy);
        return false;
    }
    while (!is_found && (entry = readdir(listing)) != NULL)
        is_found = strncmp(entry->d_name, name, size) == 0 &&
                   (entry->d_name[size] == 0 || entry->d_name[size] == ':');
    (void)closedir(listing);
    return is_found;
}

static int letter_put(const struct maildir *maildir, const char *name,
                      const struct export_letter *letter)
{
    struct bytes text = export_letter_render(letter, EXPORT_LETTER_LF);

    if (text.data == NULL) return -ENOMEM;
    (void)unlinkat(maildir->tmp, name, 0); /* an export that was killed left it */
    int error = export_directory_put_file(maildir->tmp, name, text);
    free((void *)(uintptr_t)text.data);
    if (error < 0) return error;
    error = export_directory_move(maildir->tmp, name, maildir->new, name);
    if (error < 0) (void)unlinkat(maildir->tmp, name, 0);
    return error;
}

int export_maildir_deliver(int root, const char *mailbox, const struct export_letter *letter)
{
    struct maildir maildir;
    struct stat status;
    char name[NAME_TEXT_MAX];

    int error = maildir_open(&maildir, root, mailbox);
    if (error < 0) return error;
    name_put(name, letter);
    if (fstatat(maildir.new, name, &status, AT_SYMLINK_NOFOLLOW) == 0 || is_read(maildir.cur, name))
        error = -EEXIST;
    else
        error = letter_put(&maildir, name, letter);
    maildir_close(&maildir);
    return error;
}
