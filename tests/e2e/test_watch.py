"""loadgen --watch: the server's processes, second by second."""
import csv
import json
import os
import subprocess
import sys
import tempfile
import unittest

import harness

# Uses half a CPU and 40 MB; its parent's parent is the one that is watched.
CHILD = """
import time
kept = bytearray(b"x") * (40 << 20)
while True:
    end = time.process_time() + .05
    while time.process_time() < end:
        pass
    time.sleep(.05)
"""
PARENT = "import subprocess, sys; subprocess.run(['sh', '-c', sys.executable + ' -c \"$0\"; true', sys.argv[1]])"


class Watch(unittest.TestCase):
    def setUp(self):
        self.server = harness.Server("--durability", "discard")
        self.addCleanup(self.server.close)

    def load(self, what, *options):
        with tempfile.TemporaryDirectory() as home:
            path = os.path.join(home, "run")
            result = harness.run(harness.LOADGEN, "-q", "-R", "200", "-d", "3s", "--warmup", "0", "-c", "5", "-l", "500", "--watch",
                                 what, "-o", path + ".json", "--csv", path + ".csv", *options, f"127.0.0.1:{self.server.port}")
            if result.returncode != 0:
                return result, None, None
            with open(path + ".json") as file, open(path + ".csv", newline="") as rows:
                again = harness.run(harness.LOADGEN, "report", path + ".json")
                self.assertEqual(again.stdout, result.stdout)
                return result, json.load(file), list(csv.DictReader(rows))

    def family(self):
        process = subprocess.Popen([sys.executable, "-c", PARENT, CHILD], start_new_session=True)
        def end():
            os.killpg(process.pid, 9)
            process.wait()
        self.addCleanup(end)
        return process.pid

    def test_a_process_and_its_descendants(self):
        pid = self.family()
        result, saved, rows = self.load(f"pid:{self.server.process.pid},pid:{pid}")
        self.assertEqual(result.returncode, 0, result.stderr)
        server, family = saved["watch"]
        self.assertEqual(server["what"], f"pid:{self.server.process.pid}")
        self.assertEqual(server["t_ns"], saved["intervals"]["t_ns"])
        whole = [value for value in family["cpu_ratio"][1:3]]
        self.assertGreater(max(whole), 0.05)  # the machine may be busy with other things
        self.assertLess(max(whole), 1.1)
        self.assertGreater(family["rss_bytes"][1], 40 << 20)
        self.assertGreater(server["rss_bytes"][1], 1 << 20)
        self.assertRegex(result.stdout, rf"watched      pid:{pid}: cpu \d+ % \(of \d+ %\), most \d+ %\n +rss .*, most .*")
        self.assertEqual(rows[1]["watch2_rss_bytes"], str(family["rss_bytes"][1]))
        self.assertAlmostEqual(float(rows[1]["watch2_cpu"]), family["cpu_ratio"][1], places=2)

    def remove(self, group):
        try:
            os.remove(os.path.join(group, "cgroup.procs"))  # where no groups are mounted it is a file like any other
        except OSError:
            pass
        os.rmdir(group)

    def test_the_processes_of_a_control_group(self):
        group = f"/sys/fs/cgroup/ringsink-test-{os.getpid()}.service"
        try:
            os.mkdir(group)
            self.addCleanup(self.remove, group)
            below = os.path.join(group, "below")
            os.mkdir(below)
            self.addCleanup(self.remove, below)
            process = subprocess.Popen([sys.executable, "-c", CHILD])
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            with open(os.path.join(below, "cgroup.procs"), "w") as file:
                file.write(str(process.pid))
        except OSError as error:
            self.skipTest(f"no control groups of one's own here: {error}")
        name = os.path.basename(group)
        result, saved, _ = self.load(f"unit:{name[:-len('.service')]},cgroup:{below},cgroup:{name}/below")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(saved["watch"]), 3)
        for watch in saved["watch"]:
            self.assertGreater(max(watch["cpu_ratio"][1:3]), 0.05)
            self.assertGreater(watch["rss_bytes"][1], 40 << 20)

    def test_what_ends_is_not_known_any_more(self):
        process = subprocess.Popen(["sleep", "1"])
        _, saved, rows = self.load(f"pid:{process.pid}")
        process.wait()
        [watch] = saved["watch"]
        self.assertIn(None, watch["cpu_ratio"])
        self.assertEqual(rows[-1]["watch1_cpu"], "")

    def test_what_is_not_there_is_refused(self):
        for what in ("pid:999999999", "pid:", "pid:1x", "unit:no-such-unit-anywhere", "unit:", "cgroup:", "cgroup:no-such-group",
                     "cgroup:/tmp", "rss", "pid:1,pid:1,pid:1,pid:1,pid:1"):
            result, _, _ = self.load(what)
            self.assertEqual(result.returncode, 2, what)
            self.assertIn("--watch", result.stderr)


if __name__ == "__main__":
    unittest.main()
