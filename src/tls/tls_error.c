#include "tls/tls_error.h"

#include "tls/tls_context.h"

#include <stdarg.h>
#include <stdio.h>

#include <openssl/err.h>

bool tls_error_put(char *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error, TLS_ERROR_MAX, format, arguments);
    va_end(arguments);
    return false;
}

const char *tls_error_reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text != NULL ? text : "no reason given";
}

/* What the system said comes first; OpenSSL's own errors about that stand behind it. */
int tls_error_system(void)
{
    unsigned long first = ERR_peek_error();
    return ERR_SYSTEM_ERROR(first) ? ERR_GET_REASON(first) : 0;
}
