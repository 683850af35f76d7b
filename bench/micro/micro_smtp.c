/*
 * A command line, content and its dots by every variant of the search that this processor can run,
 * and whole messages through a session that keeps nothing.
 */
#include "micro.h"

#include "smtp/smtp_command.h"
#include "smtp/smtp_data.h"
#include "smtp/smtp_parameter.h"
#include "smtp/smtp_path.h"
#include "smtp/smtp_scan.h"
#include "smtp/smtp_session.h"

#include <stdio.h>

#define CASES_MAX    40
#define REPLIES_SIZE 8192
#define PLAIN_SIZE   32768
#define DIALOGUE_MAX (MICRO_CONTENT_MAX + 1024)

#define MAIL_LINE "MAIL FROM:<load@client.test> SIZE=1024 BODY=8BITMIME\r\n"
#define RCPT_LINE "RCPT TO:<user123456@sink.test>\r\n"
#define DATA_LINE "DATA\r\n"
#define ENVELOPE  "MAIL FROM:<load@client.test>\r\n" RCPT_LINE

static struct micro_case cases[CASES_MAX];
static uint32_t case_count;
static const char *const lines[] = {MAIL_LINE, RCPT_LINE, DATA_LINE};
static uint8_t plain[PLAIN_SIZE];
static struct smtp_config config;
static struct smtp_session session;
static uint8_t dialogue[DIALOGUE_MAX];
static uint8_t reply_text[REPLIES_SIZE];

/* ---- command lines ---- */

static uint64_t run_command(const struct micro_case *micro_case, uint64_t rounds)
{
    uint64_t taken = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        struct bytes line = bytes_make(lines[micro_case->variant], micro_case->size);
        taken += line.size;
        CHECK(smtp_command_strip_line(&line));
        struct smtp_command command = smtp_command_parse(line);
        micro_keep(&command);
    }
    return taken;
}

/* With what MAIL and RCPT have behind their colon. */
static uint64_t run_command_with_path(const struct micro_case *micro_case, uint64_t rounds)
{
    const bool is_sender = micro_case->variant == 0;
    uint64_t taken = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        struct smtp_parameters parameters;
        struct bytes line = bytes_make(lines[micro_case->variant], micro_case->size);
        struct bytes path;
        taken += line.size;
        CHECK(smtp_command_strip_line(&line));
        struct bytes text = smtp_command_parse(line).argument;
        CHECK(smtp_command_take_keyword(&text, is_sender ? BYTES("FROM:") : BYTES("TO:")));
        CHECK(smtp_path_take(&text, false, &path) == SMTP_PATH_MAILBOX);
        CHECK(smtp_parameter_check(text,
                                   is_sender ? SMTP_PARAMETER_OF_MAIL : SMTP_PARAMETER_OF_RCPT,
                                   config.offers, &parameters) == SMTP_REPLY_OK);
        micro_keep(&path);
    }
    return taken;
}

/* ---- content ---- */

/* Slices as smtp_data does, by one variant: up to each line that starts with a dot, behind it. */
static uint64_t run_scan(const struct micro_case *micro_case, uint64_t rounds)
{
    const struct smtp_scan_variant *variant = &smtp_scan_variants[micro_case->variant];
    const uint8_t *content = micro_content();
    uint64_t taken = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint64_t at = 0; at < micro_case->size;) {
            uint64_t left = micro_case->size - at;
            uint64_t found = variant->find_dot_line(content + at, left);
            uint64_t step = found < left ? found + 3 : left;
            at += step;
            taken += step;
        }
    }
    return taken;
}

/* Nothing to find: the search alone. */
static uint64_t run_scan_plain(const struct micro_case *micro_case, uint64_t rounds)
{
    const struct smtp_scan_variant *variant = &smtp_scan_variants[micro_case->variant];
    uint64_t taken = 0;
    for (uint64_t round = 0; round < rounds; round++)
        taken += variant->find_dot_line(plain, micro_case->size);
    return taken;
}

static uint64_t run_data(const struct micro_case *micro_case, uint64_t rounds)
{
    uint64_t taken = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        struct bytes input = bytes_make(micro_content(), micro_case->size);
        struct smtp_data data;
        smtp_data_init(&data);
        while (input.size > 0) {
            struct bytes slice = smtp_data_next(&data, &input);
            micro_keep(slice.data);
        }
        taken += micro_case->size;
    }
    return taken;
}

/* ---- whole messages ---- */

static uint64_t put(uint64_t at, struct bytes octets)
{
    CHECK(at + octets.size <= DIALOGUE_MAX);
    memcpy(dialogue + at, octets.data, octets.size);
    return at + octets.size;
}

/* A message of `size` octets of content, its envelope pipelined in front: how long it is. */
static uint64_t put_message(uint64_t size, bool is_chunked)
{
    char chunk[64];
    uint64_t at = put(0, BYTES(ENVELOPE));
    if (is_chunked) {
        (void)snprintf(chunk, sizeof chunk, "BDAT %llu LAST\r\n", (unsigned long long)size);
        at = put(at, bytes_from_text(chunk));
        return put(at, bytes_make(micro_content(), size));
    }
    at = put(at, BYTES(DATA_LINE));
    at = put(at, bytes_make(micro_content(), size - 2));
    return put(at, BYTES("\r\n.\r\n"));
}

/* Steps until all input is taken; how often a message was complete. */
static uint32_t feed(struct bytes input)
{
    struct smtp_replies replies = {.data = reply_text, .capacity = REPLIES_SIZE};
    struct smtp_detail detail;
    uint32_t complete = 0;
    for (;;) {
        enum smtp_event event = smtp_session_step(&session, &input, &replies, &detail);
        if (event == SMTP_WANT_INPUT) return complete;
        CHECK(event != SMTP_HANG_UP);
        if (event == SMTP_WANT_FLUSH) replies.size = 0;
        if (event != SMTP_WANT_VERDICT) continue;
        replies.size = 0;
        smtp_session_verdict(&session, &replies, SMTP_STORED, BYTES("0.1.4096"));
        complete++;
    }
}

static uint64_t run_session(const struct micro_case *micro_case, uint64_t rounds)
{
    uint64_t size = put_message(micro_case->variant & ~1u, (micro_case->variant & 1) != 0);
    uint64_t taken = 0;
    CHECK(size == micro_case->size);
    for (uint64_t round = 0; round < rounds; round++) {
        CHECK(feed(bytes_make(dialogue, size)) == 1);
        taken += size;
    }
    return taken;
}

/* ---- the table ---- */

static void add(struct micro_case micro_case)
{
    CHECK(case_count < CASES_MAX);
    cases[case_count++] = micro_case;
}

static void add_scans(void)
{
    static const char *const names[] = {"1 KiB sliced", "32 KiB sliced", "1 MiB sliced"};
    static const uint64_t sizes[] = {1024, 32768, MICRO_CONTENT_MAX};
    static char modules[8][32];
    for (uint32_t variant = 0; variant < smtp_scan_variant_count; variant++) {
        if (!smtp_scan_variants[variant].is_supported()) continue;
        CHECK(variant < sizeof modules / sizeof modules[0]);
        (void)snprintf(modules[variant], sizeof modules[variant], "smtp_scan, %s",
                       smtp_scan_variants[variant].name);
        for (uint32_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++)
            add((struct micro_case){modules[variant], names[index], sizes[index], variant,
                                    run_scan});
        add((struct micro_case){modules[variant], "32 KiB without a dot", PLAIN_SIZE, variant,
                                run_scan_plain});
    }
}

/* The last bit of `variant` says BDAT, the others are the content's size. */
static void add_session(const char *name, uint32_t size, bool is_chunked)
{
    add((struct micro_case){"smtp_session", name, put_message(size, is_chunked),
                            size | (is_chunked ? 1 : 0), run_session});
}

struct micro_cases micro_smtp_cases(void)
{
    static uint8_t config_text[SMTP_CONFIG_TEXT_SIZE];
    for (uint32_t index = 0; index < PLAIN_SIZE; index++)
        plain[index] = (uint8_t) "a line of text\r\n"[index % 16];
    config = (struct smtp_config){.hostname = BYTES("micro"), .recipients_max = 100};
    config.offers = SMTP_OFFERS_EVERY;
    smtp_config_prepare(&config, config_text);
    smtp_session_init(&session, &config);
    CHECK(feed(BYTES("EHLO client.test\r\n")) == 0);
    add((struct micro_case){"smtp_command", "MAIL", strlen(lines[0]), 0, run_command});
    add((struct micro_case){"smtp_command", "MAIL, path, two parameters", strlen(lines[0]), 0,
                            run_command_with_path});
    add((struct micro_case){"smtp_command", "RCPT, path", strlen(lines[1]), 1,
                            run_command_with_path});
    add((struct micro_case){"smtp_command", "DATA", strlen(lines[2]), 2, run_command});
    add_scans();
    add((struct micro_case){"smtp_data", "1 KiB", 1024, 0, run_data});
    add((struct micro_case){"smtp_data", "32 KiB", 32768, 0, run_data});
    add_session("a message of 1 KiB, DATA", 1024, false);
    add_session("a message of 1 KiB, BDAT", 1024, true);
    add_session("a message of 32 KiB, DATA", 32768, false);
    return (struct micro_cases){cases, case_count};
}
