"""What makes room and when: the bound at a restart with other sizes, a disk that others filled to its last block."""
import fcntl
import glob
import os
import re
import subprocess
import tempfile
import time
import unittest

import harness
import test_full_disks


def used_bytes(spool):
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(spool) for name in names
               if name.endswith(".seg"))


def larger_than(spool, size):
    """How many segment files are."""
    return sum(os.path.getsize(path) > size for path in glob.glob(os.path.join(spool, "w*", "*.seg")))


def load(server, ledger, count, *options):
    return harness.run(harness.LOADGEN, "-q", "-c", 10, "-n", count, "-l", "20k", "--ledger", ledger, *options,
                       f"127.0.0.1:{server.port}")


class Recycling(unittest.TestCase):
    def test_another_segment_size(self):
        """The bound holds when segments of an earlier run are smaller, or larger, or more than it allows now."""
        with tempfile.TemporaryDirectory() as home:
            spool = os.path.join(home, "spool")
            ledgers = []
            for segment_mib, spool_mib in ((1, 24), (4, 24), (1, 24), (2, 12)):
                ledgers.append(os.path.join(home, f"ledger{len(ledgers)}"))
                with harness.Server(f"--segment-size={segment_mib}Mi", f"--spool-size={spool_mib}Mi", spool=spool,
                                    threads=1) as server:
                    self.assertLessEqual(used_bytes(spool), spool_mib << 20)
                    self.assertEqual(load(server, ledgers[-1], 2000).returncode, 0)
                    self.assertLessEqual(used_bytes(spool), spool_mib << 20)
                    self.assertEqual(server.stop(), 0, server.output())
            audit = harness.run(harness.RINGSPOOL, "audit", spool, *ledgers)
            self.assertIn(audit.returncode, (0, 3), audit.stdout + audit.stderr)
            self.assertRegex(audit.stdout, r"(?m)^lost +0$")

    def test_a_reader_of_larger_segments(self):
        """Files that a ringspool has mapped are replaced by smaller segments, not cut: it can read every page."""
        with tempfile.TemporaryDirectory() as home:
            spool, mail = os.path.join(home, "spool"), os.path.join(home, "mail")
            options = ("--spool-size=24Mi", "--when-full=recycle")
            with harness.Server("--segment-size=4Mi", *options, spool=spool, threads=1) as server:
                self.assertEqual(load(server, os.path.join(home, "ledger"), 800).returncode, 0)
                self.assertEqual(server.stop(), 0)
            before = larger_than(spool, 1 << 20)
            listed = harness.run(harness.RINGSPOOL, "list", spool).stdout.splitlines()
            os.mkdir(mail)
            with open(os.path.join(mail, re.findall(r"<([^>]*)>", listed[0])[1]), "wb") as locked:
                fcntl.lockf(locked, fcntl.LOCK_EX) # it has all mapped when it comes to deliver the first message
                reader = subprocess.Popen([harness.RINGSPOOL, "export", spool, "--to", f"mbox:{mail}"],
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                self.addCleanup(reader.kill)
                time.sleep(0.5 * harness.SLOWNESS)
                with harness.Server("--segment-size=1Mi", *options, spool=spool, threads=1) as server:
                    self.assertEqual(load(server, os.path.join(home, "ledger2"), 800).returncode, 0)
                    self.assertEqual(server.stop(), 0)
            self.assertLess(larger_than(spool, 1 << 20), before / 2)
            output, errors = reader.communicate(timeout=60)
            self.assertEqual((reader.returncode, errors), (0, ""))
            self.assertIn(f"{len(listed)} messages, {len(listed)} delivered", output)


@unittest.skipIf(os.geteuid() != 0, "mounting file systems takes root")
class LastBlock(unittest.TestCase):
    """Others fill the disk to its last block: recycling goes on, and trim works."""

    def fill(self, path):
        with open(os.path.join(path, "filler"), "wb", buffering=0) as filler:
            for size in (1 << 20, 4096, 1):
                try:
                    while filler.write(b"x" * size) == size:
                        pass
                except OSError:
                    pass
        os.sync()

    def check(self, kind, size_mib, *options):
        with test_full_disks.Mount(kind, size_mib) as mount:
            spool = os.path.join(mount.path, "spool")
            ledger = os.path.join(mount.home, "ledger")
            with harness.Server("--segment-size=1Mi", "--spool-size=24Mi", *options, spool=spool, threads=1) as server:
                self.assertEqual(load(server, ledger, 600).returncode, 0)
                self.fill(mount.path)
                self.assertEqual(load(server, ledger + "2", 2000).returncode, 0, server.output())
                self.assertNotIn("no segment can be made", server.output())
                self.assertEqual(server.stop(), 0)
            trim = harness.run(harness.RINGSPOOL, "trim", spool, "--keep", "4Mi")
            self.assertEqual(trim.returncode, 0, trim.stderr)
            audit = harness.run(harness.RINGSPOOL, "audit", spool, ledger, ledger + "2")
            self.assertEqual(audit.returncode, 3, audit.stdout + audit.stderr)
            self.assertRegex(audit.stdout, r"(?m)^lost +0$")

    def test_ext4(self):
        self.check("ext4", 64)
        self.check("ext4", 64, "--durability", "disk", "--when-full", "recycle")

    def test_xfs(self):
        self.check("xfs", 320)

    def test_btrfs(self):
        self.check("btrfs", 160)


if __name__ == "__main__":
    unittest.main()
