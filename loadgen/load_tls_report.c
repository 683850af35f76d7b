#include "loadgen/load_tls_report.h"

#include "base/units.h"
#include "loadgen/load_config.h"

static void put_suite(const struct load_suite *suite, FILE *file)
{
    char version[2 * LOAD_SUITE_TEXT_MAX];
    char cipher[2 * LOAD_SUITE_TEXT_MAX];

    /* They may be of somebody's file. */
    bytes_escape(bytes_from_text(suite->version), version, sizeof version);
    bytes_escape(bytes_from_text(suite->cipher), cipher, sizeof cipher);
    (void)fprintf(file, "%s %s", version, cipher);
}

void load_tls_report_head(const struct load_result *result, FILE *file)
{
    const struct load_config *config = result->config;
    const struct load_handshakes *handshakes = &result->tally.handshakes;

    if (config->tls == LOAD_TLS_OFF) return;
    (void)fprintf(file, "tls %s, ", load_tls_name((enum load_tls_mode)config->tls));
    if (handshakes->suite_count == 0)
        (void)fputs("no handshake", file);
    else if (handshakes->suite_count == 1)
        put_suite(&handshakes->suites[0], file);
    else
        (void)fputs("several ciphers", file);
    /* What was never agreed on was not looked at, either. */
    (void)fprintf(file, ", %s%sverified%s\n", config->tls_verifies ? "" : "not ",
                  handshakes->suite_count == 0 ? "to be " : "",
                  config->tls_resumes ? ", resumed" : "");
}

/* Each by its count, where the server did not agree on one alone. */
static void put_suites(const struct load_handshakes *handshakes, FILE *file)
{
    char count[UNITS_TEXT_MAX];

    for (uint32_t index = 0; handshakes->suite_count > 1 && index < handshakes->suite_count;
         index++) {
        (void)fprintf(file, "%-11s %11s ", "",
                      units_format_count(count, handshakes->suites[index].count));
        put_suite(&handshakes->suites[index], file);
        (void)fputc('\n', file);
    }
    if (handshakes->suites_beyond > 0)
        (void)fprintf(file, "%-11s %11s of others\n", "",
                      units_format_count(count, handshakes->suites_beyond));
}

void load_tls_report_totals(const struct load_result *result, FILE *file)
{
    const struct load_handshakes *handshakes = &result->tally.handshakes;
    char a[UNITS_TEXT_MAX];
    char b[UNITS_TEXT_MAX];

    if (result->config->tls == LOAD_TLS_OFF) return;
    (void)fprintf(file, "handshakes  %11s full %14s resumed\n",
                  units_format_count(a, handshakes->full),
                  units_format_count(b, handshakes->resumed));
    (void)fprintf(file, "%-11s %11.1f full/s %12.1f resumed/s\n", "",
                  load_result_per_s(result, handshakes->full_in_time),
                  load_result_per_s(result, handshakes->resumed_in_time));
    put_suites(handshakes, file);
    if (handshakes->truncated > 0)
        (void)fprintf(file, "%-11s %11s closed by the server without close_notify\n", "",
                      units_format_count(a, handshakes->truncated));
    (void)fprintf(file, "OpenSSL     %11s held at most\n",
                  units_format_size(a, result->tls_memory_max));
}
