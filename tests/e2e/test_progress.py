"""loadgen's progress: a block on a terminal, an object a second, and a second Ctrl-C that stops at once."""
import json
import os
import pty
import signal
import subprocess
import tempfile
import time
import unittest

import harness


class Progress(unittest.TestCase):
    def setUp(self):
        self.server = harness.Server("--durability", "discard")
        self.addCleanup(self.server.close)
        self.target = f"127.0.0.1:{self.server.port}"

    def test_a_block_on_a_terminal_is_rewritten_in_place(self):
        master, slave = pty.openpty()
        process = subprocess.Popen([harness.LOADGEN, "--progress", "block", "-R", "300", "-d", "3s", "--warmup", "0", "-c", "5",
                                    "-l", "200", self.target], stdout=subprocess.DEVNULL, stderr=slave)
        os.close(slave)
        text = b""
        try:
            while True:
                text += os.read(master, 65536)
        except OSError:  # the other end is closed
            pass
        os.close(master)
        self.assertEqual(process.wait(30), 0)
        text = text.decode()
        self.assertEqual(text.count("ok/s "), text.count("\x1b[5A") + 1)
        self.assertGreaterEqual(text.count("ok/s "), 2)
        self.assertRegex(text, "ok/s [\u2581-\u2588]{2}")
        self.assertRegex(text, r"\[#+-+\]")
        self.assertRegex(text, r"response p99 (\d|-)")

    def test_an_object_a_second(self):
        result = harness.run(harness.LOADGEN, "-q", "--progress", "json", "-R", "300", "-d", "3s", "--warmup", "500ms", "-c", "5",
                             "-l", "200", "-o", "-", self.target)
        self.assertEqual(result.returncode, 0)
        objects = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
        intervals = json.loads(result.stdout)["intervals"]
        self.assertGreaterEqual(len(objects), 3)
        for index, one in enumerate(objects):
            for name, value in one.items():
                if name != "busy_ratio":
                    self.assertEqual(value, intervals[name][index], name)

    def test_labels_are_kept(self):
        with tempfile.TemporaryDirectory() as home:
            path = os.path.join(home, "run.json")
            options = ("-q", "-n", "10", "-l", "200", "-o", path)
            result = harness.run(harness.LOADGEN, *options, "--label", "mta=postfix 3.7,disk=nvme=2", self.target)
            self.assertEqual(result.returncode, 0, result.stderr)
            with open(path) as file:
                self.assertEqual(json.load(file)["run"]["labels"], {"mta": "postfix 3.7", "disk": "nvme=2"})
            for wrong in ("mta", "=x", "a=b,", "a=b,c"):
                result = harness.run(harness.LOADGEN, *options, "--label", wrong, self.target)
                self.assertEqual(result.returncode, 2, wrong)
                self.assertIn("--label", result.stderr)

    def test_one_interrupt_reports_and_two_stop(self):
        for signals in (1, 2):
            with tempfile.TemporaryDirectory() as home:
                path = os.path.join(home, "run.json")
                stuck = ("-R", "50", "-c", "5") if signals == 1 else ("-c", "2")
                process = subprocess.Popen([harness.LOADGEN, "-q", *stuck, "-l", "200", "-d", "60s", "--warmup", "0", "-o", path,
                                            self.target], stdout=subprocess.PIPE, text=True)
                time.sleep(1.5)
                if signals == 2:  # nobody answers any more, so that the first one waits for what is in flight
                    self.server.process.send_signal(signal.SIGSTOP)
                    self.addCleanup(self.server.process.send_signal, signal.SIGCONT)
                    time.sleep(0.2)
                process.send_signal(signal.SIGINT)
                if signals == 2:
                    time.sleep(0.6)
                    self.assertIsNone(process.poll())
                    begin = time.monotonic()
                    process.send_signal(signal.SIGINT)
                output, _ = process.communicate(timeout=30)
                self.assertEqual(process.returncode, 130)
                if signals == 2:
                    self.assertLess(time.monotonic() - begin, 3)
                    continue
                self.assertIn("ABORTED", output)
                with open(path) as file:
                    result = json.load(file)
                self.assertTrue(result["run"]["aborted"])
                self.assertGreater(result["totals"]["accepted"], 20)


if __name__ == "__main__":
    unittest.main()
