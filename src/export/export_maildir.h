/*
 * export_maildir -- delivers into DIR/MAILBOX as a Maildir: written in tmp, moved into new.
 *
 * The name is made of the time of receipt, the message's ID and the host: a message that is there
 * already, in new or moved on to cur, is not delivered again.
 */
#pragma once

#include "export/export_letter.h"

/* 0; -EEXIST: it is there already; or -errno. */
MUST_USE int export_maildir_deliver(int root, const char *mailbox,
                                    const struct export_letter *letter);
