"""Who was the limit of a run through a mail server: the generator, its accepting, its delivering, the sink, or the rate asked."""
import dataclasses

BUSY = 0.9          # of one CPU: the generator's busiest worker, or the sink's
KEPT_UP = 0.98      # of what was due, accepted ...
LATE = 1.05         # ... in so many times the time that the schedule took
LATE_S = 0.5        # and so much more
BACKLOG_SHARE = 0.1  # of what was accepted, at the end of the load: delivering fell behind
BACKLOG_LEAST = 20   # what is on its way at any moment is no backlog


@dataclasses.dataclass
class Seen:
    """What the verdict is made of."""
    accepted: int
    due: int | None               # open loop only, as the next
    rate: float | None            # asked for, a second
    load_s: float | None          # from the first message accepted to the last
    delivered_in_load: int
    backlog_at_end: int           # accepted and not yet delivered when the load ended
    backlog_most: int
    drain_s: float | None
    generator_busy: float         # the busiest worker's share
    sink_busy: float              # of its one worker
    sink_refused: int             # 452 because it was full
    host_busy: float | None = None  # all CPUs of this host, 0 to 1


def rate(count, seconds):
    return count / seconds if seconds else 0.0


def thousands(value):
    return f"{value:,.0f}".replace(",", " ")


def fell_behind(seen):
    return seen.backlog_at_end > max(BACKLOG_LEAST, BACKLOG_SHARE * seen.accepted)


def kept_up(seen):
    """A server that is too slow accepts everything too, only later."""
    return seen.due is not None and seen.accepted >= KEPT_UP * seen.due and \
        (seen.load_s or 0) <= LATE * seen.due / seen.rate + LATE_S


def accepting(seen):
    meanwhile = f"delivered as fast, with a backlog of {thousands(seen.backlog_most)} at most"
    if seen.due is None:
        return (f"the mail server's accepting: it took {thousands(rate(seen.accepted, seen.load_s))} messages/s from a load that "
                f"waits for its replies; they were {meanwhile}")
    return (f"the mail server's accepting: {thousands(rate(seen.accepted, seen.load_s))} messages/s of the "
            f"{thousands(seen.rate)}/s that were due, {meanwhile}")


def delivering(seen):
    text = (f"the mail server's delivering: it accepted {thousands(rate(seen.accepted, seen.load_s))} messages/s and delivered "
            f"{thousands(rate(seen.delivered_in_load, seen.load_s))}/s meanwhile; the backlog was {thousands(seen.backlog_at_end)} at "
            "the end of the load")
    if seen.drain_s is not None:
        text += f", and was being delivered for {seen.drain_s:.1f} s more"
    if seen.due is not None and not kept_up(seen):
        text += f". It accepted less than the {thousands(seen.rate)}/s that were due, too"
    return text


def verdict(seen):
    """(who, a sentence): who is generator, sink, rate, accepting, delivering or nobody."""
    if seen.accepted == 0:
        return "nobody", "nothing was accepted"
    if seen.sink_refused:
        return "sink", f"the sink: it was full and refused {thousands(seen.sink_refused)} times; give it more by --spool-size"
    if seen.sink_busy > BUSY:
        return "sink", f"the sink: its worker was {seen.sink_busy:.0%} busy"
    if seen.generator_busy > BUSY and not kept_up(seen) and not fell_behind(seen):
        return "generator", f"the generator: its busiest worker was {seen.generator_busy:.0%} busy; use more -t, or another machine"
    if fell_behind(seen):
        return "delivering", delivering(seen)
    if kept_up(seen):
        return "rate", (f"nobody: the mail server kept up with the {thousands(seen.rate)} messages/s asked for; the backlog "
                        f" was never above {thousands(seen.backlog_most)}")
    return "accepting", accepting(seen)


def machine(seen, shares):
    """A note on a machine that all share: who used its CPUs. `shares` is name -> CPUs used while the load ran."""
    if seen.host_busy is None or seen.host_busy < BUSY:
        return None
    used = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return f"this host's CPUs were {seen.host_busy:.0%} busy ({used} of one): on machines of their own all would be faster"
