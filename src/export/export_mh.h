/*
 * export_mh -- delivers into DIR/MAILBOX as an MH folder: the message is the next number.
 *
 * Owns:       the last folder's name and number, so that a run of messages does not list it again.
 */
#pragma once

#include "export/export_letter.h"
#include "export/export_path.h"

struct export_mh {
    char mailbox[EXPORT_PATH_MAX];
    uint64_t newest;
};

/* 0 or -errno. */
MUST_USE int export_mh_deliver(struct export_mh *mh, int root, const char *mailbox,
                               const struct export_letter *letter);
