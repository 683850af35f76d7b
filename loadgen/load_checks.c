#include "loadgen/load_checks.h"

#include <stdio.h>
#include <stdlib.h>

#define HANDSHAKES_MAX 512u /* in flight at most, without --ramp */
#define CLOCK_COST_NS  200u

bool load_checks_ports(const struct load_plan *plan, uint32_t sources,
                       const struct load_environment *environment, char *text)
{
    unsigned first;
    unsigned last;

    if (environment->is_unix) return true;
    if (sscanf(environment->port_range, "%u %u", &first, &last) != 2 || last < first) return true;
    uint64_t ports = ((uint64_t)last - first + 1) * (sources > 0 ? sources : 1);
    if (plan->connections <= ports) return true;
    (void)snprintf(text, LOAD_CHECKS_TEXT_MAX,
                   "%llu connections to one address need as many ports, but there are %llu: "
                   "`sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"` as root, more "
                   "--source, or fewer -c",
                   (unsigned long long)plan->connections, (unsigned long long)ports);
    return false;
}

bool load_checks_queue(const struct load_plan *plan, bool has_ramp,
                       const struct load_environment *environment, char *text)
{
    uint64_t at_once =
        plan->connections < HANDSHAKES_MAX ? plan->connections : (uint64_t)HANDSHAKES_MAX;
    uint64_t queue = strtoull(environment->somaxconn, NULL, 10);

    /* Another host's limit is not known here; a paced start needs no long queue. */
    if (!environment->is_same_host || has_ramp || queue == 0 || at_once <= queue) return true;
    (void)snprintf(text, LOAD_CHECKS_TEXT_MAX,
                   "%llu connects at once, but a listener on this host queues %llu at most, and "
                   "the others wait a second: `sysctl -w net.core.somaxconn=4096` as root before "
                   "the server starts, or --ramp",
                   (unsigned long long)at_once, (unsigned long long)queue);
    return false;
}

bool load_checks_clock(const struct load_environment *environment, char *text)
{
    if (environment->clock_cost_ns <= CLOCK_COST_NS) return true;
    (void)snprintf(text, LOAD_CHECKS_TEXT_MAX,
                   "reading the clock costs %llu ns with clock source %s: `echo tsc > "
                   "/sys/devices/system/clocksource/clocksource0/current_clocksource` as root, if "
                   "available_clocksource there has it",
                   (unsigned long long)environment->clock_cost_ns, environment->clock_source);
    return false;
}
