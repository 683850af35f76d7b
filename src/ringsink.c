/* ringsink -- the server's program. */
#include "server/config.h"
#include "server/server.h"

int main(int argc, char **argv)
{
    struct config config;
    config_load(&config, argc, argv);
    return server_run(&config);
}
