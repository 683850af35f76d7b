/* smtp_limits -- every number of the protocol, each with its section. */
#pragma once

/* RFC 5321 4.5.3.1.4 (512) plus the allowances of every extension; RFC 3461 5.4 asks >= 1036. */
#define SMTP_LINE_MAX 4096
/* RFC 4954 4: AUTH's command and its responses, without the CR LF. */
#define SMTP_AUTH_LINE_MAX 12288
/* A whole line with its CR LF. */
#define SMTP_STASH_SIZE 12352
/* RFC 5321 4.5.3.1.5: a reply line with its CR LF. */
#define SMTP_REPLY_LINE_MAX 512
/* The longest reply, EHLO's, whole. */
#define SMTP_REPLY_MAX 1024
/* Bad commands before 421 unless configured (RFC 5321 7.8 lets a server limit them). */
#define SMTP_BAD_COMMANDS_MAX 20
/* Octets of the HELO or EHLO argument kept for the envelope. */
#define SMTP_HELO_KEPT 64
/* RFC 5321 4.5.3.1.1 to 3; enforced only by a strict server, for "objects larger ... should be
 * avoided", not refused. */
#define SMTP_LOCAL_PART_MAX 64
#define SMTP_DOMAIN_MAX     255
#define SMTP_PATH_MAX       256
/* RFC 1870 3: size-value is 1*20DIGIT. */
#define SMTP_SIZE_DIGITS_MAX 20
/* Octets of unwanted content that are read before the client is cut off. */
#define SMTP_DRAIN_MAX (1ull << 30)
/* RFC 5321 4.5.3.1.6: a line of content, without its CR LF. */
#define SMTP_TEXT_LINE_MAX 998
/* Octets of the name of a stored message in "queued as". */
#define SMTP_ID_MAX 40
