"""The cells of scripts/bench whose contenders take turns under one client: A B C, A B C, ..."""
import bench_cells
import bench_load
import bench_processes
import bench_servers
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
            "client_cpus": cell.client_cpus}


def prepare(run, cell, field, contender):
    """Starts its server and lets it take a load that is not timed; system calls a message. None: it is out of the cell."""
    try:
        server = field.server(contender.server)
        seconds = contender.seconds / 2
        if contender.server in bench_cells.STARTS_SLOWLY:
            bench_load.with_loadgen(contender, server, seconds, cell.client_cpus, run.home)
        calls = bench_load.count_calls(contender, server, seconds, cell.client_cpus, run.home)
        return {"calls_per_message": calls, "calls_by": bench_processes.Calls.HOW if calls is not None else None,
                "version": server.version()}
    except PROBLEMS as problem:
        run.leave_out(cell, contender, problem)
        return None


def run_cell(run, cell):
    is_audited = all(contender.client == "loadgen" for contender in cell.contenders)
    with Field(cell, run.home) as field:
        known = {}
        for contender in cell.contenders:
            if any(run.is_wanted(cell, contender, number) for number in range(contender.repetitions)):
                known[contender.name()] = prepare(run, cell, field, contender)
        for number in range(max(contender.repetitions for contender in cell.contenders)):
            for contender in cell.contenders:
                found = known.get(contender.name())
                if found is None or number >= contender.repetitions or not run.is_wanted(cell, contender, number):
                    continue
                try:
                    server = field.server(contender.server)
                    line, _ = bench_load.measure(contender, server, contender.seconds, cell.client_cpus, run.home, is_audited)
                    run.record({**describe(cell, contender), **found, "repetition": number, **line})
                except PROBLEMS as problem:
                    run.leave_out(cell, contender, problem, number)
