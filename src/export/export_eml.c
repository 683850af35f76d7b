#include "export/export_eml.h"

#include "export/export_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_TEXT_MAX (SPOOL_ID_TEXT_MAX + 16)

/* Written under a hidden name first: what is called .eml is whole. */
static int letter_put(int root, const char *hidden, const char *name,
                      const struct export_letter *letter)
{
    struct bytes text = export_letter_render(letter, EXPORT_LETTER_EXACT);

    if (text.data == NULL) return -ENOMEM;
    (void)unlinkat(root, hidden, 0); /* an export that was killed left it */
    int error = export_directory_put_file(root, hidden, text);
    free((void *)(uintptr_t)text.data);
    if (error < 0) return error;
    error = export_directory_move(root, hidden, root, name);
    if (error < 0) (void)unlinkat(root, hidden, 0);
    return error;
}

int export_eml_deliver(int root, const struct export_letter *letter)
{
    struct stat status;
    char id[SPOOL_ID_TEXT_MAX + 1];
    char name[NAME_TEXT_MAX];
    char hidden[NAME_TEXT_MAX];

    (void)export_letter_put_id(id, letter);
    (void)snprintf(name, sizeof(name), "%s.eml", id);
    (void)snprintf(hidden, sizeof(hidden), ".%s.tmp", id);
    if (fstatat(root, name, &status, AT_SYMLINK_NOFOLLOW) == 0) return -EEXIST;
    return letter_put(root, hidden, name, letter);
}
