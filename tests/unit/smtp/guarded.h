/* guarded -- octets that end, or start, at a page which can't be read: one octet too far is a
 * fault. */
#pragma once

#include "base/bytes.h"

#include <stdint.h>

struct guarded {
    uint8_t *mapping;
    uint64_t mapping_size;
    uint8_t *start; /* of what can be read; an unreadable page is in front of it */
    uint8_t *end;   /* and another behind it                                     */
};

/* Room for `size` octets and up to a page more. */
void guarded_open(struct guarded *guarded, uint64_t size);
void guarded_close(struct guarded *guarded);

/* Copies of `octets` that lie against the page behind, or in front. */
struct bytes guarded_at_end(const struct guarded *guarded, struct bytes octets);
struct bytes guarded_at_start(const struct guarded *guarded, struct bytes octets);
