#include "loadgen/load_busy.h"

#include <inttypes.h>
#include <stdio.h>

uint64_t load_busy_ns(pid_t thread_id)
{
    char path[64];
    uint64_t ran_ns = 0;
    uint64_t waited_ns = 0;

    (void)snprintf(path, sizeof path, "/proc/self/task/%d/schedstat", (int)thread_id);
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    int found = fscanf(file, "%" SCNu64 " %" SCNu64, &ran_ns, &waited_ns);
    (void)fclose(file);
    return found == 2 ? ran_ns + waited_ns : 0;
}
