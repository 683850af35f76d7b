#include "loadgen/load_environment.h"

#include "base/clock.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CLOCK_READS 1000u

/* The first line of a file of the kernel's, tabs as blanks; empty if it can't be read. */
static void read_line(const char *path, char *out)
{
    out[0] = '\0';
    FILE *file = fopen(path, "re");
    if (file == NULL) return;
    if (fgets(out, LOAD_ENVIRONMENT_TEXT_MAX, file) == NULL) out[0] = '\0';
    (void)fclose(file);
    out[strcspn(out, "\n")] = '\0';
    for (char *at = out; (at = strchr(at, '\t')) != NULL;)
        *at = ' ';
}

static void read_cpu(char *out)
{
    char line[256];
    out[0] = '\0';
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (file == NULL) return;
    while (fgets(line, sizeof line, file) != NULL) {
        const char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || value == NULL) continue;
        (void)snprintf(out, LOAD_ENVIRONMENT_TEXT_MAX, "%.*s", (int)strcspn(value + 2, "\n"),
                       value + 2);
        break;
    }
    (void)fclose(file);
}

static uint64_t measure_clock(void)
{
    uint64_t start_ns = clock_now_ns();
    for (uint32_t count = 1; count < CLOCK_READS; count++)
        (void)clock_now_ns();
    return (clock_now_ns() - start_ns) / CLOCK_READS;
}

static bool is_same_address(const struct sockaddr *a, const struct net_address *b)
{
    const void *one = a;
    const void *other = &b->storage;
    if (a == NULL || a->sa_family != b->storage.ss_family) return false;
    if (a->sa_family == AF_INET) {
        const struct sockaddr_in *in = one;
        const struct sockaddr_in *in_other = other;
        return in->sin_addr.s_addr == in_other->sin_addr.s_addr;
    }
    if (a->sa_family != AF_INET6) return false;
    const struct sockaddr_in6 *in6 = one;
    const struct sockaddr_in6 *in6_other = other;
    return memcmp(&in6->sin6_addr, &in6_other->sin6_addr, sizeof in6->sin6_addr) == 0;
}

static bool is_local(const struct net_address *target)
{
    struct ifaddrs *interfaces;
    bool is_found = net_is_loopback(target);

    if (is_found || getifaddrs(&interfaces) < 0) return is_found;
    for (const struct ifaddrs *item = interfaces; item != NULL && !is_found; item = item->ifa_next)
        is_found = is_same_address(item->ifa_addr, target);
    freeifaddrs(interfaces);
    return is_found;
}

void load_environment_read(struct load_environment *environment, const struct net_address *target)
{
    struct utsname names;

    memset(environment, 0, sizeof *environment);
    if (uname(&names) == 0) {
        (void)snprintf(environment->host, sizeof environment->host, "%s", names.nodename);
        (void)snprintf(environment->kernel, sizeof environment->kernel, "%s %s", names.release,
                       names.machine);
    }
    read_cpu(environment->cpu);
    read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource",
              environment->clock_source);
    read_line("/proc/sys/net/ipv4/ip_local_port_range", environment->port_range);
    read_line("/proc/sys/net/core/somaxconn", environment->somaxconn);
    environment->cpus_online = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    environment->clock_cost_ns = measure_clock();
    environment->is_same_host = is_local(target);
    environment->is_unix = net_is_unix(target);
    (void)net_format(environment->target, target);
}
