/*
 * load_script -- what every session of a run says: its commands as octets, opened once, read-only.
 *
 * Owns:       the texts, in place.
 * Errors:     false for a text that is none of what it has to be.
 * Bounds:     a command <= LOAD_SCRIPT_LINE_MAX; what a session sends at once <=
 *             load_script_group_max().
 * Invariants: the seed and a message's sequence alone decide who its recipients are.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

enum load_pipelining {
    LOAD_PIPELINING_AUTO,    /* group where PIPELINING is offered, else off                    */
    LOAD_PIPELINING_OFF,     /* each command waits for its reply                               */
    LOAD_PIPELINING_GROUP,   /* MAIL, RCPT and DATA in one send                                */
    LOAD_PIPELINING_STREAM,  /* and the next message's group right behind the final dot        */
    LOAD_PIPELINING_BDAT,    /* MAIL, RCPT and BDAT LAST with the content (RFC 3030) in one send */
    LOAD_PIPELINING_WRITTEN, /* --session: as the file says                                   */
    LOAD_PIPELINING_COUNT,
};

enum load_tls_mode {
    LOAD_TLS_OFF,
    LOAD_TLS_STARTTLS, /* RFC 3207: behind the first EHLO */
    LOAD_TLS_IMPLICIT, /* RFC 8314 3: before the banner   */
    LOAD_TLS_COUNT,
};

#define LOAD_CHUNK_LINE_MAX 32u /* "BDAT 1073741824 LAST\r\n" */

#define LOAD_SCRIPT_LINE_MAX   600u
#define LOAD_SCRIPT_NUMBER_MAX 20u
#define LOAD_SCRIPT_DOMAIN_MAX 264u /* RFC 5321 4.5.3.1.2: 255 octets, with @ > CR LF */
#define LOAD_DOMAINS_MAX       32u
#define LOAD_SCRIPT_AUTH_MAX   1400u
#define LOAD_AUTH_TEXT_MAX     1000u /* user and password; RFC 4616 2: 255 octets each and more */
#define LOAD_LOGIN_LINES       3u

struct load_dialogues;

/* AUTH LOGIN: what is said in reply to nothing, to the first 334 and to the second. */
struct load_login {
    char lines[LOAD_LOGIN_LINES][LOAD_SCRIPT_AUTH_MAX];
    uint32_t sizes[LOAD_LOGIN_LINES];
};

/* Where recipients are, one message in so many. */
struct load_domain {
    char tail[LOAD_SCRIPT_DOMAIN_MAX]; /* "@a.test>\r\n" */
    uint32_t tail_size;
    double weight;
};

/* What every session of a run says; opened once, read-only. */
struct load_script {
    char ehlo[LOAD_SCRIPT_LINE_MAX];
    char helo[LOAD_SCRIPT_LINE_MAX];
    char mail[LOAD_SCRIPT_LINE_MAX];           /* "MAIL FROM:<a@b>"; parameters may follow */
    char recipient_head[LOAD_SCRIPT_LINE_MAX]; /* "RCPT TO:<user"    */
    char recipient_tail[LOAD_SCRIPT_LINE_MAX]; /* "@sink.test>\r\n"  */
    uint32_t ehlo_size, helo_size, mail_size, recipient_head_size, recipient_tail_size;
    char auth[LOAD_SCRIPT_AUTH_MAX]; /* AUTH PLAIN with its initial response; empty: none */
    uint32_t auth_size;
    struct load_login login; /* the same for who offers LOGIN alone */
    uint32_t recipients;     /* a message has so many, */
    uint32_t recipients_max; /* up to so many          */
    uint32_t domain_count;   /* 0: the recipient's own */
    struct load_domain domains[LOAD_DOMAINS_MAX];
    double weight_sum;
    bool repeats_recipients; /* each message has the same, else they are numbered through the run */
    uint64_t seed;           /* of what differs from message to message */
    enum load_pipelining pipelining;
    enum load_tls_mode tls;
    bool is_8bit;    /* content has octets above 127: BODY=8BITMIME where offered (RFC 6152) */
    bool needs_utf8; /* an address has: SMTPUTF8 has to be offered (RFC 6531)               */
    bool is_lmtp;    /* RFC 2033: a reply to the content for each recipient that was taken */
    const struct load_dialogues *dialogues; /* --session: instead of all this, or NULL */
};

/* Texts are checked by load_config: no CR, LF, blank or bracket, and short. */
void load_script_open(struct load_script *script, const char *helo, const char *sender,
                      const char *recipient, uint32_t recipients, enum load_pipelining pipelining);

/* Messages have `recipients` to `maximum` recipients, by seed and sequence. */
void load_script_vary_recipients(struct load_script *script, uint32_t maximum, uint64_t seed);

/* Recipients are at the domains of "a.test:70,b.test:30", by weight; false if that is no list. */
MUST_USE bool load_script_spread(struct load_script *script, const char *domains, uint64_t seed);

/* Content has octets above 127. SMTPUTF8 is asked for if an address of the script has. */
void load_script_set_8bit(struct load_script *script);

/* From here on sessions speak LMTP (RFC 2033). */
void load_script_speak_lmtp(struct load_script *script, const char *helo);

/* Sessions say what is written in a file; the dialogues outlive the script. */
void load_script_replay(struct load_script *script, const struct load_dialogues *dialogues);

/* Sessions log in with "USER:PASSWORD", by AUTH PLAIN or LOGIN (RFC 4954); false if that is none.
 */
MUST_USE bool load_script_authenticate(struct load_script *script, const char *credentials);

/* The most octets that load_session_put() writes. */
uint32_t load_script_group_max(const struct load_script *script);

/* How many recipients message `sequence` has. */
uint32_t load_script_recipients(const struct load_script *script, uint64_t sequence);

/* Writes RCPT for recipient `index` of message `sequence` and returns its size. */
uint32_t load_script_put_recipient(const struct load_script *script, uint64_t sequence,
                                   uint32_t index, uint8_t *out);

const char *load_pipelining_name(enum load_pipelining pipelining);
