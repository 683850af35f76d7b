"""scripts/bench-mta with real mail servers: what comes out of Postfix, a kill -9 in the middle, a server that was there before."""
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import harness
import test_relayed_audit
import test_result_files

# bench-mta with a Postfix that forgets three messages when it is killed.
FORGETFUL = """
import os, runpy, subprocess, sys
sys.path.insert(0, os.path.dirname(sys.argv[1]))
import mta_servers
kill = mta_servers.Postfix.kill
def kill_and_forget(server):
    killed = kill(server)
    folder = os.path.join(server.home.path, "queue", "deferred")
    found = subprocess.run(mta_servers.peers.as_root("find", folder, "-type", "f"), stdout=subprocess.PIPE, text=True, check=True)
    subprocess.run(mta_servers.peers.as_root("rm", *found.stdout.split()[:3]), check=True)
    return killed
mta_servers.Postfix.kill = kill_and_forget
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "bench-mta")


class Relay(test_relayed_audit.Relay):
    """One that is there before the sink is."""

    def deliver_all(self):
        while self.waiting.empty():
            time.sleep(0.01)
        try:
            super().deliver_all()
        except OSError:
            pass  # of close(): the sink is gone, and there was nothing for this thread


class Benchmarked(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.addCleanup(self.home.cleanup)

    def path(self, *names):
        return os.path.join(self.home.name, *names)

    def bench(self, *arguments, status=0):
        """(what it printed, its result)."""
        done = harness.run(sys.executable, BENCH, "--build", harness.BUILD, "--out", self.home.name, *arguments, timeout=200)
        self.assertEqual(done.returncode, status, f"{done.stdout}{done.stderr}")
        with open(self.path("result.json")) as file:
            return done.stdout, json.load(file)

    def assert_nothing_left(self):
        """No process of the run's is left, and no control group."""
        for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            if os.path.isdir(root):
                self.assertEqual([name for name in os.listdir(root) if name.startswith("bench-mta-")
                                  and not os.path.exists("/proc/" + name.rpartition("-")[2])], [])


class ThroughPostfix(Benchmarked):
    def test_what_goes_in_comes_out(self):
        text, result = self.bench("postfix", "-n", "500", "--label", "test=1")
        found = result["delivery"]
        self.assertEqual({name: found[name] for name in ("accepted", "delivered", "lost", "queued", "duplicated", "corrupt", "partial",
                                                         "bounced", "refused_present", "unknown")},
                         {"accepted": 500, "delivered": 500, "lost": 0, "queued": 0, "duplicated": 0, "corrupt": 0, "partial": 0,
                          "bounced": 0, "refused_present": 0, "unknown": 0})
        self.assertRegex(text, r"\nVERDICT +NOTHING LOST: 500 accepted, 500 delivered: each once and unchanged\n")
        self.assertEqual((found["clock"]["kind"], found["latency"]["count"], found["drained"]), ("monotonic", 500, True))
        self.assertGreater(found["latency"]["percentiles_ns"]["50"], 0)
        # Every message was on its way once: through the sink's counters, and second by second.
        self.assertEqual((found["connections"]["messages"], sum(found["seconds"]["delivered"])), (500, 500))
        self.assertGreater(found["connections"]["pipelined_connections"], 0)
        with open(self.path("delivery.csv"), newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual((sum(int(row["accepted"]) for row in rows), int(rows[-1]["backlog"])), (500, 0))
        # 500 messages of 10 KB were written, by processes whose CPU time was not lost.
        self.assertGreater(found["usage"]["written_bytes"], 500 * 10000)
        self.assertGreater(found["usage"]["cpu_ns_per_message"], 100_000)
        [watch] = result["watch"]
        self.assertRegex(watch["what"], r"^(cgroup|pid):")
        self.assertEqual({item["name"]: item["value"] for item in found["mta"]["settings"]}["inet_protocols"], "ipv4")
        self.assertEqual(found["mta"]["defaults"]["in_flow_delay"], "1s")
        self.assert_kept(result)
        self.assert_nothing_left()

    def assert_kept(self, result):
        """The result is in the form of loadgen's, which reads it again."""
        [errors] = test_result_files.node(test_result_files.VALIDATE, test_result_files.SCHEMA, self.path("result.json"))
        self.assertEqual([(error["instancePath"], error["message"]) for error in errors], [])
        del result["delivery"]["lost"]
        with open(self.path("wrong.json"), "w") as file:
            json.dump(result, file)
        [errors] = test_result_files.node(test_result_files.VALIDATE, test_result_files.SCHEMA, self.path("wrong.json"))
        self.assertIn("must have required property 'lost'", [error["message"] for error in errors])
        with open(self.path("load.txt")) as file:
            self.assertEqual(harness.run(harness.LOADGEN, "report", self.path("result.json")).stdout, file.read())
        with open(self.path("mta.log")) as log, open(self.path("mta.configuration")) as configuration:
            self.assertEqual(log.read().count("status=sent"), 500)
            self.assertIn("relayhost = [127.0.0.1]", configuration.read())
        self.assertEqual(os.path.getsize(self.path("faults")), 0)

    def test_killed_in_the_middle_it_keeps_what_it_acknowledged(self):
        text, result = self.bench("postfix", "--kill-at", "1s", "-R", "80", "-d", "3s", "-c", "5", "--ramp", "0")
        found = result["delivery"]
        self.assertGreater(found["killed"]["processes"], 3)
        self.assertGreater(found["accepted"], 100)
        self.assertEqual((found["accepted"], found["lost"], found["queued"], found["corrupt"]), (found["delivered"], 0, 0, 0))
        self.assertRegex(text, r"\nkilled +\d+ processes by -9, 1\.\d s after the load began")
        # loadgen lost its connections and came back.
        self.assertGreater(result["totals"]["reconnects"], 0)

    def test_what_vanishes_from_the_queue_is_lost_and_the_rest_is_not(self):
        done = harness.run(sys.executable, "-c", FORGETFUL, BENCH, "--build", harness.BUILD, "--out", self.home.name, "postfix", "--kill-at",
                           "2s", "-R", "50", "-d", "3s", "-c", "5", "--ramp", "0", "--set", "defer_transports=smtp", "--drain-limit", "0s")
        self.assertEqual(done.returncode, 1, f"{done.stdout}{done.stderr}")
        with open(self.path("result.json")) as file:
            found = json.load(file)["delivery"]
        # One whose reply the kill cut off was never acknowledged.
        self.assertTrue(max(3 - found["unknown"], 1) <= found["lost"] <= 3)
        self.assertEqual((found["delivered"], found["queued"]), (0, found["accepted"] - found["lost"]))
        self.assertFalse(found["drained"])
        self.assertRegex(done.stdout, rf"\nVERDICT +WRONG: \d+ accepted, 0 delivered: {found['lost']} lost\n")

    def test_an_interrupt_ends_the_load_and_reports(self):
        process = subprocess.Popen([sys.executable, BENCH, "--build", harness.BUILD, "--out", self.home.name, "postfix", "-d", "60s", "-R",
                                    "50"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        lines = []
        for line in process.stderr:
            lines.append(line)
            if " accepted " in line:
                break
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        text, rest = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, f"{text}{lines}{rest}")
        self.assertRegex(text, r"\nVERDICT +(NOTHING LOST|NOT PROVEN): \d+ accepted, \d+ delivered")
        self.assert_nothing_left()


    def test_a_second_interrupt_ends_everything(self):
        os.chmod(self.home.name, 0o755)  # the server's users go through it
        process = subprocess.Popen([sys.executable, BENCH, "--build", harness.BUILD, "postfix", "-d", "60s", "-R", "50"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, "RINGSINK_BENCH_DIR": self.home.name})
        self.addCleanup(process.kill)
        for line in process.stderr:
            if " accepted " in line:
                break
        # Two of one kind could become one.
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        text, rest = process.communicate(timeout=60)
        self.assertEqual((process.returncode, text), (130, ""), rest)
        self.assertIn("bench-mta: interrupted", rest)
        self.assertEqual(os.listdir(self.home.name), [])
        self.assert_nothing_left()


class ThroughAnother(Benchmarked):
    def test_a_server_that_keeps_what_it_accepts(self):
        """Without knowing its queue nothing can be said of what is missing; asked for it, all is lost."""
        with harness.Server("--durability", "discard") as server:
            sink = harness.free_port()
            arguments = ("--mta", f"127.0.0.1:{server.port}", "--sink", str(sink), "-n", "20", "--drain-limit", "1s")
            text, result = self.bench(*arguments, status=3)
            found = result["delivery"]
            self.assertEqual([found[name] for name in ("accepted", "delivered", "missing", "lost", "queued")], [20, 0, 20, None, None])
            self.assertIn("20 not delivered: lost or still queued", text.replace("\n" + " " * 17, " "))
            [errors] = test_result_files.node(test_result_files.VALIDATE, test_result_files.SCHEMA, self.path("result.json"))
            self.assertEqual(errors, [])
            _, result = self.bench(*arguments, "--queue", "echo 0", status=1)
            self.assertEqual((result["delivery"]["lost"], result["delivery"]["queued"]), (20, 0))
            _, result = self.bench(*arguments, "--queue", "echo Mail queue: 20 messages", status=3)
            self.assertEqual((result["delivery"]["lost"], result["delivery"]["queued"]), (0, 20))

    def test_what_a_server_does_wrong_is_named_message_by_message(self):
        sink = harness.free_port()
        relay = Relay(sink, {7: "drop", 19: "alter", 30: "twice", 51: "refuse", 60: "bounce", 88: 0.3})
        self.addCleanup(relay.close)
        text, result = self.bench("--mta", relay.address, "--sink", str(sink), "-n", "100", "-c", "5", "--queue", "echo 0", "--drain-limit",
                                  "5s", status=1)
        found = result["delivery"]
        self.assertEqual({name: found[name] for name in ("accepted", "delivered", "lost", "queued", "duplicated", "corrupt", "bounced",
                                                         "refused_present")},
                         {"accepted": 99, "delivered": 97, "lost": 2, "queued": 0, "duplicated": 1, "corrupt": 1, "bounced": 1,
                          "refused_present": 1})
        with open(self.path("faults")) as lines:
            self.assertEqual([tuple(line.split()[::2][:2]) for line in lines],
                             [("lost", "7"), ("corrupt", "19"), ("duplicated", "30"), ("refused-present", "51"), ("lost", "60")])
        self.assertRegex(text, r"\nVERDICT +WRONG: 99 accepted, 97 delivered: 2 lost; 1 delivered more than once; 1 changed")

    def test_a_sink_that_is_its_own_server(self):
        """loadgen straight into the sink: accepted is delivered, and nothing lies between."""
        sink = harness.free_port()
        _, result = self.bench("--mta", f"127.0.0.1:{sink}", "--sink", str(sink), "-n", "200")
        found = result["delivery"]
        self.assertEqual((found["accepted"], found["delivered"], found["lost"], found["drained"]), (200, 200, 0, True))
        self.assertIsNone(found["usage"])

    def test_a_queue_command_that_tells_no_number(self):
        with harness.Server("--durability", "discard") as server:
            done = harness.run(sys.executable, BENCH, "--build", harness.BUILD, "--mta", f"127.0.0.1:{server.port}", "--sink",
                               str(harness.free_port()), "-n", "20", "--queue", "false")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--queue false: exit 1", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
