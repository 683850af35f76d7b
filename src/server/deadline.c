#include "server/deadline.h"

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void deadline_stall(struct deadline_rules *rules, uint64_t now_ns)
{
    CHECK(rules->stalled_since_ns == 0);
    CHECK(now_ns > 0);
    rules->stalled_since_ns = now_ns;
}

void deadline_end_stall(struct deadline_rules *rules, uint64_t now_ns)
{
    CHECK(rules->stalled_since_ns != 0);
    rules->stalled_ns += now_ns - rules->stalled_since_ns;
    rules->stalled_since_ns = 0;
}

static void arm(struct deadline *deadline, const struct deadline_rules *rules, struct wheel *wheel,
                uint64_t now_ns, uint64_t wait_ns)
{
    wheel_arm(wheel, &deadline->timer, now_ns + least(wait_ns, rules->command_timeout_ns));
}

void deadline_begin(struct deadline *deadline, const struct deadline_rules *rules,
                    struct wheel *wheel, uint64_t now_ns)
{
    deadline_touch(deadline, now_ns);
    arm(deadline, rules, wheel, now_ns, rules->idle_timeout_ns);
}

/* What the request in progress may take, UINT64_MAX for no limit. */
static uint64_t request_allowed_ns(const struct deadline_rules *rules,
                                   const struct smtp_session *session)
{
    uint64_t rate = rules->min_data_rate;
    if (!smtp_session_is_in_content(session)) return rules->command_timeout_ns;
    if (rate == 0) return UINT64_MAX;
    uint64_t octets = session->message_size + session->drained_size;
    return rules->command_timeout_ns + octets / rate * CLOCK_NS_PER_S +
           octets % rate * CLOCK_NS_PER_S / rate;
}

/* Time that the request in progress has left; 0: it is over. */
static uint64_t request_left_ns(const struct deadline *deadline, const struct deadline_rules *rules,
                                const struct smtp_session *session, uint64_t now_ns)
{
    uint32_t taken_ms = deadline_time_ms(rules, now_ns) - deadline->request_since_ms;
    uint64_t taken_ns = taken_ms * CLOCK_NS_PER_MS;
    uint64_t allowed_ns = request_allowed_ns(rules, session);
    return taken_ns < allowed_ns ? allowed_ns - taken_ns : 0;
}

enum deadline_verdict deadline_fired(struct deadline *deadline, const struct deadline_rules *rules,
                                     struct wheel *wheel, const struct smtp_session *session,
                                     bool is_request_due, uint64_t now_ns)
{
    uint64_t idle_ns = now_ns - deadline->last_active_ns;
    uint64_t left_ns = UINT64_MAX;
    if (is_request_due && !smtp_session_is_at_rest(session))
        left_ns = request_left_ns(deadline, rules, session, now_ns);
    if (idle_ns >= rules->idle_timeout_ns) return DEADLINE_IDLE;
    if (left_ns == 0) return DEADLINE_SLOW;
    arm(deadline, rules, wheel, now_ns, least(rules->idle_timeout_ns - idle_ns, left_ns));
    return DEADLINE_KEPT;
}

void deadline_begin_handshake(struct deadline *deadline, const struct deadline_rules *rules,
                              struct wheel *wheel, uint64_t now_ns)
{
    deadline_begin_request(deadline, rules, now_ns);
    arm(deadline, rules, wheel, now_ns, rules->handshake_timeout_ns);
}

bool deadline_handshake_is_over(struct deadline *deadline, const struct deadline_rules *rules,
                                struct wheel *wheel, uint64_t now_ns)
{
    uint32_t taken_ms = deadline_time_ms(rules, now_ns) - deadline->request_since_ms;
    uint64_t taken_ns = taken_ms * CLOCK_NS_PER_MS;
    if (taken_ns >= rules->handshake_timeout_ns) return true;
    arm(deadline, rules, wheel, now_ns, rules->handshake_timeout_ns - taken_ns);
    return false;
}
