"""The parts of scripts/bench-mta that need no mail server: options, joining, who was the limit, the report; and bad usage."""
import base64
import copy
import json
import os
import struct
import sys
import tempfile
import unittest
import zlib

import harness

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts")
sys.path.insert(0, SCRIPTS)
import mta_delivery  # noqa: E402
import mta_histogram  # noqa: E402
import mta_keeper  # noqa: E402
import mta_limit  # noqa: E402
import mta_options  # noqa: E402
import mta_report  # noqa: E402
import mta_servers  # noqa: E402
import mta_sink  # noqa: E402

RUN = "00112233445566aa"
OTHER = "00112233445566bb"

AUDIT = {"acknowledged": 100, "lost": 0, "duplicated": 0, "corrupt": 0, "refused": 0, "refused_present": 0, "expired": 0, "unknown": 0,
         "unknown_present": 0, "relayed": True, "delivered": 100, "partial": 0, "bounced": 0, "recipients_expected": 100,
         "recipients_delivered": 100, "duplicate_copies": 0, "first_accepted_ns": 10_000_000_000, "last_accepted_ns": 12_000_000_000,
         "first_delivered_ns": 10_100_000_000, "last_delivered_ns": 15_000_000_000, "clock": "monotonic", "clock_uncertainty_ns": 0,
         "clock_reason": ""}


class Options(unittest.TestCase):
    def test_own_options_and_loadgen_s_stand_in_any_order(self):
        options = mta_options.parse(["exim4", "-c", "50", "--kill-at", "500ms", "-n", "100", "--runs=3", "--set", "queue_run_max = 9",
                                     "--set=a=b=c", "--record"])
        self.assertEqual((options.server, options.kill_at_s, options.runs, options.record), ("exim4", 0.5, 3, True))
        self.assertEqual(options.settings, [("queue_run_max", "9"), ("a", "b=c")])
        self.assertEqual(options.loadgen, ["-c", "50", "-n", "100"])

    def test_the_server_s_name_may_stand_anywhere(self):
        for arguments in (["postfix", "-n", "5"], ["--runs", "1", "postfix", "-n", "5"], ["-n", "5", "postfix"]):
            options = mta_options.parse(arguments)
            self.assertEqual((options.server, options.loadgen), ("postfix", ["-n", "5"]), arguments)

    def test_the_load_has_defaults_that_give_way(self):
        self.assertEqual(mta_options.load_arguments(mta_options.parse(["postfix"])),
                         ["-n", "2000", "-c", "20", "-l", "10k", "--ramp", "1s", "--warmup", "0"])
        self.assertEqual(mta_options.load_arguments(mta_options.parse(["postfix", "-d", "3s", "-c7", "--length=1k", "--ramp", "0"])),
                         ["--warmup", "0", "-d", "3s", "-c7", "--length=1k", "--ramp", "0"])
        killed = mta_options.load_arguments(mta_options.parse(["postfix", "--kill-at", "5s"]))
        self.assertEqual(killed[:4], ["-R", "100", "-d", "10s"])
        self.assertIn("--retry-connect", killed)

    def test_values_of_loadgen_s_options_are_found_as_it_finds_them(self):
        for arguments, value in ((["-c", "5"], "5"), (["-c5"], "5"), (["--connections=5"], "5"), (["-c", "3", "--connections", "5"], "5"),
                                 (["-n", "5"], None), ([], None)):
            self.assertEqual(mta_options.load_value(arguments, "-c", "--connections"), value, arguments)
        self.assertEqual([mta_options.number(text) for text in ("20", "2k", "1.5k", "4Ki", "3M", "x", None)],
                         [20, 2000, 1500, 4096, 3000000, None, None])

    def test_room_is_made_for_what_the_load_can_bring(self):
        self.assertEqual(mta_options.messages_expected(["-n", "3k"]), 3000)
        self.assertEqual(mta_options.messages_expected(["-R", "200", "-d", "10s"]), 2001)
        self.assertIsNone(mta_options.messages_expected(["-d", "10s"]))
        self.assertEqual(mta_options.largest_message("1k:50,10k:40,1m:10"), 10000)
        self.assertEqual(mta_options.largest_message("lognormal:8k,1.4"), 32000)
        self.assertEqual(mta_sink.room_for(1, 10), mta_sink.SMALLEST)
        self.assertGreater(mta_sink.room_for(100000, 10000), 2 * 100000 * 10000)

    def test_addresses(self):
        self.assertEqual(mta_options.address("mail.lab:25", "--mta"), ("mail.lab", 25))
        self.assertEqual(mta_options.address("[::1]:25", "--mta"), ("[::1]", 25))
        self.assertEqual(mta_options.address("2525", "--sink", "127.0.0.1"), ("127.0.0.1", 2525))
        for text in ("25", "mail.lab", "mail.lab:0", "mail.lab:70000", "a:b:25"):
            with self.assertRaises(mta_options.Wrong):
                mta_options.address(text, "--mta")


class Joining(unittest.TestCase):
    def counts(self, queue, faults="", **changed):
        return mta_delivery.counts({**AUDIT, **changed}, mta_delivery.read_faults(faults.splitlines()), queue)

    def test_nothing_missing(self):
        found = self.counts(set())
        self.assertEqual((found["lost"], found["queued"], found["missing"]), (0, 0, 0))
        self.assertEqual(mta_delivery.verdict(found, False), ("fine", []))

    def test_what_is_still_queued_is_not_lost(self):
        faults = f"lost {RUN} 7\nlost {RUN} 8 \nlost {OTHER} 7\ncorrupt {RUN} 9 0.1.5\n"
        found = self.counts({(RUN, 7), (OTHER, 7), (RUN, 50)}, faults, lost=3, delivered=96, corrupt=1)
        self.assertEqual((found["lost"], found["queued"], found["missing"]), (1, 2, 3))
        status, reasons = mta_delivery.verdict(found, False)
        self.assertEqual((status, reasons), ("fault", ["1 lost", "1 changed on the way"]))
        found = self.counts({(RUN, 7), (RUN, 8), (OTHER, 7)}, faults, lost=3, delivered=97)
        self.assertEqual(mta_delivery.verdict(found, False), ("unproven", ["3 still queued"]))

    def test_partial_ones_whose_rest_is_queued_are_not_at_fault(self):
        faults = f"partial {RUN} 3 0.1.5\npartial {RUN} 4 0.1.6\n"
        self.assertEqual(self.counts({(RUN, 3)}, faults, partial=2)["partial"], 1)
        self.assertEqual(self.counts(None, faults, partial=2)["partial"], 2)

    def test_a_queue_that_is_only_counted_or_not_even_that(self):
        self.assertEqual(mta_delivery.split_missing(5, set(), 0), (5, 0))
        self.assertEqual(mta_delivery.split_missing(5, set(), 3), (2, 3))
        self.assertEqual(mta_delivery.split_missing(5, set(), 9), (0, 5))
        self.assertEqual(mta_delivery.split_missing(5, set(), None), (None, None))
        self.assertEqual(mta_delivery.split_missing(0, set(), None), (0, 0))
        status, reasons = mta_delivery.verdict(self.counts(None, f"lost {RUN} 1\n", lost=1), False)
        self.assertEqual(status, "unproven")
        self.assertIn("1 not delivered", reasons[0])

    def test_every_fault_is_told(self):
        for name in ("lost", "duplicated", "corrupt", "partial", "bounced", "refused_present"):
            status, reasons = mta_delivery.verdict(self.counts(set(), **{name: 2}), False)
            self.assertEqual((status, len(reasons)), ("fault", 1), name)
        self.assertEqual(mta_delivery.verdict(self.counts(set(), expired=2), False)[0], "unproven")
        self.assertEqual(mta_delivery.verdict(self.counts(set(), acknowledged=0), False)[0], "fault")

    def test_behind_a_kill_duplicates_are_noted_and_losses_are_not_forgiven(self):
        self.assertEqual(mta_delivery.verdict(self.counts(set(), duplicated=2), True), ("fine", ["2 delivered more than once"]))
        self.assertEqual(mta_delivery.verdict(self.counts(set(), duplicated=2, lost=1), True)[0], "fault")

    def test_sink_counters_are_those_of_the_last_totals(self):
        text = ("open 1  messages 3  +3/s\ntotals after 1.0 s\n     1  messages answered 250\nready\ntotals after 2.0 s\n"
                "            41  connections accepted\n          2000  messages answered 250\n"
                "            40  connections that pipelined commands\n")
        found = mta_delivery.sink_counters(text)
        self.assertEqual([found[name] for name in ("connections", "messages", "pipelined_connections", "bdat_messages")], [41, 2000, 40, 0])

    def test_rates_and_times(self):
        times = mta_delivery.times(AUDIT, 60)
        self.assertEqual((times["accepting_s"], times["delivering_s"], times["draining_s"]), (2.0, 5.0, 3.0))
        self.assertEqual((times["accepted_per_s"], times["delivered_per_s"]), (50.0, 20.0))
        times = mta_delivery.times({**AUDIT, "clock": "none"}, 60)
        self.assertIsNone(times["draining_s"])
        self.assertAlmostEqual(times["delivering_s"], 4.9)

    def test_usage_is_what_came_between_the_looks(self):
        first = {"user_ns": 10, "system_ns": 20, "monotonic_ns": 0, "rss_bytes": 5, "pss_bytes": 4, "processes": 1, "read_bytes": 100,
                 "written_bytes": 7, "io_by": "processes", "by": "cgroup"}
        middle = {**first, "rss_bytes": 50, "processes": 9, "written_bytes": 107}
        last = {**first, "user_ns": 1010, "system_ns": 2020, "monotonic_ns": 6000, "written_bytes": 90}
        use = mta_delivery.usage([first, middle, last], 10)
        self.assertEqual((use["cpu_ns_per_message"], use["cpu_ratio"], use["rss_max_bytes"], use["processes_max"], use["written_bytes"]),
                         (300, 0.5, 50, 9, 100))
        self.assertIsNone(mta_delivery.usage([first], 10))


class Limit(unittest.TestCase):
    SEEN = mta_limit.Seen(accepted=2000, due=None, rate=None, load_s=2.0, delivered_in_load=1990, backlog_at_end=10, backlog_most=30,
                          drain_s=0.1, generator_busy=0.2, sink_busy=0.1, sink_refused=0)

    def who(self, **changed):
        return mta_limit.verdict(mta_limit.dataclasses.replace(self.SEEN, **changed))[0]

    def test_a_closed_loop(self):
        self.assertEqual(self.who(), "accepting")
        self.assertEqual(self.who(delivered_in_load=900, backlog_at_end=1100), "delivering")
        self.assertEqual(self.who(generator_busy=0.97), "generator")
        self.assertEqual(self.who(generator_busy=0.97, delivered_in_load=900, backlog_at_end=1100), "delivering")

    def test_a_rate(self):
        self.assertEqual(self.who(due=2000, rate=1000.0), "rate")
        self.assertEqual(self.who(due=2000, rate=1000.0, generator_busy=0.97), "rate")
        # All of it in the end, but far behind the schedule.
        self.assertEqual(self.who(due=2000, rate=4000.0), "accepting")
        self.assertEqual(self.who(due=4000, rate=2000.0), "accepting")
        self.assertEqual(self.who(due=4000, rate=2000.0, generator_busy=0.97), "generator")
        self.assertEqual(self.who(due=2000, rate=1000.0, backlog_at_end=800), "delivering")
        who, why = mta_limit.verdict(mta_limit.dataclasses.replace(self.SEEN, due=4000, rate=2000.0, backlog_at_end=800))
        self.assertEqual(who, "delivering")
        self.assertIn("It accepted less than the 2 000/s that were due, too", why)

    def test_the_sink(self):
        self.assertEqual(self.who(sink_refused=1, backlog_at_end=1000), "sink")
        self.assertEqual(self.who(sink_busy=0.95, backlog_at_end=1000), "sink")

    def test_nothing_accepted(self):
        self.assertEqual(self.who(accepted=0, load_s=None), "nobody")

    def test_a_busy_host_is_told_with_who_used_it(self):
        self.assertIsNone(mta_limit.machine(self.SEEN, {}))
        busy = mta_limit.dataclasses.replace(self.SEEN, host_busy=0.98)
        self.assertIn("98 % busy (postfix 150 %".replace(" %", "%"), mta_limit.machine(busy, {"postfix": 1.5, "loadgen": 0.1}))


class Histograms(unittest.TestCase):
    def test_a_real_one_is_read_as_its_writer_counts(self):
        with harness.Server("--durability", "discard") as server, tempfile.TemporaryDirectory() as home:
            path = os.path.join(home, "result.json")
            done = harness.run(harness.LOADGEN, "-q", "-n", "500", "-c", "5", "-l", "1k", "-o", path, f"127.0.0.1:{server.port}")
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(path) as file:
                latency = json.load(file)["latency"]["service"]
        slots = mta_histogram.decode(latency["hdr"])
        self.assertEqual(sum(count for _, _, count in slots), latency["count"])
        self.assertTrue(slots[0][0] <= latency["min_ns"] <= slots[0][1])
        self.assertTrue(slots[-1][0] <= latency["max_ns"] <= slots[-1][1])
        below = 0
        for low, high, count in slots:
            below += count
            if below >= latency["count"] / 2:
                self.assertTrue(low <= latency["percentiles_ns"]["50"] <= high)
                break
        rows = mta_histogram.rows(slots, 8)
        self.assertEqual((len(rows), sum(count for _, count in rows)), (8, latency["count"]))
        self.assertEqual([bound for bound, _ in rows], sorted(bound for bound, _ in rows))

    def test_no_samples_no_rows(self):
        self.assertEqual(mta_histogram.rows([], 8), [])


class Keeping(unittest.TestCase):
    def file(self, name, text, mode=0o600):
        path = os.path.join(self.home.name, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)

    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.addCleanup(self.home.cleanup)

    def queue(self, server):
        return {**server.QUEUE, "folders": [os.path.join(self.home.name, folder) for folder in server.QUEUE["folders"]]}

    def test_queued_messages_are_found_with_their_numbers(self):
        line = f"X-Loadgen: v1 run={RUN} seq=000000000042 size=0000000010 xxh3=0011223344556677"
        # Half received: not executable. Deferred ones lie in folders by the first letter of their name.
        self.file("queue/incoming/A1", line, 0o600)
        self.file("queue/active/B1", "envelope\0N" + line, 0o700)
        self.file("queue/deferred/C/C1", "Received: x\r\nX-Loadgen:\r\n\tv1 run=" + OTHER + " seq=000000000001 size=1 xxh3=0", 0o700)
        self.file("queue/active/D1", "no number", 0o700)
        queue = self.queue(mta_servers.Postfix)
        self.assertEqual(len(list(mta_keeper.queue_files(queue))), 3)
        self.assertEqual(mta_keeper.numbers_queued(queue), [(RUN, 42), (OTHER, 1)])

    def test_an_exim_message_is_two_files(self):
        for name in ("1x-1-D", "1x-1-H", "1x-2-D", "1x-1-J", "1x-3-H", "1x-3-J"):
            self.file("var-spool/exim4/input/" + name, "x")
        self.assertEqual(len(list(mta_keeper.queue_files(self.queue(mta_servers.Exim)))), 1)

    def test_an_opensmtpd_message_is_one_whatever_its_envelopes(self):
        for name in ("message", "0011223344556677", "0011223344556688"):
            self.file("var-spool/smtpd/queue/00/00112233/" + name, "x")
        self.assertEqual(len(list(mta_keeper.queue_files(self.queue(mta_servers.OpenSmtpd)))), 1)

    def test_processes_below_a_process(self):
        self.assertIn(os.getpid(), mta_keeper.descendants(os.getppid()))
        rss, pss = mta_keeper.rss_bytes([os.getpid()]), mta_keeper.pss_bytes([os.getpid()])
        self.assertTrue(0 < pss <= rss)


class Report(unittest.TestCase):
    PHASE = {"count": 100, "min_ns": 1, "max_ns": 9_000_000, "mean_ns": 2_000_000, "percentiles_ns": {"50": 1_500_000, "99": None},
             "delivered_before_accepted": 2}

    def result(self, **changed):
        """As a run makes it."""
        seconds = {"time_s": [0.0, 1.0, 2.0], "accepted": [50.0, 50.0, 0.0], "delivered": [20.0, 30.0, 50.0], "backlog": [30.0, 50.0, 0.0],
                   "p50_ms": [1.0, 2.0, None], "p99_ms": [None] * 3, "max_ms": [3.0, 4.0, 5.0]}
        found = mta_delivery.counts(AUDIT, {}, set())
        delivery = {
            "sink": "127.0.0.1:2600", "verdict": {"status": "fine", "reasons": []}, "drained": True, **found,
            **mta_delivery.times(AUDIT, 60),
            "mta": {"name": "postfix", "version": "3.7.11", "address": "127.0.0.1:2500", "queue_on": "ext4",
                    "settings": [{"name": "inet_protocols", "value": "ipv4", "default": "all", "why": "because"},
                                 {"name": "queue_directory", "value": "/x", "default": "", "why": mta_report.PLACE}],
                    "defaults": {"in_flow_delay": "1s"}},
            "limit": {"who": "accepting", "why": "the mail server's accepting", "machine": None},
            "clock": {"kind": "monotonic", "uncertainty_ns": 0, "reason": ""},
            "latency": {**self.PHASE, "hdr": self.hdr()},
            "seconds": seconds, "usage": None, "disk": None, "killed": None,
            "connections": {"connections": 5, "messages": 100, "pipelined_connections": 5, "bdat_messages": 0, "tls": "not offered",
                            "cpu_ratio": 0.01, "spool_in": "memory"}}
        delivery.update(changed)
        return {"config": {"loop": "closed", "rate_per_s": None, "connections": 20, "body": {"asked": "10k"}, "recipients": 1},
                "run": {"id": RUN}, "environment": {"cpus_online": 2, "cpu": "x", "kernel": "6.1"},
                "verdict": {"status": "valid", "reasons": []}, "phases": {"dot": self.PHASE}, "latency": {"service": self.PHASE},
                "totals": dict.fromkeys(("tempfail", "reject", "protocol", "timeout", "connection"), 0), "delivery": delivery}

    def text(self, **changed):
        return mta_report.text(self.result(**changed))

    @staticmethod
    def hdr():
        counts = bytes([4])  # slot 0, twice
        inner = struct.pack(">IIIIQQd", 0x1C849313, len(counts), 0, 3, 1, 1 << 40, 1.0) + counts
        packed = zlib.compress(inner)
        return base64.b64encode(struct.pack(">II", 0x1C849314, len(packed)) + packed).decode()

    def test_the_verdict_stands_before_any_number(self):
        lines = self.text().splitlines()
        self.assertRegex(lines[4], r"^VERDICT +NOTHING LOST: 100 accepted, 100 delivered: each once and unchanged$")
        self.assertRegex(lines[5], r"^limit +the mail server's accepting$")
        self.assertLessEqual(max(map(len, lines[4:])), 110)
        self.assertLess(len(lines), 50)

    def test_faults_and_losses_are_named(self):
        text = self.text(verdict={"status": "fault", "reasons": ["1 lost"]}, lost=1)
        self.assertRegex(text, r"VERDICT +WRONG: 100 accepted, 100 delivered: 1 lost\n")
        self.assertIn("lost 1, duplicated 0", text)

    def test_what_is_not_known_is_not_a_number(self):
        text = self.text(lost=None, queued=None, latency=None, clock={"kind": "none", "uncertainty_ns": None, "reason": "no probes"},
                         verdict={"status": "unproven", "reasons": ["3 not delivered"]})
        self.assertIn("lost not known", text)
        self.assertRegex(text, r"to delivered +not known: no probes")
        self.assertNotIn("backlog\n", text)

    def test_settings_and_defaults_are_stated(self):
        text = self.text()
        self.assertRegex(text, r"changed +inet_protocols = ipv4 \(default all\): because")
        self.assertRegex(text, r"places +addresses, folders and names of its own \(1\)")
        self.assertRegex(text, r"default +in_flow_delay 1s")

    def test_long_runs_have_a_dozen_rows(self):
        seconds = {"accepted": [10.0] * 100, "delivered": [5.0] * 100, "backlog": [float(value) for value in range(100)],
                   "time_s": [float(value) for value in range(100)]}
        rows = mta_report.gathered(seconds)
        self.assertLessEqual(len(rows), mta_report.ROWS)
        self.assertEqual((rows[0][0], rows[-1][1], rows[-1][4]), (0, 100, 99.0))
        self.assertEqual({(row[2], row[3]) for row in rows}, {(10.0, 5.0)})

    def test_a_table_has_a_row_a_run(self):
        one = self.result()
        other = copy.deepcopy(one)
        other["delivery"].update(lost=None, latency=None)
        lines = mta_report.table([one, other]).splitlines()
        self.assertEqual(len(lines), 3)
        self.assertRegex(lines[2], r"^ +2 +100 +100 +\? ")


class Usage(unittest.TestCase):
    def bench(self, *arguments, **options):
        return harness.run(sys.executable, os.path.join(SCRIPTS, "bench-mta"), "--build", harness.BUILD, *arguments, **options)

    def refused(self, words, *arguments):
        result = harness.run(sys.executable, os.path.join(SCRIPTS, "bench-mta"), *arguments)
        self.assertEqual(result.returncode, 2, f"{arguments}: {result.stderr}")
        self.assertIn(words, result.stderr)
        self.assertEqual(result.stdout, "")

    def test_what_is_wrong_is_said(self):
        self.refused("unknown mail server qmail: postfix, exim4, opensmtpd", "qmail")
        self.refused("one of postfix", "-n", "10")
        self.refused("wants --sink", "--mta", "127.0.0.1:25")
        self.refused("HOST:PORT is meant", "--mta", "mail.lab", "--sink", "25")
        self.refused("are for a mail server that bench-mta starts", "--mta", "127.0.0.1:25", "--sink", "2525", "--kill-at", "1s")
        self.refused("a time is meant", "postfix", "--kill-at", "soon")
        self.refused("a number from 1 on", "postfix", "--runs", "0")
        self.refused("NAME=VALUE is meant", "postfix", "--set", "in_flow_delay")
        self.refused("wants a value", "postfix", "--out")
        self.refused("--out DIR keeps it", "postfix", "--ledger", "x")
        self.refused("only mail can be audited", "postfix", "--scenario=idle")

    def test_help(self):
        result = harness.run(sys.executable, os.path.join(SCRIPTS, "bench-mta"), "--help")
        self.assertEqual(result.returncode, 0)
        self.assertIn("--kill-at T", result.stdout)
        self.assertLessEqual(max(map(len, result.stdout.splitlines())), 140)

    def test_what_loadgen_does_not_take(self):
        for options, words in ((("--no-such-option",), "unknown option --no-such-option"), (("127.0.0.1:2500",), "one target, please")):
            result = self.bench("--mta", f"127.0.0.1:{harness.free_port()}", "--sink", str(harness.free_port()), *options)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(words, result.stderr)

    def test_a_port_where_nobody_listens(self):
        port, sink = harness.free_port(), harness.free_port()
        result = self.bench("--mta", f"127.0.0.1:{port}", "--sink", str(sink), "-n", "5", "--drain-limit", "1s")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("nothing was accepted", result.stdout + result.stderr)

    def test_neither_root_nor_sudo(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become somebody who has no sudo")
        # What Python needs may be where only root can read: it is loaded before.
        script = ("import os, runpy, sys; sys.path.insert(0, sys.argv[1]); bench = runpy.run_path(sys.argv[1] + '/bench-mta'); "
                  "os.setgroups([]); os.setgid(65534); os.setuid(65534); os.environ['PATH'] = '/nonexistent'; "
                  "sys.argv = ['bench-mta', 'postfix']; bench['main']()")
        result = harness.run(sys.executable, "-c", script, SCRIPTS)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("needs root or sudo", result.stderr)

    def test_a_build_that_is_not_there(self):
        result = harness.run(sys.executable, os.path.join(SCRIPTS, "bench-mta"), "--build", "/nonexistent", "--mta", "127.0.0.1:25",
                             "--sink", "2525")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("/nonexistent has no ringsink", result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
