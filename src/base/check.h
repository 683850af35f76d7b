/*
 * check -- assertions that stay on in release, and what else is said of a function.
 *
 * CHECK(condition)       a bug if false: prints file, line and expression, aborts.
 * CHECK_SLOW(condition)  the same per byte: on in the dev and fuzz presets only.
 * MUST_USE               the result names a consequence the caller has to draw.
 * ASIDE                  kept out of line, so that it costs nothing where it is not called.
 * RARE                   the same for what is called seldom: compiled for size.
 * FLAT                   what it calls, but for that, is compiled into it: for the one hot loop.
 */
#pragma once

#define MUST_USE __attribute__((warn_unused_result))
#define ASIDE    __attribute__((noinline))
#define RARE     __attribute__((noinline, cold))
#define FLAT     __attribute__((flatten))

#define CHECK(condition)                                                                           \
    (__builtin_expect(!!(condition), 1) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

#ifdef RINGSINK_SLOW_CHECKS
#define CHECK_SLOW(condition) CHECK(condition)
#else
#define CHECK_SLOW(condition) ((void)0)
#endif

__attribute__((noreturn, cold)) void check_failed(const char *file, int line,
                                                  const char *expression);
