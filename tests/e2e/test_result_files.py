"""Every file that loadgen writes, read by somebody else's reader."""
import csv
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
import unittest

import harness
import peers

SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "loadgen.result.schema.json")


def node(script, *arguments):
    """Runs a script with the npm packages at hand; returns what it printed as JSON."""
    program = peers.need("node", "nodejs")
    result = subprocess.run([program, "-e", script, *arguments], env={**os.environ, "NODE_PATH": peers.node_modules()},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    if result.returncode != 0:
        raise AssertionError(result.stderr)
    return json.loads(result.stdout)


HISTOGRAMS = """
const hdr = require('hdr-histogram-js'), fs = require('fs');
const result = JSON.parse(fs.readFileSync(process.argv[1]));
const answer = {};
for (const [name, latency] of [...Object.entries(result.latency), ...Object.entries(result.phases)]) {
  if (!latency) continue;
  const histogram = hdr.decodeFromCompressedBase64(latency.hdr);
  const values = {};
  for (const percentile of Object.keys(latency.percentiles_ns)) values[percentile] = histogram.getValueAtPercentile(+percentile);
  answer[name] = {count: histogram.totalCount, values, max: histogram.maxValue,
                  table: histogram.outputPercentileDistribution(5, 1e6)};
}
console.log(JSON.stringify(answer));
"""

ADDED = """
const hdr = require('hdr-histogram-js'), fs = require('fs');
const [one, other] = process.argv.slice(1).map(path => JSON.parse(fs.readFileSync(path)).latency);
const answer = {};
for (const part of ['response', 'service', 'lateness']) {
  const histogram = hdr.decodeFromCompressedBase64(one[part].hdr);
  histogram.add(hdr.decodeFromCompressedBase64(other[part].hdr));
  answer[part] = {};
  for (const percentile of Object.keys(one[part].percentiles_ns)) answer[part][percentile] = histogram.getValueAtPercentile(+percentile);
}
console.log(JSON.stringify(answer));
"""

LOG = """
const hdr = require('hdr-histogram-js'), fs = require('fs');
const reader = new hdr.HistogramLogReader(fs.readFileSync(process.argv[1], 'utf8'));
const counts = {}, maxima = {}, times = [];
for (let histogram; (histogram = reader.nextIntervalHistogram()) != null;) {
  counts[histogram.tag] = (counts[histogram.tag] || 0) + histogram.totalCount;
  maxima[histogram.tag] = Math.max(maxima[histogram.tag] || 0, histogram.maxValue);
  times.push([histogram.startTimeStampMsec, histogram.endTimeStampMsec]);
}
console.log(JSON.stringify({counts, maxima, times}));
"""

VALIDATE = """
const Ajv = require('ajv'), fs = require('fs');
const validate = new Ajv({allErrors: true, allowUnionTypes: true}).compile(JSON.parse(fs.readFileSync(process.argv[1])));
console.log(JSON.stringify(process.argv.slice(2).map(
  path => validate(JSON.parse(fs.readFileSync(path))) ? [] : validate.errors)));
"""


class WithResults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.mkdtemp(prefix="ringsink-files-")
        cls.addClassCleanup(shutil.rmtree, cls.home)
        server = harness.Server("--durability", "discard", "--max-recipients", "2")
        cls.addClassCleanup(server.close)
        open_loop = ["-R", "3000", "-d", "2s", "--warmup", "500ms"]
        runs = {"open": open_loop, "open2": open_loop, "closed": ["-n", "2000"],
                "refused": ["-n", "20", "-r", "3"], "silent": ["-n", "5", "-k", "1", "--timeout", "1s"]}
        for name, options in runs.items():
            place = os.path.join(cls.home, name)
            result = harness.run(harness.LOADGEN, "-q", "-c", "20", "-l", "500", "-t", "2", "-o", place + ".json", "--csv",
                                 place + ".csv", "--hlog", place + ".hlog", "--hdr", place, "--samples", place + ".samples.csv", *options,
                                 "--threshold", "p50<1h,fail<0.1%", f"127.0.0.1:{server.port}")
            assert result.returncode in (0, 99), result.stderr
            with open(place + ".txt", "w") as file:
                file.write(result.stdout)

    def result(self, name):
        with open(os.path.join(self.home, name + ".json")) as file:
            return json.load(file)

    def path(self, name):
        return os.path.join(self.home, name)


class ResultFiles(WithResults):
    def test_json_is_what_its_schema_says(self):
        paths = [self.path(name + ".json") for name in ("open", "closed", "refused", "silent")]
        for path, errors in zip(paths, node(VALIDATE, SCHEMA, *paths)):
            self.assertEqual([(error["instancePath"], error["message"]) for error in errors], [], path)

    def test_the_schema_can_fail(self):
        result = self.result("open")
        del result["totals"]["accepted"]
        result["latency"]["service"]["percentiles_ns"]["50"] = -1
        result["verdict"]["status"] = "VALID"
        with open(self.path("wrong.json"), "w") as file:
            json.dump(result, file)
        [errors] = node(VALIDATE, SCHEMA, self.path("wrong.json"))
        self.assertGreaterEqual(len(errors), 3)

    def test_histograms_decode_to_the_same_percentiles(self):
        for name in ("open", "closed"):
            result = self.result(name)
            decoded = node(HISTOGRAMS, self.path(name + ".json"))
            self.assertIn("dot", decoded)
            for part, values in decoded.items():
                latency = result["latency"].get(part) or result["phases"].get(part)
                self.assertEqual(values["count"], latency["count"], part)
                for percentile, value in latency["percentiles_ns"].items():
                    if value is not None:
                        self.assertLessEqual(value, values["values"][percentile])
                        self.assertAlmostEqual(value, values["values"][percentile], delta=value / 100 + 1)

    def test_percentile_tables_are_those_of_the_library(self):
        decoded = node(HISTOGRAMS, self.path("open.json"))
        for part in ("response", "service", "dot", "lateness"):
            with open(self.path(f"open.{part}.hgrm")) as file:
                tables = [file.read(), decoded[part]["table"]]
            # The last digit of a percentile is rounded to even here, up there. The mean is that of the values here,
            # of their counters there.
            means = [float(re.search(r"#.Mean += +([0-9.]+)", table)[1]) for table in tables]
            self.assertAlmostEqual(means[0], means[1], delta=means[1] / 1000 + 0.001)
            ours, theirs = ([re.sub(r"(0\.\d{11})\d|#.Mean += +[0-9.]+", r"\1", line) for line in table.splitlines()]
                            for table in tables)
            self.assertEqual(ours, theirs, part)
        self.assertFalse(os.path.exists(self.path("closed.response.hgrm")))

    def test_the_log_adds_up_to_the_whole(self):
        log = node(LOG, self.path("open.hlog"))
        result = self.result("open")
        accepted = result["totals"]["accepted"] + result["warmup"]["totals"]["accepted"]
        self.assertEqual(log["counts"], {"response": accepted, "service": accepted, "dot": accepted})
        maximum = max(result["latency"]["response"]["max_ns"], result["warmup"]["latency"]["response"]["max_ns"])
        self.assertAlmostEqual(log["maxima"]["response"] / maximum, 1, delta=0.02)
        starts = sorted({start for start, _ in log["times"]})
        self.assertGreaterEqual(len(starts), 3)
        for (start, end) in log["times"]:
            self.assertGreater(end, start)

    def test_csv_is_read_by_its_header(self):
        with open(self.path("open.csv"), newline="") as file:
            rows = list(csv.DictReader(file))
        result = self.result("open")
        self.assertGreaterEqual(len(rows), 3)
        self.assertEqual(sum(int(row["accepted"]) for row in rows),
                         result["totals"]["accepted"] + result["warmup"]["totals"]["accepted"])
        self.assertEqual(sum(int(row["due"]) for row in rows), result["totals"]["due"] + result["warmup"]["totals"]["due"])
        self.assertEqual(float(rows[0]["time_s"]), -0.5)
        for row in rows:
            self.assertNotIn(None, row)
            self.assertRegex(row["response_p50_ms"], r"^(\d+\.\d+)?$")
        with open(self.path("closed.csv"), newline="") as file:
            self.assertEqual({row["due"] for row in csv.DictReader(file)}, {""})

    def test_samples_are_the_histograms_one_by_one(self):
        for name in ("open", "closed", "refused"):
            result = self.result(name)
            with open(self.path(name + ".samples.csv"), newline="") as file:
                rows = [{key: value if key == "outcome" else int(value) for key, value in row.items()}
                        for row in csv.DictReader(file)]
            measured = [row for row in rows if row["due_ns"] >= 0]
            totals = result["totals"]
            self.assertEqual(len(measured), totals["due"] if name == "open" else totals["started"])
            self.assertEqual(sum(row["outcome"] == "accepted" for row in measured), totals["accepted"])
            self.assertEqual({row["worker"] for row in rows}, {0, 1})
            service = sorted(row["end_ns"] - row["start_ns"] for row in measured if row["outcome"] == "accepted")
            if service:
                self.assertEqual({row["bytes"] for row in measured}, {500})
                self.assertEqual(service[-1], result["latency"]["service"]["max_ns"])
                self.assertEqual(service[0], result["latency"]["service"]["min_ns"])
                exact = service[-(-len(service) // 2) - 1]
                self.assertAlmostEqual(result["latency"]["service"]["percentiles_ns"]["50"], exact, delta=exact / 500 + 1)
            if name == "open":
                self.assertTrue(any(row["due_ns"] < 0 for row in rows))
                self.assertEqual(max(row["end_ns"] - row["due_ns"] for row in measured), result["latency"]["response"]["max_ns"])

    def test_samples_as_records(self):
        path = self.path("records")
        server = harness.Server("--durability", "discard")
        self.addCleanup(server.close)
        result = harness.run(harness.LOADGEN, "-q", "-n", "100", "-c", "2", "-l", "700", "--samples", path, f"127.0.0.1:{server.port}")
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(path, "rb") as file:
            records = list(struct.iter_unpack("=qqqIHH", file.read()))
        self.assertEqual(len(records), 100)
        for due, start, end, size, worker, outcome in records:
            self.assertLessEqual(0, due)
            self.assertLessEqual(due, start)
            self.assertLess(start, end)
            self.assertEqual((size, worker, outcome), (700, 0, 0))
        result = harness.run(harness.LOADGEN, "-q", "-n", "100", "--samples", "/dev/full", f"127.0.0.1:{server.port}")
        self.assertEqual(result.returncode, 1)
        self.assertIn("samples is not whole", result.stderr)

    def test_intervals_have_percentiles(self):
        intervals = self.result("open")["intervals"]
        self.assertEqual(intervals["t_ns"][0], -500000000)
        self.assertTrue(all(value > 0 for value in intervals["p50_ns"][:2]))
        self.assertTrue(all(p50 <= p99 for p50, p99 in zip(intervals["p50_ns"][:2], intervals["p99_ns"][:2])))


class Reports(WithResults):
    """loadgen report: the text of a run again, and several runs as one."""

    def report(self, *arguments):
        return harness.run(harness.LOADGEN, "report", *arguments)

    def test_the_report_of_a_file_is_the_run_s_own(self):
        for name in ("open", "closed", "refused", "silent"):
            with open(self.path(name + ".txt")) as file:
                self.assertEqual(self.report(self.path(name + ".json")).stdout, file.read(), name)

    def test_several_runs_are_added_up(self):
        one, other = (self.result(name) for name in ("open", "open2"))
        result = self.report("--json", self.path("open.json"), self.path("open2.json"))
        self.assertEqual(result.returncode, 0, result.stderr)
        whole = json.loads(result.stdout)
        for name in ("due", "accepted", "recipients_accepted", "body_bytes", "connects"):
            self.assertEqual(whole["totals"][name], one["totals"][name] + other["totals"][name], name)
        self.assertEqual(whole["latency"]["response"]["count"], whole["totals"]["accepted"])
        self.assertAlmostEqual(whole["rates"]["accepted_per_s"],
                               one["rates"]["accepted_per_s"] + other["rates"]["accepted_per_s"], places=3)
        self.assertEqual(whole["config"]["connections"], 40)
        self.assertEqual(whole["environment"], one["environment"])
        self.assertEqual([run["id"] for run in whole["merged"]], [one["run"]["id"], other["run"]["id"]])
        # They ran one after the other.
        self.assertIn("not measured at the same time", " ".join(whole["verdict"]["reasons"]))
        with open(self.path("whole.json"), "w") as file:
            json.dump(whole, file)
        [errors] = node(VALIDATE, SCHEMA, self.path("whole.json"))
        self.assertEqual(errors, [])
        self.assertIn("added up from 2 runs", self.report(self.path("whole.json")).stdout)

    def test_a_sum_s_percentiles_are_of_the_added_histograms(self):
        """Checked by the library: both texts decoded, added, and asked."""
        with open(self.path("sum.json"), "w") as file:
            file.write(self.report("--json", self.path("open.json"), self.path("open2.json")).stdout)
        exact = node(ADDED, self.path("open.json"), self.path("open2.json"))
        with open(self.path("sum.json")) as file:
            latency = json.load(file)["latency"]
        for part in ("response", "service", "lateness"):
            for percentile, value in latency[part]["percentiles_ns"].items():
                if value is not None:
                    self.assertAlmostEqual(value, exact[part][percentile], delta=value / 1000 + 1)

    def test_what_cannot_be_added_is_refused(self):
        for files, reason in ((("open.json", "closed.json"), "their latencies mean different things"),
                              (("open.json", "open.json"), "is there twice"), (("open.csv",), "is no JSON"),
                              (("absent.json",), "No such file"), ((), "no file to report on")):
            result = self.report(*(self.path(name) for name in files))
            self.assertEqual(result.returncode, 2, files)
            self.assertIn(reason, result.stderr)
            self.assertEqual(result.stdout, "")


class Exits(unittest.TestCase):
    def load(self, *options):
        return harness.run(harness.LOADGEN, "-q", "-c", "2", "-l", "200", *options, f"127.0.0.1:{self.server.port}")

    def setUp(self):
        self.server = harness.Server("--durability", "discard", "--max-recipients", "2")
        self.addCleanup(self.server.close)

    def test_a_threshold_that_is_not_reached_is_exit_99(self):
        self.assertEqual(self.load("-n", "100", "--threshold", "service.p50<1h,fail<1%").returncode, 0)
        result = self.load("-n", "100", "--threshold", "fail<1%,service.p50<1ns")
        self.assertEqual(result.returncode, 99)
        self.assertRegex(result.stdout, r"threshold  fail<1% +reached\nthreshold  service.p50<1ns +FAILED\n")

    def test_a_strict_run_that_is_invalid_is_exit_98(self):
        self.assertEqual(self.load("-n", "10", "-r", "3").returncode, 0)
        self.server.close()
        self.server = harness.Server("--durability", "discard", "--size-limit", "100")
        self.addCleanup(self.server.close)
        result = self.load("-R", "1000", "-d", "1s", "-c", "1", "--max-backlog", "1", "--warmup", "0", "--strict")
        self.assertIn(result.returncode, (1, 98))  # nothing was accepted is the stronger reason

    def test_files_that_cannot_be_written_are_told_before_anything_is_sent(self):
        for option in ("--csv", "--hlog", "--hdr"):
            result = self.load("-n", "10", option, "/nonexistent/x")
            self.assertEqual(result.returncode, 2)
            self.assertRegex(result.stderr, re.escape("/nonexistent/x"))
        self.assertIn("sessions", self.server.output() + "sessions")


if __name__ == "__main__":
    unittest.main()
