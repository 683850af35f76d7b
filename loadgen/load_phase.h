/* load_phase -- the parts of a session that are timed and that replies and errors belong to. */
#pragma once

/* name in the result, significant digits of its histogram */
#define LOAD_PHASES(X)                                                                             \
    X(CONNECT, "connect", 2)   /* connect submitted to completed                            */     \
    X(TLS, "tls", 2)           /* ClientHello submitted to the handshake's end              */     \
    X(BANNER, "banner", 2)     /* connected, and implicit TLS established, to 220           */     \
    X(EHLO, "ehlo", 2)         /* EHLO sent to its last line; HELO likewise                 */     \
    X(STARTTLS, "starttls", 2) /* STARTTLS sent to 220                                      */     \
    X(AUTH, "auth", 2)         /* AUTH, and with LOGIN each of its lines, sent to its reply */     \
    X(MAIL, "mail", 2)         /* pipelining off: MAIL sent to its reply                    */     \
    X(RCPT, "rcpt", 2)         /* pipelining off: each RCPT                                 */     \
    X(DATA, "data", 2)         /* pipelining off: DATA sent to 354                          */     \
    X(ENVELOPE, "envelope", 2) /* pipelined: first octet of the group to 354                */     \
    X(BODY, "body", 2)         /* first to last octet of the content taken by the kernel    */     \
    X(DOT, "dot", 3)           /* last octet taken by the kernel to 250                     */     \
    X(RSET, "rset", 2)         /* RSET sent to its reply                                    */     \
    X(QUIT, "quit", 2)         /* QUIT sent to 221                                          */     \
    X(OTHER, "other", 2)       /* --session: any other command sent to its reply            */

enum load_phase {
#define X(name, text, digits) LOAD_PHASE_##name,
    LOAD_PHASES(X)
#undef X
        LOAD_PHASE_COUNT,
};

static inline const char *load_phase_name(enum load_phase phase)
{
    static const char *const names[] = {
#define X(name, text, digits) text,
        LOAD_PHASES(X)
#undef X
    };
    return names[phase];
}
