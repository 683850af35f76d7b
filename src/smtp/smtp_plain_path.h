/*
 * smtp_plain_path -- the paths that nearly all are: "<local@domain>" of letters, digits, ".", "-"
 * and "_", recognised sixteen octets at a time.
 *
 * Borrows:    the text.
 * Invariants: what is recognised is a mailbox to smtp_path_take(), when lenient, with the same
 *             octets; what is not may be one all the same.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdint.h>

/*
 * Size of the plain path that `text` begins with, its brackets included; 0: it does not begin with
 * one. Something other than a blank may follow it.
 */
uint64_t smtp_plain_path_size(struct bytes text);
