/* smtp_limits -- every number of the protocol, each with its section. */
#pragma once

/* RFC 5321 4.5.3.1.4 (512) plus the allowances of every extension; RFC 3461 5.4 asks >= 1036. */
#define SMTP_LINE_MAX 4096
/* A whole line with its CR LF. */
#define SMTP_STASH_SIZE 4160
/* RFC 5321 4.5.3.1.5: a reply line with its CR LF. */
#define SMTP_REPLY_LINE_MAX 512
/* The longest reply, EHLO's, whole. */
#define SMTP_REPLY_MAX 1024
/* Bad commands before 421 (RFC 5321 7.8 lets a server limit them; Postfix has 20). */
#define SMTP_BAD_COMMANDS_MAX 20
/* Octets of the HELO or EHLO argument kept for the envelope. */
#define SMTP_HELO_KEPT 64
