"""The cells of scripts/bench whose contenders take turns under one client: A B C, A B C, ..."""
import bench_cells
import bench_load
import bench_servers
import bench_tls
from bench_load import Failed
from bench_packages import peers

PROBLEMS = (Failed, peers.Missing, AssertionError, OSError, SystemExit)


class Field:
    """The servers of a cell, each started once, but those that must be new in every run."""

    def __init__(self, cell, home):
        self.cell = cell
        self.home = home
        self.servers = {}

    def server(self, name):
        server = self.servers.get(name)
        if server is not None and name not in bench_servers.PER_RUN:
            return server
        self.stop(name)
        server = bench_servers.make(name, self.home, self.cell.server_cpus)
        self.servers[name] = server
        try:
            server.start()
        except BaseException:
            self.stop(name)
            raise
        return server

    def stop(self, name):
        server = self.servers.pop(name, None)
        if server is not None:
            server.stop()

    def close(self):
        for name in list(self.servers):
            self.stop(name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def describe(cell, contender):
    """What a line says of where its figures come from."""
    load = contender.load
    return {"cell": cell.name, "contender": contender.name(), "server": contender.server, "client": contender.client,
            "connections": load.connections, "length": load.length, "mode": load.mode, "window": load.window,
            "per_connection": load.per_connection or None, "seed": bench_load.SEED, "server_cpus": cell.server_cpus,
            "client_cpus": cell.client_cpus, **({"tls": load.tls} if load.tls != "off" else {}),
            **({"asked_messages": load.messages} if load.messages else {})}


def prepare(run, cell, field, contender):
    """Starts its server and lets it take a load that is not timed; system calls a message. None: it is out of the cell."""
    try:
        server = field.server(contender.server)
        seconds = contender.seconds / 2
        if contender.server in bench_cells.STARTS_SLOWLY:
            bench_load.with_loadgen(contender, server, seconds, cell.client_cpus, run.home)
        calls = bench_load.count_calls(contender, server, seconds, cell.client_cpus, run.home)
        return {**calls, "version": server.version()}
    except PROBLEMS as problem:
        run.leave_out(cell, contender, problem)
        return None


def is_audited(cell):
    """Then every server's client writes a ledger; the canned client can't, and handshakes bring no mail."""
    return all(contender.client != "floor-client" and contender.load.scenario == "deliver" for contender in cell.contenders)


def measure(run, cell, field, contender):
    if not bench_cells.has_server(contender):
        return bench_tls.cipher_alone(bench_tls.cipher_of(run.lines, cell), contender.seconds, cell.server_cpus)
    server = field.server(contender.server)
    line, _ = bench_load.measure(contender, server, contender.seconds, cell.client_cpus, run.home, is_audited(cell))
    return line


def run_cell(run, cell):
    with Field(cell, run.home) as field:
        known = {}
        for contender in cell.contenders:
            if any(run.is_wanted(cell, contender, number) for number in range(contender.repetitions)):
                known[contender.name()] = prepare(run, cell, field, contender) if bench_cells.has_server(contender) else {}
        for number in range(max(contender.repetitions for contender in cell.contenders)):
            for contender in cell.contenders:
                found = known.get(contender.name())
                if found is None or number >= contender.repetitions or not run.is_wanted(cell, contender, number):
                    continue
                try:
                    line = measure(run, cell, field, contender)
                    run.record({**describe(cell, contender), **found, "repetition": number, **line})
                except PROBLEMS as problem:
                    run.leave_out(cell, contender, problem, number)
