/*
 * export_mbox -- appends to the file DIR/MAILBOX as an mbox (mboxrd: ">" before every line of ">"s
 * and "From "), under an fcntl lock.
 *
 * Errors:     -errno; the file is then as long as it was.
 */
#pragma once

#include "export/export_letter.h"

/* 0 or -errno. */
MUST_USE int export_mbox_deliver(int root, const char *mailbox, const struct export_letter *letter);
