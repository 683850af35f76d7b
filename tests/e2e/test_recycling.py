"""What makes room and when: the bound at a restart with other sizes, a disk that others filled to its last block."""
import os
import subprocess
import tempfile
import unittest

import harness
import test_full_disks


def used_bytes(spool):
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(spool) for name in names
               if name.endswith(".seg"))


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
        """A ringspool that is reading while its files become smaller segments ends well."""
        with tempfile.TemporaryDirectory() as home:
            spool = os.path.join(home, "spool")
            with harness.Server("--segment-size=8Mi", "--spool-size=64Mi", spool=spool, threads=1) as server:
                self.assertEqual(load(server, os.path.join(home, "ledger"), 2500).returncode, 0)
                self.assertEqual(server.stop(), 0)
            with harness.Server("--segment-size=1Mi", "--spool-size=64Mi", spool=spool, threads=1) as server:
                reader = subprocess.Popen([harness.RINGSPOOL, "export", spool, "--to", f"eml:{home}/mails"],
                                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                self.assertEqual(load(server, os.path.join(home, "ledger2"), 2500).returncode, 0)
                output, _ = reader.communicate(timeout=60)
                self.assertIn(reader.returncode, (0, 1, 3), output)
                self.assertNotIn("unreadable", output)


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
