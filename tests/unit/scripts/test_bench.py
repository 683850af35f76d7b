#!/usr/bin/env python3
"""scripts/bench without its servers: the plan, the judgement of a run's lines, the parts that reckon."""
import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import types
import unittest

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
sys.path.insert(0, os.path.join(TOP, "scripts"))

import bench_asked  # noqa: E402
import bench_cells  # noqa: E402
import bench_charts  # noqa: E402
import bench_full  # noqa: E402
import bench_load  # noqa: E402
import bench_processes  # noqa: E402
import bench_report  # noqa: E402
import bench_servers  # noqa: E402
import bench_special  # noqa: E402
import bench_tls  # noqa: E402
import charts  # noqa: E402


def line(cell, contender, repetition=0, run="1", **figures):
    return {"cell": cell, "contender": contender, "server": contender.split(",")[0], "repetition": repetition, "run": run,
            "date": "2026-01-01T00:00:00", "commit": "abc", "kernel": "6", "cpus": 2, "cpu": "x", "memory_gib": 1, "mount": "ext4",
            **figures}


AES_256 = {"tls_version": "TLSv1.3", "tls_cipher": "TLS_AES_256_GCM_SHA384"}


def tls_lines():
    """The TLS cells: an octet costs 1.3 times what it costs in plain and in the cipher."""
    lines = []
    for cell in ("tls-handshake-full", "tls-handshake-resumed"):
        lines += [line(cell, name, handshakes_per_s=rate, **AES_256)
                  for name, rate in (("ringsink-discard", 1000), ("postfix", 100), ("nodemailer", 500))]
    for cell, figure in (("tls-stream-1k-200", "messages_per_s"), ("tls-bulk-1m-32", "mb_per_s")):
        lines += [line(cell, name, cpu_ns_per_octet=9, **{figure: rate}, **AES_256)
                  for name, rate in (("postfix", 100), ("nodemailer", 500))]
        for number in range(bench_asked.PAIRS):
            for kind in ("discard", "page"):
                lines += [line(cell, f"ringsink-{kind}, TLS", number, cpu_ns_per_octet=1.29, **{figure: 1000}, **AES_256),
                          line(cell, f"ringsink-{kind}, plain", number, cpu_ns_per_octet=0.25, **{figure: 2000})]
    return lines + [line("tls-bulk-1m-32", bench_cells.SPEED, number, cpu_ns_per_octet=0.75, tls_cipher=AES_256["tls_cipher"])
                    for number in range(bench_asked.PAIRS)]


def good_run():
    """Lines that just reach what is asked."""
    lines = tls_lines()
    for connections, ratio in ((200, 3), (1000, 5), (10000, 15)):
        lines += [line(f"stream-1k-{connections}", "ringsink-page", messages_per_s=1000 * ratio, rss_anon_kib=20000,
                       ring_kib=10000),
                  line(f"stream-1k-{connections}", "smtp-sink", messages_per_s=1000)]
    lines = [row for row in lines if row["cell"] != "stream-1k-200" or row["contender"] == "smtp-sink"]  # pairs come next
    for number in range(bench_asked.PAIRS):
        lines += [line("stream-1k-200", "ringsink-page", number, messages_per_s=3000, cpu_us_per_message=11.2),
                  line("stream-1k-200", "floor", number, messages_per_s=3000, cpu_us_per_message=10),
                  line("stream-1m-32", "ringsink-page", number, mb_per_s=1400, cpu_us_per_message=220),
                  line("stream-1m-32", "ringsink-discard", number, mb_per_s=2000, cpu_us_per_message=125),
                  line("stream-1m-32", "floor", number, mb_per_s=2000, cpu_us_per_message=100)]
    clean = {"is_clean": True, "expired": 0}
    return lines + [
        line("as-typed-10000", "ringsink-page", messages_per_s=10, audit=clean),
        line("as-typed-10000", "smtp-sink", messages_per_s=1),
        line("stream-1m-32", "smtp-sink", mb_per_s=100),
        line("lock-1k-200", "ringsink-page", messages_per_s=15), line("lock-1k-200", "smtp-sink", messages_per_s=10),
        line("each-1k-200", "ringsink-page", cpu_us_per_message=7), line("each-1k-200", "smtp-sink", cpu_us_per_message=10),
        line("client-1k-200", "loadgen", client_cpu_us=5), line("client-1k-200", "floor-client", client_cpu_us=4),
        line("client-1m-32", "loadgen", client_cpu_us=5), line("client-1m-32", "floor-client", client_cpu_us=4),
        line("instructions", "ringsink-page, 100 connections", instructions_per_message=2000),
        line("instructions", "ringsink-page, 10,000 connections", instructions_per_message=2190),
        line("workers-1k-200", "1 worker", user_us_per_message=1), line("workers-1k-200", "2 workers", user_us_per_message=1),
        line("bdat-1k-1", "ringsink-page, bdat", messages_per_s=6), line("bdat-1k-1", "ringsink-page, stream", messages_per_s=1),
        line("fair-1k-10000", "ringsink-page", slowest_mean_share=0.5),
        line("half-1k-1000", "ringsink-page", dot_p99_ns=5, verdict="valid", worst_stall_ns=50e6, worst_stall_with_steal_ns=60e6,
             clean_seconds=50, stolen_seconds=10),
        line("half-1k-1000", "smtp-sink", dot_p99_ns=10, verdict="suspect")]


def verdicts(lines):
    return {what: met for what, _, _, met in bench_asked.rows_of(lines)}


class PlanTest(unittest.TestCase):
    def test_every_contender_is_a_server(self):
        for cell in bench_cells.CELLS:
            for contender in cell.contenders:
                with self.subTest(cell=cell.name, contender=contender.name()):
                    self.assertEqual(contender.server in bench_servers.SERVERS, bench_cells.has_server(contender))

    def test_names_are_unique(self):
        self.assertEqual(len(bench_cells.BY_NAME), len(bench_cells.CELLS))
        for cell in bench_cells.CELLS:
            names = [contender.name() for contender in cell.contenders]
            self.assertEqual(len(set(names)), len(names), cell.name)

    def test_what_others_stand_beside_is_in_the_cell(self):
        for cell in bench_cells.CELLS:
            if cell.kind == "closed":
                self.assertIn(cell.base, [contender.name() for contender in cell.contenders])

    def test_special_cells_have_their_function(self):
        for cell in bench_cells.CELLS:
            if cell.kind != "closed":
                self.assertIn(cell.kind, bench_special.KINDS)
                self.assertGreater(cell.plan_s, 0)

    def test_it_fits_into_an_hour(self):
        self.assertLessEqual(sum(map(bench_cells.planned_s, bench_cells.CELLS)), bench_full.LIMIT_S)

    def test_cells_that_take_turns_have_repetitions_enough(self):
        for cell in bench_cells.CELLS:
            for contender in cell.contenders:
                if cell.kind == "closed":
                    self.assertGreaterEqual(contender.repetitions, 5, cell.name)


class AskedTest(unittest.TestCase):
    def test_what_just_reaches_it_is_met(self):
        self.assertEqual(set(verdicts(good_run()).values()), {"yes"})

    def test_whatever_misses_by_a_little_is_told(self):
        """Each figure that a row looks at, made worse alone, makes a row miss."""
        worse = {"messages_per_s": 0.99, "mb_per_s": 0.99, "cpu_us_per_message": 1.01, "client_cpu_us": 1.01,
                 "instructions_per_message": 1.01, "slowest_mean_share": 0.99, "dot_p99_ns": 1.01, "worst_stall_ns": 1.01,
                 "rss_anon_kib": 1.5, "cpu_ns_per_octet": 1.02}
        for cell, contender, figure in (
                ("stream-1k-200", "ringsink-page", "messages_per_s"), ("stream-1k-1000", "ringsink-page", "messages_per_s"),
                ("stream-1k-10000", "ringsink-page", "messages_per_s"), ("as-typed-10000", "ringsink-page", "messages_per_s"),
                ("stream-1m-32", "ringsink-page", "mb_per_s"), ("stream-1m-32", "ringsink-discard", "mb_per_s"),
                ("lock-1k-200", "ringsink-page", "messages_per_s"), ("each-1k-200", "ringsink-page", "cpu_us_per_message"),
                ("stream-1k-10000", "ringsink-page", "rss_anon_kib"),
                ("stream-1k-200", "ringsink-page", "cpu_us_per_message"), ("stream-1m-32", "ringsink-page", "cpu_us_per_message"),
                ("stream-1m-32", "ringsink-discard", "cpu_us_per_message"), ("stream-1k-200", "floor", "cpu_us_per_message"),
                ("client-1k-200", "loadgen", "client_cpu_us"), ("client-1m-32", "loadgen", "client_cpu_us"),
                ("instructions", "ringsink-page, 100 connections", "instructions_per_message"),
                ("instructions", "ringsink-page, 10,000 connections", "instructions_per_message"),
                ("bdat-1k-1", "ringsink-page, bdat", "messages_per_s"), ("fair-1k-10000", "ringsink-page", "slowest_mean_share"),
                ("tls-bulk-1m-32", "ringsink-discard, TLS", "cpu_ns_per_octet"),
                ("tls-bulk-1m-32", "ringsink-page, TLS", "cpu_ns_per_octet"),
                ("half-1k-1000", "ringsink-page", "dot_p99_ns"), ("half-1k-1000", "ringsink-page", "worst_stall_ns")):
            with self.subTest(cell=cell, contender=contender, figure=figure):
                lines = good_run()
                for row in lines:
                    if (row["cell"], row["contender"]) == (cell, contender):
                        row[figure] *= worse[figure]
                self.assertEqual(list(verdicts(lines).values()).count("**no**"), 1)

    def test_nothing_measured_is_neither(self):
        self.assertEqual(set(verdicts([]).values()), {"-"})

    def test_a_figure_of_too_few_pairs_is_none(self):
        lines = [row for row in good_run() if row["repetition"] < bench_asked.PAIRS - 1]
        found = verdicts(lines)
        self.assertEqual(found["server CPU per message beside the floor, 1 MB, `page`"], "-")
        self.assertEqual(found[self.BULK], "-")
        self.assertEqual(found["the floor itself, 1 KB `stream`, 200 connections, CPU a message"], "yes")

    BULK = "server CPU per octet over TLS beside plain and the cipher alone, 1 MB, `discard`"

    def test_bulk_is_the_median_of_its_rounds(self):
        lines = good_run()
        for row in lines:
            if row["contender"] == "ringsink-discard, TLS" and row["repetition"] < bench_asked.PAIRS // 2:
                row["cpu_ns_per_octet"] = 100
        self.assertEqual(verdicts(lines)[self.BULK], "yes")

    def test_a_round_without_its_cipher_is_none(self):
        lines = [row for row in good_run() if (row["contender"], row["repetition"]) != (bench_cells.SPEED, 3)]
        self.assertEqual(verdicts(lines)[self.BULK], "-")

    def test_another_cipher_alone_proves_nothing(self):
        lines = good_run()
        for row in lines:
            if row["contender"] == bench_cells.SPEED:
                row["tls_cipher"] = "TLS_AES_128_GCM_SHA256"
        self.assertEqual(verdicts(lines)[self.BULK], "-")

    def test_unlike_ciphers_are_not_compared(self):
        for figure, value in (("tls_cipher", "TLS_AES_128_GCM_SHA256"), ("tls_version", "TLSv1.2")):
            lines = good_run()
            next(row for row in lines if (row["cell"], row["contender"]) == ("tls-handshake-full", "postfix"))[figure] = value
            rows = {what: (measured, met) for what, _, measured, met in bench_asked.rows_of(lines)}
            self.assertIn(value, rows["TLS handshakes/s, full"][0])
            self.assertEqual(rows["TLS handshakes/s, full"][1], "-")
            self.assertEqual(rows["TLS handshakes/s, resumed"], ("1,000; 10.0x Postfix's smtpd, 2.0x nodemailer's smtp-server", "yes"))

    def test_a_late_generator_proves_nothing(self):
        what = "dot p99 beside smtp-sink's at half of its maximum, 1,000 connections, open loop"
        late = line("half-1k-1000", "smtp-sink", 1, dot_p99_ns=1, verdict="invalid")
        self.assertEqual(verdicts(good_run() + [late])[what], "yes")
        lines = [row for row in good_run() if (row["cell"], row["contender"]) != ("half-1k-1000", "smtp-sink")]
        self.assertEqual(verdicts(lines + [late])[what], "-")

    def test_with_stolen_time_in_every_second_the_worst_of_all_is_a_bound(self):
        for worst, met in ((49e6, "yes"), (51e6, "**no**")):
            lines = good_run()
            row = next(row for row in lines if row["cell"] == "half-1k-1000")
            row.update({"worst_stall_ns": None, "worst_stall_with_steal_ns": worst, "clean_seconds": 0})
            self.assertEqual(verdicts(lines)["worst stall there"], met)

    def test_one_bad_audit_is_enough(self):
        lines = good_run()
        next(row for row in lines if "audit" in row)["audit"] = {"is_clean": False, "expired": 0}
        self.assertEqual(verdicts(lines)["every run that stores is audited"], "**no**")

    def test_lines_of_failures_count_for_nothing(self):
        lines = good_run() + [line("stream-1k-200", "smtp-sink", error="it did not start")]
        self.assertEqual(verdicts(lines), verdicts(good_run()))


class ReportTest(unittest.TestCase):
    def test_of_every_cell_the_newest_run(self):
        lines = [line("a", "x", run="1"), line("b", "x", run="1"), line("a", "x", run="2")]
        self.assertEqual([(row["cell"], row["run"]) for row in bench_report.newest(lines)], [("b", "1"), ("a", "2")])
        self.assertIn("Run `2`", bench_report.about(bench_report.newest(lines)))

    def test_every_table_can_be_rendered_from_any_run(self):
        for name in bench_report.TABLES:
            for lines in ([], [line("half-1k-1000", "smtp-sink", error="it did not start", connections=1)]):
                with self.subTest(table=name, lines=len(lines)):
                    self.assertTrue(bench_report.rendered(name, lines))

    def test_bars_are_as_long_as_their_values(self):
        drawing = charts.bars("t", [("", [("a", 100), ("b", 50)])])
        widths = [int(part.split('"')[0]) for part in drawing.split('width="')[3:]]
        self.assertAlmostEqual(widths[0] / widths[1], 2, 1)

    def test_charts_are_of_what_was_measured(self):
        drawn = bench_charts.drawn([line("each-1k-200", "floor", messages_per_s=1234)])
        self.assertEqual(list(drawn), ["bench/charts/each.svg"])
        self.assertIn("1,234", drawn["bench/charts/each.svg"])


class TlsTest(unittest.TestCase):
    SUITE = {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "count": 3}

    def result(self, full, resumed, suites=(SUITE,), beyond=0):
        return {"totals": dict.fromkeys(bench_load.FAILURES, 0), "phases": {"tls": {"percentiles_ns": {"50": 7}}},
                "verdict": {"status": "valid", "reasons": [], "checks": {"connections_reached": 50}},
                "tls": {"full": full, "resumed": resumed, "full_per_s": full / 2, "resumed_per_s": resumed / 2,
                        "suites": list(suites), "suites_beyond": beyond}}

    def figures(self, resumes, full, resumed):
        load = bench_cells.replace(bench_cells.HANDSHAKES, resumes=resumes)
        return bench_load.handshake_figures(load, self.result(full, resumed))

    def test_handshakes_are_of_one_kind(self):
        self.assertEqual(self.figures(False, 300, 0)["handshakes_per_s"], 150)
        self.assertEqual(self.figures(True, bench_cells.HANDSHAKES.connections, 950)["handshakes"], 1000)
        for resumes, full, resumed in ((False, 300, 1), (True, bench_cells.HANDSHAKES.connections + 1, 950)):
            with self.assertRaises(bench_load.Failed):
                self.figures(resumes, full, resumed)

    def test_what_was_agreed_on_is_one_thing(self):
        self.assertEqual(bench_load.negotiated({"tls": None}), {})
        self.assertEqual(bench_load.negotiated(self.result(1, 2)),
                         {"tls_version": "TLSv1.3", "tls_cipher": "TLS_AES_256_GCM_SHA384", "full_handshakes": 1, "resumed_handshakes": 2})
        for suites, beyond in (((self.SUITE, {**self.SUITE, "version": "TLSv1.2"}), 0), ((self.SUITE,), 1), ((), 0)):
            with self.assertRaises(bench_load.Failed):
                bench_load.negotiated(self.result(1, 2, suites, beyond))

    def test_loadgen_is_asked_for_it(self):
        server = types.SimpleNamespace(name="postfix-tls", port_for=lambda tls: {"implicit": 465, "starttls": 25, "off": 25}[tls])
        for name, wanted, port in (("ringsink-discard", ["--tls", "implicit", "--tls-resume"], 465),
                                   ("ringsink-discard, STARTTLS", ["--tls", "starttls", "--tls-resume"], 25)):
            contender = next(made for made in bench_cells.BY_NAME["tls-handshake-resumed"].contenders if made.name() == name)
            command = bench_load.loadgen_command(contender, server, 2, "result", ())
            self.assertEqual(command[command.index("--tls"):][:3], wanted)
            self.assertEqual(command[command.index("--scenario") + 1], "connect-only")
            self.assertEqual(command[-1], f"127.0.0.1:{port}")
        plain = next(made for made in bench_cells.BY_NAME["tls-bulk-1m-32"].contenders if made.name() == "ringsink-page, plain")
        self.assertNotIn("--tls", bench_load.loadgen_command(plain, server, 2, "result", ()))

    def test_costs_are_by_what_was_done(self):
        self.assertEqual(bench_load.server_usage((0, 0, 1.0), (1, 1, 3.0), "handshake", 1000),
                         {"user_us_per_handshake": 1000, "system_us_per_handshake": 1000, "cpu_us_per_handshake": 2000})
        self.assertEqual(bench_load.work_of({"handshakes": 5}), ("handshake", 5))
        self.assertEqual(bench_load.cost_per_octet({"octets_per_message": 1000.0}, {"cpu_us_per_message": 2}), {"cpu_ns_per_octet": 2})

    def test_the_cipher_is_the_one_that_was_agreed_on(self):
        cell = bench_cells.BY_NAME["tls-bulk-1m-32"]
        with self.assertRaises(bench_load.Failed):
            bench_tls.cipher_of([line("tls-handshake-full", "postfix", **AES_256), line(cell.name, "ringsink-page, plain")], cell)
        self.assertEqual(bench_tls.cipher_of([line(cell.name, "postfix", **AES_256)], cell), "TLS_AES_256_GCM_SHA384")

    def test_openssl_speed_is_understood(self):
        found = bench_tls.cipher_alone("TLS_AES_256_GCM_SHA384", 1, str(min(os.sched_getaffinity(0))))
        self.assertGreater(found["cpu_ns_per_octet"], 0.01)
        self.assertAlmostEqual(found["cpu_ns_per_octet"] * found["octets_per_s"], 1e9, delta=1e7)
        with self.assertRaises(bench_load.Failed):
            bench_tls.octets_per_s("+F:25:AES-256-GCM:1.00\n+F:26:AES-128-GCM:2.00\n")
        with self.assertRaises(bench_load.Failed):
            bench_tls.cipher_alone("NULL-MD5", 1, "0")

    def test_a_certificate_is_made_once(self):
        with tempfile.TemporaryDirectory() as home:
            made = bench_tls.certificate(home)
            self.assertIs(bench_tls.certificate(home), made)
            self.assertEqual(os.stat(made.key).st_mode & 0o777, 0o600)
            text = subprocess.run(["openssl", "x509", "-in", made.file, "-noout", "-text"], capture_output=True, text=True, check=True)
            self.assertIn("P-256", text.stdout)

    def test_the_table_has_every_contender(self):
        """Lines as the cells leave them, of every cell."""
        lines = []
        for name in bench_report.TLS_CELLS:
            for contender in bench_cells.BY_NAME[name].contenders:
                load = contender.load
                own = {"handshakes_per_s": 1000, "handshakes": 2000, "full_handshakes": 50, "resumed_handshakes": 1950,
                       "cpu_us_per_handshake": 321} if load.scenario != "deliver" else {"messages_per_s": 10, "cpu_us_per_message": 321}
                own = own if bench_cells.has_server(contender) else {"cpu_ns_per_octet": 0.4321}
                shared = {"failed": 0, "client_cpu_us": 1} if bench_cells.has_server(contender) else {}
                lines.append(line(name, contender.name(), connections=load.connections, length=load.length, mode=load.mode,
                                  server_cpus="0", client_cpus="1", **own, **shared, **AES_256))
        text = bench_report.rendered("bench-tls", lines)
        for row in lines:
            self.assertRegex(text, rf"\n\| {row['contender']} \| 1 \| .*TLS_AES_256_GCM_SHA384")
        self.assertIn("0.432", text)
        self.assertNotIn("tls-", bench_report.rendered("bench", lines))


class StallTest(unittest.TestCase):
    SECOND = 10**9

    def test_the_longest_of_all_and_of_clean_seconds(self):
        samples = [(second * self.SECOND, second * self.SECOND + took)
                   for second, took in ((0, 30_000_000), (2, 90_000_000), (4, 40_000_000))]
        found = bench_special.stalls(samples, 1000.0, 6, [(1002.4, 1002.5)])
        self.assertEqual(found["worst_stall_with_steal_ns"], 90_000_000)
        self.assertEqual(found["worst_stall_ns"], 40_000_000)
        self.assertEqual((found["clean_seconds"], found["stolen_seconds"]), (5, 1))

    def test_a_message_belongs_to_all_seconds_that_it_lasts(self):
        found = bench_special.stalls([(0, 3 * self.SECOND)], 1000.0, 4, [(1001.4, 1001.5)])
        self.assertEqual((found["worst_stall_ns"], found["worst_stall_with_steal_ns"]), (0, 3 * self.SECOND))

    def test_no_clean_second_is_no_figure(self):
        found = bench_special.stalls([(0, 5)], 1000.0, 2, [(1000.0, 1002.0)])
        self.assertIsNone(found["worst_stall_ns"])
        self.assertEqual(found["stolen_seconds"], 2)


class ProcessesTest(unittest.TestCase):
    BURN = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"

    def test_a_tree_has_what_ended_in_it(self):
        """A shell's child burns time and ends; the shell lives on."""
        shell = subprocess.Popen(["sh", "-c", f"{sys.executable} -c '{self.BURN}'; echo done; read line"], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        try:
            self.assertEqual(shell.stdout.readline(), b"done\n")
            self.assertEqual(bench_processes.tree([shell.pid]), [shell.pid])
            self.assertGreaterEqual(sum(bench_processes.cpu_seconds([shell.pid])), 0.3)
        finally:
            shell.communicate(b"\n")

    def test_a_tree_has_its_descendants(self):
        shell = subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE)
        child = int(shell.stdout.readline())
        try:
            self.assertEqual(set(bench_processes.tree([shell.pid])), {shell.pid, child})
        finally:
            os.kill(child, signal.SIGTERM)
            shell.communicate()

    @unittest.skipIf(bench_processes.tracepoint_id() is None, "no tracefs that we may read")
    def test_system_calls_are_counted_one_by_one(self):
        with bench_processes.Calls([os.getpid()]) as calls:
            before = calls.count()
            if before is None:
                self.skipTest("the kernel does not let us count")
            between = calls.count() - before
            for _ in range(1000):
                os.getppid()
            self.assertEqual(calls.count() - before, 2 * between + 1000)


class FairnessTest(unittest.TestCase):
    def test_the_slowest_hundredth(self):
        found = bench_special.share_of_the_slowest([10, 20] + [100] * 198)
        self.assertEqual((found["median_messages"], found["least_messages"]), (100, 10))
        self.assertEqual((found["slowest_mean_share"], found["slowest_least_share"]), (0.15, 0.1))


class RunTest(unittest.TestCase):
    def make(self, lines, **chosen):
        wish = {"resume": None, "no_record": True, "seconds": None, "repetitions": None, "limit": 60, "only": None, **chosen}
        kept = bench_full.lines_of
        bench_full.lines_of = lambda run: [row for row in lines if row["run"] == run]
        try:
            return bench_full.Run(types.SimpleNamespace(**wish), TOP)
        finally:
            bench_full.lines_of = kept

    def test_a_resumed_run_measures_what_is_not_there(self):
        lines = [line("lock-1k-1", "floor", 0), line("lock-1k-1", "floor", 1, error="it did not start"),
                 line("lock-1k-1", "floor", 2, run="2")]
        run = self.make(lines, resume="1")
        cell = bench_cells.BY_NAME["lock-1k-1"]
        floor = next(contender for contender in cell.contenders if contender.server == "floor")
        self.assertEqual([run.is_wanted(cell, floor, number) for number in range(3)], [False, True, True])
        self.assertEqual(run.about["run"], "1")

    def test_what_is_missing_leaves_its_cells(self):
        run = self.make([])
        run.missing = {"go": "no compiler"}
        servers = {contender.server for contender in run.available(bench_cells.BY_NAME["lock-1k-200"]).contenders}
        self.assertNotIn("go", servers)
        self.assertIn("ringsink-page", servers)

    def test_a_cell_that_would_end_too_late_is_not_begun(self):
        run = self.make([], limit=1)
        self.assertFalse(run.is_in_time(bench_cells.BY_NAME["stream-1k-200"]))
        self.assertTrue(run.is_in_time(bench_cells.BY_NAME["micro"]))

    def test_a_failure_is_kept_and_told(self):
        run = self.make([])
        cell = bench_cells.BY_NAME["lock-1k-1"]
        with contextlib.redirect_stdout(io.StringIO()) as said:
            run.leave_out(cell, cell.contenders[0], OSError("no such\nthing"))
        self.assertIn("FAILED: no such thing", said.getvalue())
        self.assertEqual(run.lines[0]["error"], "no such thing")
        self.assertEqual(len(run.failures), 1)

    def test_unknown_cells_are_refused(self):
        with self.assertRaises(SystemExit):
            bench_full.choose(types.SimpleNamespace(only="lock-1k-1,nothing", seconds=None, repetitions=None))

    def test_a_run_can_be_shortened(self):
        [cell] = bench_full.choose(types.SimpleNamespace(only="stream-1k-10000", seconds=2.5, repetitions=1))
        self.assertEqual({contender.repetitions for contender in cell.contenders}, {1})
        self.assertEqual({contender.seconds for contender in cell.contenders}, {2.5})
        self.assertLess(bench_cells.planned_s(cell), bench_cells.planned_s(bench_cells.BY_NAME[cell.name]) / 2)


if __name__ == "__main__":
    unittest.main()
