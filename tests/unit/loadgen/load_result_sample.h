/* load_result_sample -- a made-up result, to be rendered. */
#pragma once

#include "loadgen/load_result.h"

/* 20 000 messages, of which 12 were refused; opened anew by each call. */
struct load_result *load_result_sample_open(void);

/* The same over TLS, with a failure of it. */
struct load_result *load_result_sample_open_tls(void);
void load_result_sample_close(void);
