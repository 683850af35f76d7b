/* fuzz -- what every fuzzer defines; called by libFuzzer, or by fuzz_replay for each seed. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* libFuzzer chose the name. NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
