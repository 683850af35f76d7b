/*
 * export_eml -- a message as the file DIR/ID.eml, once, its content octet for octet.
 */
#pragma once

#include "export/export_letter.h"

/* 0; -EEXIST: a file of that name is there already; or -errno. */
MUST_USE int export_eml_deliver(int root, const struct export_letter *letter);
