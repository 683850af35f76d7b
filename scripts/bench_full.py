"""A whole run of scripts/bench: which cells, what was done before, how long it may take, where the lines go."""
import dataclasses
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import bench_cells
import bench_closed
import bench_packages
import bench_special
import measuring

LIMIT_S = 3600
NAME = "bench"


def machine(home):
    with open("/proc/cpuinfo") as cpuinfo:
        model = re.search(r"^model name\s*: (.+)$", cpuinfo.read(), re.M)
    with open("/proc/meminfo") as meminfo:
        memory = int(re.search(r"^MemTotal: *(\d+)", meminfo.read(), re.M).group(1))
    mount = subprocess.run(["df", "--output=fstype", home], capture_output=True, text=True, check=False).stdout.split()[-1]
    return {"cpu": model.group(1) if model else "unknown", "memory_gib": round(memory / 2**20, 1), "mount": mount}


def lines_of(run):
    path = os.path.join(measuring.TOP, "bench", "results", NAME + ".jsonl")
    if not os.path.exists(path):
        return []
    with open(path) as lines:
        return [line for line in map(json.loads, filter(str.strip, lines)) if line["run"] == run]


class Run:
    """chosen: what the command line says."""

    def __init__(self, chosen, home):
        self.chosen = chosen
        self.home = home
        self.began = time.monotonic()
        self.run = chosen.resume or f"{int(time.time()):x}"
        self.about = {**measuring.about(NAME), "run": self.run, **machine(home)}
        self.lines = lines_of(chosen.resume) if chosen.resume else []
        self.done = {(line["cell"], line["contender"], line["repetition"]) for line in self.lines if "error" not in line}
        self.failures = []
        self.missing = {}

    def is_wanted(self, cell, contender, number):
        return (cell.name, contender.name(), number) not in self.done

    def record(self, line):
        whole = {**self.about, **line}
        self.lines.append(whole)
        if not self.chosen.no_record:
            measuring.record(NAME, whole)
        print(told(line), flush=True)

    def leave_out(self, cell, contender, problem, number=None):
        """Nothing of the others is lost because one can't."""
        text = " ".join(str(problem).split())[:300]
        self.failures.append((cell.name, contender.name(), text))
        self.record({**bench_closed.describe(cell, contender), "repetition": number, "error": text})

    def available(self, cell):
        """The cell without those that are not here."""
        there = tuple(contender for contender in cell.contenders if contender.server not in self.missing)
        return dataclasses.replace(cell, contenders=there)

    def is_in_time(self, cell):
        return time.monotonic() - self.began + bench_cells.planned_s(cell) <= self.chosen.limit * 60

    def run_cell(self, cell):
        print(f"\n{cell.name}: {cell.why}", flush=True)
        began = time.monotonic()
        if cell.kind == "closed":
            bench_closed.run_cell(self, cell)
        else:
            bench_special.KINDS[cell.kind](self, cell)
        print(f"  took {time.monotonic() - began:.0f} s, planned were {bench_cells.planned_s(cell):.0f}", flush=True)


def told(line):
    """A line for eyes."""
    number = "" if line.get("repetition") is None else line["repetition"] + 1
    start = f"  {line['contender']:34} {number:2}"
    if "error" in line:
        return f"{start}  FAILED: {line['error']}"
    if "messages_per_s" not in line:
        return f"{start}  " + ", ".join(f"{name} {line[name]}" for name in line.get("shown", ()))
    text = f"{start} {line['messages_per_s']:10,.0f}/s"
    if line.get("mb_per_s"):
        text += f" {line['mb_per_s']:7,.1f} MB/s"
    if "cpu_us_per_message" in line:
        text += f"  server {line['cpu_us_per_message']:8.2f} us  client {line['client_cpu_us']:7.2f} us"
    if line.get("calls_per_message") is not None:
        text += f"  calls {line['calls_per_message']:.2f}"
    if line["failed"]:
        text += f"  failed {line['failed']}"
    if "audit" in line:
        text += "  audited" if line["audit"]["is_clean"] else "  AUDIT FAILED"
        text += f" ({line['audit']['expired']} expired)" if line["audit"]["expired"] else ""
    return text + "".join(f", {name} {line[name]}" for name in line.get("shown", ()))


def choose(chosen):
    """The cells that are wanted, as they are wanted."""
    wanted = chosen.only.split(",") if chosen.only else bench_cells.BY_NAME
    unknown = [name for name in wanted if name not in bench_cells.BY_NAME]
    if unknown:
        raise SystemExit(f"bench: no cell is called {', '.join(unknown)}; --plan names them")
    return [bench_cells.shortened(bench_cells.BY_NAME[name], chosen.seconds, chosen.repetitions) for name in wanted]


def main(chosen):
    cells = choose(chosen)
    if chosen.plan:
        print(bench_cells.plan_text(cells))
        return 0
    home = tempfile.mkdtemp(prefix="ringsink-bench-", dir=os.environ.get("RINGSINK_BENCH_DIR", "/var/tmp"))
    try:
        run = Run(chosen, home)
        run.missing = bench_packages.fetch_all(chosen.go)
        for name, why in run.missing.items():
            print(f"left out: {name}: {why}")
        print(f"run {run.run}, about {sum(map(bench_cells.planned_s, cells)) / 60:.0f} minutes")
        late = []
        for cell in map(run.available, cells):
            if run.is_in_time(cell):
                run.run_cell(cell)
            else:
                late.append(cell.name)
        print(f"\n{(time.monotonic() - run.began) / 60:.1f} minutes")
        if late:
            print(f"left out for lack of time: {', '.join(late)}; scripts/bench --resume {run.run} measures them")
        for cell, contender, text in run.failures:
            print(f"failed: {cell}, {contender}: {text}")
        return 1 if run.failures else 0
    finally:
        shutil.rmtree(home, ignore_errors=True)
