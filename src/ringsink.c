/* ringsink -- the server's program. */
#include "server/config.h"
#include "server/server.h"

/*
 * Read by jemalloc. Only OpenSSL gives memory back while the server runs, and when its clients have
 * gone nobody allocates any more, which is when jemalloc would let go of it: a thread has to.
 */
extern const char *malloc_conf;
const char *malloc_conf = "background_thread:true,dirty_decay_ms:2000";

int main(int argc, char **argv)
{
    struct config config;
    config_load(&config, argc, argv);
    return server_run(&config);
}
