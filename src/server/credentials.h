/*
 * credentials -- who may log in, read from a file of user:password lines.
 *
 * Owns:       the file's octets, wiped by credentials_close(); the entries are views of them.
 * Errors:     a file that can't be used ends the program with exit status 2 and a line that names
 *             file, line and remedy; never what stands in it.
 * Bounds:     CREDENTIALS_FILE_MAX octets, CREDENTIALS_MAX entries.
 */
#pragma once

#include "base/check.h"
#include "smtp/smtp_config.h"

#include <stdint.h>

#define CREDENTIALS_FILE_MAX (1024 * 1024)
#define CREDENTIALS_MAX      10000

struct credentials {
    struct smtp_credential *entries; /* NULL: not loaded, anybody may log in */
    uint32_t count;
    uint8_t *text;
};

/* Lines that are empty or begin with '#' are left out; a password may hold colons. */
void credentials_load(struct credentials *credentials, const char *path);
void credentials_close(struct credentials *credentials);
