#include "loadgen/load_barrier.h"

#include "base/units.h"
#include "loadgen/load_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define UNSIGNED "give its authority by --tls-ca FILE, or leave out --tls-verify"

/* Whether a run can have ended at TLS, or the wait for a greeting. A worker that gives up because
 * of TLS has no session, though others may. */
static bool is_to_be_looked_for(const struct load_tally *tally, int gave_up)
{
    if (gave_up == EPROTO) return true;
    if (gave_up != 0 && gave_up != ETIMEDOUT) return false;
    return tally->connects > 0 && tally->reached == 0;
}

static bool was_greeted(const struct load_tally *tally)
{
    for (uint32_t code = 0; code < LOAD_TALLY_CODES; code++)
        if (tally->replies[LOAD_PHASE_BANNER][code] > 0) return true;
    return false;
}

static const struct load_tally_error *find_tls_failure(const struct load_tally *tally)
{
    for (uint32_t index = 0; index < tally->error_count; index++)
        if (tally->errors[index].number == LOAD_TALLY_TLS) return &tally->errors[index];
    return NULL;
}

/* The first that waited in vain for a handshake, a greeting or what follows it, or saw the
 * connection end. */
static const struct load_tally_error *find_silence(const struct load_tally *tally)
{
    for (uint32_t index = 0; index < tally->error_count; index++) {
        const struct load_tally_error *error = &tally->errors[index];
        if (error->kind != LOAD_OUTCOME_TIMEOUT && error->kind != LOAD_OUTCOME_CONNECTION) continue;
        if (error->phase == LOAD_PHASE_BANNER && was_greeted(tally)) continue;
        if (error->phase > LOAD_PHASE_CONNECT && error->phase <= LOAD_PHASE_AUTH) return error;
    }
    return NULL;
}

static void advise_on_tls(char *remedy, const struct load_config *config, const char *why)
{
    static const struct {
        const char *why;
        const char *remedy;
        enum load_tls_mode mode; /* LOAD_TLS_OFF: any */
    } rows[] = {
        {"local issuer certificate", UNSIGNED, LOAD_TLS_OFF},
        {"self-signed certificate", UNSIGNED, LOAD_TLS_OFF},
        {"verify the first certificate", UNSIGNED, LOAD_TLS_OFF},
        {"not TLS", "is it a port for --tls starttls, or for none?", LOAD_TLS_IMPLICIT},
        {"not offer STARTTLS", "leave out --tls, or try --tls implicit on a port of its own",
         LOAD_TLS_STARTTLS},
    };

    if (strstr(why, "mismatch") != NULL && config->tls_name != NULL)
        (void)snprintf(remedy, LOAD_BARRIER_TEXT_MAX,
                       "its certificate is not for %s: name what it is for by --tls-name",
                       config->tls_name);
    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++) {
        bool is_mode = rows[index].mode == LOAD_TLS_OFF || (int)rows[index].mode == config->tls;
        if (is_mode && strstr(why, rows[index].why) != NULL)
            (void)snprintf(remedy, LOAD_BARRIER_TEXT_MAX, "%s", rows[index].remedy);
    }
}

static void tell_silence(struct load_barrier *barrier, const struct load_config *config,
                         const struct load_tally_error *error, const char *target)
{
    char *text = barrier->text;
    bool is_timeout = error->kind == LOAD_OUTCOME_TIMEOUT;
    const char *end = load_tally_error_detail(error->number);
    char timeout[UNITS_TEXT_MAX];

    units_format_duration(timeout, config->timeout_ns);
    if (error->phase == LOAD_PHASE_TLS)
        (void)snprintf(text, LOAD_BARRIER_TEXT_MAX, "no TLS with %s: %s%s", target,
                       is_timeout ? "no handshake within " : end,
                       is_timeout ? timeout : " in the handshake");
    else if (error->phase == LOAD_PHASE_BANNER)
        (void)snprintf(text, LOAD_BARRIER_TEXT_MAX, "no greeting from %s%s%s", target,
                       is_timeout ? " within " : ": ", is_timeout ? timeout : end);
    else
        (void)snprintf(text, LOAD_BARRIER_TEXT_MAX, "no session with %s: %s%s at %s", target,
                       is_timeout ? "no reply within " : "", is_timeout ? timeout : end,
                       load_phase_name(error->phase));
    if (error->phase == LOAD_PHASE_BANNER && config->tls != LOAD_TLS_IMPLICIT)
        (void)snprintf(barrier->remedy, sizeof barrier->remedy,
                       "does it speak TLS first? --tls implicit");
}

bool load_barrier_find(struct load_barrier *barrier, const struct load_config *config,
                       const struct load_tally *tally, int gave_up, const char *target)
{
    *barrier = (struct load_barrier){0};
    if (!is_to_be_looked_for(tally, gave_up)) return false;
    const struct load_tally_error *failure = find_tls_failure(tally);
    const struct load_tally_error *silence = find_silence(tally);
    if (failure != NULL) {
        (void)snprintf(barrier->text, sizeof barrier->text, "no TLS with %s: %s", target,
                       failure->why);
        advise_on_tls(barrier->remedy, config, failure->why);
    } else if (silence != NULL) {
        tell_silence(barrier, config, silence, target);
    }
    return failure != NULL || silence != NULL;
}
