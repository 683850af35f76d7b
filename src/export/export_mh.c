#include "export/export_mh.h"

#include "export/export_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME_TEXT_MAX (SPOOL_ID_TEXT_MAX + 16)
#define NUMBER_MAX    999999999u /* what readers take for a number */
#define TRIES_MAX     1000       /* numbers that another program took meanwhile */

/* The highest number in the folder, or 0. -errno */
static int newest_find(int folder, uint64_t *newest)
{
    struct dirent *entry;
    uint64_t number;
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = copy < 0 ? NULL : fdopendir(copy);

    *newest = 0;
    if (listing == NULL) {
        int error = -errno;
        if (copy >= 0) (void)close(copy);
        return error;
    }
    while ((entry = readdir(listing)) != NULL)
        if (bytes_to_number(bytes_from_text(entry->d_name), &number) && number <= NUMBER_MAX &&
            number > *newest)
            *newest = number;
    (void)closedir(listing);
    return 0;
}

static int number_take(struct export_mh *mh, int folder, const char *hidden)
{
    char name[NAME_TEXT_MAX];
    int error = -EEXIST;

    for (uint32_t i = 0; i < TRIES_MAX && error == -EEXIST; i++) {
        if (mh->newest >= NUMBER_MAX) return -EOVERFLOW;
        (void)snprintf(name, sizeof(name), "%" PRIu64, ++mh->newest);
        error = export_directory_move(folder, hidden, folder, name);
    }
    return error == -EEXIST ? -EBUSY : error;
}

/* Written under a name that MH passes over: what has a number is whole. */
static int letter_put(struct export_mh *mh, int folder, const struct export_letter *letter)
{
    char id[SPOOL_ID_TEXT_MAX + 1];
    char hidden[NAME_TEXT_MAX];
    struct bytes text = export_letter_render(letter, EXPORT_LETTER_LF);

    if (text.data == NULL) return -ENOMEM;
    (void)snprintf(hidden, sizeof(hidden), ",%s.tmp", export_letter_put_id(id, letter));
    (void)unlinkat(folder, hidden, 0); /* an export that was killed left it */
    int error = export_directory_put_file(folder, hidden, text);
    free((void *)(uintptr_t)text.data);
    if (error < 0) return error;
    error = number_take(mh, folder, hidden);
    if (error < 0) (void)unlinkat(folder, hidden, 0);
    return error;
}

int export_mh_deliver(struct export_mh *mh, int root, const char *mailbox,
                      const struct export_letter *letter)
{
    int error = 0;
    int folder = export_directory_enter(root, mailbox);

    if (folder < 0) return folder;
    if (strcmp(mh->mailbox, mailbox) != 0) {
        mh->mailbox[0] = 0;
        error = newest_find(folder, &mh->newest);
        if (error == 0) (void)snprintf(mh->mailbox, sizeof(mh->mailbox), "%s", mailbox);
    }
    if (error == 0) error = letter_put(mh, folder, letter);
    (void)close(folder);
    return error;
}
