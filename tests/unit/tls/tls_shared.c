#include "unit/tls/tls_shared.h"

#include "base/clock.h"
#include "tls/tls_memory.h"

#include <stdio.h>

static struct tls_credentials *credentials;
static uint8_t ticket_keys[TLS_TICKET_KEYS_SIZE] = "keys of a test";

int64_t tls_shared_now_s(void)
{
    return (int64_t)(clock_realtime_ns() / CLOCK_NS_PER_S);
}

void tls_shared_make(void)
{
    char error[TLS_ERROR_MAX] = "";
    credentials = tls_credentials_make(TLS_SHARED_NAME, tls_shared_now_s(), error);
    if (credentials == NULL) (void)fprintf(stderr, "%s\n", error);
    CHECK(credentials != NULL);
}

int tls_shared_set_up(void **state)
{
    (void)state;
    CHECK(tls_memory_watch());
    tls_shared_make();
    return 0;
}

int tls_shared_tear_down(void **state)
{
    (void)state;
    tls_credentials_close(credentials);
    return 0;
}

const struct tls_credentials *tls_shared_credentials(void)
{
    return credentials;
}

struct tls_server_options tls_shared_server(void)
{
    return (struct tls_server_options){
        .credentials = credentials, .ticket_keys = ticket_keys, .streams = 4};
}

struct tls_client_options tls_shared_client(void)
{
    return (struct tls_client_options){.server_name = TLS_SHARED_NAME, .streams = 4};
}
