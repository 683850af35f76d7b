"""What a crash leaves unsealed is read once, told in one line, and sealed; what can't be, stays and stops nothing."""
import os
import re
import subprocess
import tempfile
import time
import unittest

import harness

RECOVERED = r"recovered (w\d\d/\d{10}\.seg): ([\d ]+) messages?"
HEADER = 4096


def wait_for(server, pattern, seconds=5):
    end = time.monotonic() + seconds
    while not re.search(pattern, server.output()):
        if time.monotonic() > end:
            raise AssertionError(f"{pattern} not in: {server.output()}")
        time.sleep(0.02)


def verify(spool):
    done = harness.run(harness.RINGSPOOL, "verify", spool)
    counts = dict(re.findall(r"(?m)^([a-z]+(?: [a-z]+)*) +(\d+)", done.stdout))
    return done.returncode, {name: int(value) for name, value in counts.items()}, done.stdout


class Recovery(unittest.TestCase):
    def crashed(self, spool, messages):
        """A server of one worker that took so many messages and was killed: its only segment in use."""
        with harness.Server("--segment-size=1Mi", "--spool-size=8Mi", spool=spool, threads=1) as server:
            with server.connect() as client:
                client.begin()
                for number in range(messages):
                    self.assertTrue(client.deliver(b"number %04d, " % number + b"x" * 300 + b"\r\n").startswith(b"250"))
            server.kill()
        return os.path.join(spool, "w00", "0000000001.seg")

    def restarted(self, spool, pattern, *options):
        with harness.Server("--segment-size=1Mi", "--spool-size=8Mi", *options, spool=spool, threads=1) as server:
            wait_for(server, pattern)
            self.assertEqual(server.stop(), 0)
            return server.output()

    def test_killed_under_load(self):
        with tempfile.TemporaryDirectory() as home:
            spool = os.path.join(home, "spool")
            ledger = os.path.join(home, "ledger")
            for durability in ("page", "disk"):
                options = ("--durability", durability, "--spool-size=256Mi", "--segment-size=4Mi")
                with harness.Server(*options, spool=spool) as server:
                    load = subprocess.Popen([harness.LOADGEN, "-q", "-c", "20", "-d", "2s", "-l", "2k", "--ledger",
                                             ledger, f"127.0.0.1:{server.port}"], stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL)
                    time.sleep(1)
                    server.kill()
                    load.wait(60)
                with harness.Server(*options, spool=spool) as server:
                    wait_for(server, RECOVERED)
                    time.sleep(0.3)
                    names = [name for name, _ in re.findall(RECOVERED, server.output())]
                    self.assertTrue(0 < len(names) <= 6, server.output())
                    server.kill()
                with harness.Server(*options, spool=spool) as server: # nothing was begun: nothing is to be recovered
                    time.sleep(0.5)
                    self.assertNotIn("recovered", server.output())
                status, counts, text = verify(spool)
                self.assertEqual(status, 0, text)
                self.assertGreater(counts["messages"], 100)
                audit = harness.run(harness.RINGSPOOL, "audit", spool, ledger)
                self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)

    def test_recovered_then_recycled(self):
        """The time in the seal that recovery wrote: what left with the segment is expired, nothing is lost."""
        with tempfile.TemporaryDirectory() as home:
            spool = os.path.join(home, "spool")
            ledger = os.path.join(home, "ledger")
            options = ("--spool-size=12Mi", "--segment-size=1Mi")
            with harness.Server(*options, spool=spool) as server:
                load = subprocess.Popen([harness.LOADGEN, "-q", "-c", "8", "-d", "1s", "-l", "1k", "--ledger", ledger,
                                         f"127.0.0.1:{server.port}"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
                time.sleep(0.5)
                server.kill()
                load.wait(60)
            with harness.Server(*options, spool=spool) as server:
                wait_for(server, RECOVERED)
                done = harness.run(harness.LOADGEN, "-q", "-c", "8", "-n", "30000", "-l", "2k",
                                   f"127.0.0.1:{server.port}")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(server.stop(), 0)
            audit = harness.run(harness.RINGSPOOL, "audit", spool, ledger)
            self.assertEqual(audit.returncode, 3, audit.stdout + audit.stderr)
            self.assertRegex(audit.stdout, r"(?m)^found +0$")
            self.assertRegex(audit.stdout, r"(?m)^lost +0$")

    def test_torn_and_damaged(self):
        with tempfile.TemporaryDirectory() as spool:
            path = self.crashed(spool, 20)
            with open(path, "r+b") as segment:
                octets = segment.read()
                hole, torn = (octets.index(b"number %04d" % number) for number in (7, 19))
                for place in (hole, torn):
                    segment.seek(place)
                    segment.write(b"?")
            output = self.restarted(spool, r"warning: " + RECOVERED)
            self.assertRegex(output, r"0000000001\.seg: 18 messages up to offset \d+; damaged at offset \d+ \(\d+ octets, "
                                     r"1 place\); torn at offset \d+ \(\d+ octets\): a message that was never acknowledged")
            self.assertIn("ringspool verify", output)
            status, counts, text = verify(spool)
            self.assertEqual(status, 1, text)
            self.assertEqual((counts["messages"], counts["damaged places"], counts["torn"]), (18, 1, 0), text)
            with harness.Server("--segment-size=1Mi", "--spool-size=8Mi", spool=spool, threads=1) as server:
                time.sleep(0.3)
                self.assertNotIn("recovered", server.output())

    def test_lost_mark(self):
        """The mark that a segment was begun is gone: what is in it must not be taken for a segment never used."""
        with tempfile.TemporaryDirectory() as spool:
            path = self.crashed(spool, 5)
            with open(path, "r+b") as segment:
                segment.seek(64)
                segment.write(bytes(24))
            self.restarted(spool, r"0000000001\.seg: 5 messages")
            self.assertEqual(len(harness.listed(spool)), 5)

    def test_header_gone(self):
        with tempfile.TemporaryDirectory() as spool:
            path = self.crashed(spool, 5)
            with open(path, "r+b") as segment:
                segment.write(bytes(HEADER))
            output = self.restarted(spool, r"ready")
            self.assertNotIn("recovered", output)
            self.assertTrue(os.path.exists(path))
            self.assertEqual(verify(spool)[0], 1)

    def test_cut_short(self):
        with tempfile.TemporaryDirectory() as spool:
            path = self.crashed(spool, 20)
            with open(path, "rb") as segment:
                cut = segment.read().index(b"number 0010")
            os.truncate(path, cut)
            self.restarted(spool, r"0000000001\.seg: 10 messages")
            self.assertEqual(len(harness.listed(spool)), 10)

    @unittest.skipIf(os.geteuid() != 0, "what root may do is tried")
    def test_file_that_takes_no_seal(self):
        with tempfile.TemporaryDirectory() as spool:
            path = self.crashed(spool, 5)
            if harness.run("chattr", "+i", path).returncode != 0:
                self.skipTest("this file system has no immutable files")
            try:
                output = self.restarted(spool, r"0000000001\.seg, which a crash left, can't be sealed")
                self.assertIn("Operation not permitted", output)
            finally:
                harness.run("chattr", "-i", path)
            self.assertEqual(len(harness.listed(spool)), 5)
            self.restarted(spool, r"0000000001\.seg: 5 messages")


if __name__ == "__main__":
    unittest.main()
