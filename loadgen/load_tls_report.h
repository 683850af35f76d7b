/* load_tls_report -- what the text report says of TLS; nothing where there was none. */
#pragma once

#include "loadgen/load_result.h"

#include <stdio.h>

/* In the head: what was asked for, and what was agreed on. */
void load_tls_report_head(const struct load_result *result, FILE *file);

/* Among the totals: handshakes, OpenSSL's memory, what was noted. */
void load_tls_report_totals(const struct load_result *result, FILE *file);
