"""RESULTS.md's charts of whole runs of scripts/bench: bench/charts/NAME.svg."""
import bench_report
import charts

FOLDER = "bench/charts"


def values(run, cell, name):
    """Contenders of a cell with the median of one figure, in the cell's order."""
    rows = [line for line in run if line["cell"] == cell and line.get(name) is not None]
    return [(contender, bench_report.median([row for row in rows if row["contender"] == contender], name))
            for contender in dict.fromkeys(row["contender"] for row in rows)]


def grouped(run, cells, name):
    groups = [(heading, values(run, cell, name)) for heading, cell in cells]
    return [(heading, pairs) for heading, pairs in groups if pairs]


# file, what it says, its cells with their headings, the figure, how a value is written
CHARTS = (
    ("messages", "messages/s, 1 KB, stream", (("200 connections", "stream-1k-200"), ("1,000 connections", "stream-1k-1000"),
                                               ("10,000 connections", "stream-1k-10000")), "messages_per_s", "{:,.0f}"),
    ("megabytes", "MB/s, 1 MB, stream, 32 connections", (("", "stream-1m-32"),), "mb_per_s", "{:,.0f}"),
    ("each", "messages/s, 1 KB, a connection a message, 200 at a time", (("", "each-1k-200"),), "messages_per_s", "{:,.0f}"),
    ("calls", "system calls per message, 1 KB, 200 connections", (("stream", "stream-1k-200"), ("lock-step", "lock-1k-200")),
     "calls_per_message", "{:,.2f}"),
)


def drawn(lines):
    """The charts that these lines give: octets by path."""
    run = bench_report.newest(lines)
    files = {}
    for name, title, cells, figure, form in CHARTS:
        groups = grouped(run, cells, figure)
        if groups:
            files[f"{FOLDER}/{name}.svg"] = charts.bars(title, groups, form)
    return files


def links(lines):
    """What stands in RESULTS.md."""
    titles = {f"{FOLDER}/{name}.svg": title for name, title, *_ in CHARTS}
    return "\n\n".join(f"![{titles[path]}]({path})" for path in drawn(lines)) or "No run yet: `scripts/bench`."
