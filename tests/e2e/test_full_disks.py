"""File systems and quotas that run full under load: 452, no crash, nothing lost, and service again once there is space."""
import os
import shutil
import time
import unittest

import harness
from mounts import Mount, fill

FILLER_MIB = 100
QUOTA_MIB = 150
FILL_WAIT_S = 60
FULL = "452: the spool is full"


@unittest.skipIf(os.geteuid() != 0, "mounting file systems takes root")
class FullDisk(unittest.TestCase):
    def load(self, home, server, ledgers):
        ledgers.append(os.path.join(home, f"ledger-{len(ledgers)}"))
        return harness.run(harness.LOADGEN, "-c", 50, "-d", "1s", "-l", "50k", "--ledger", ledgers[-1],
                           f"127.0.0.1:{server.port}")

    def probe(self, server):
        """The last reply to a message."""
        with server.connect() as client:
            return client.begin().deliver(b"one more\r\n")

    def wait_for_service(self, server):
        """Seconds until a message is taken again."""
        begun = time.monotonic()
        while time.monotonic() < begun + 10:
            if self.probe(server).startswith(b"250"):
                return time.monotonic() - begun
            time.sleep(0.02)
        self.fail(server.output())

    def check_filling(self, home, spool, make_room, *options):
        """Fills what the spool is on, then has room made."""
        ledgers = []
        with harness.Server("--when-full", "refuse", "--spool-size=4Gi", "--segment-size=4Mi", *options,
                            spool=spool) as server:
            end = time.monotonic() + FILL_WAIT_S
            while b"452" not in self.probe(server):
                self.assertLess(time.monotonic(), end, server.output())
                self.load(home, server, ledgers)
            self.load(home, server, ledgers)
            self.assertIn(b"452", self.probe(server), server.output())
            make_room()
            self.assertLess(self.wait_for_service(server), 1.0)
            self.load(home, server, ledgers)
            self.assertEqual(server.stop(), 0, server.output())
            self.assertGreater(server.totals()[FULL], len(ledgers), server.output())
            # Copy on write may find no room for a page that was there: told as damage, answered 451.
            has_faulted = "SIGBUS" in server.output()
        audit = harness.run(harness.RINGSPOOL, "audit", spool, *ledgers)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)
        if not has_faulted:
            verify = harness.run(harness.RINGSPOOL, "verify", spool)
            self.assertEqual(verify.returncode, 0, verify.stdout + verify.stderr)

    def check(self, kind, size_mib, *options):
        with Mount(kind, size_mib) as mount:
            filler = os.path.join(mount.path, "filler")
            fill(filler, min(FILLER_MIB, size_mib // 4))
            self.check_filling(mount.home, os.path.join(mount.path, "spool"), lambda: os.unlink(filler), *options)

    def check_quota(self, make_room, *options):
        """A spool in a subvolume that may hold less than the file system has room for."""
        with Mount("btrfs", 1024) as mount:
            volume = os.path.join(mount.path, "volume")
            mount.call("btrfs", "quota", "enable", mount.path)
            mount.call("btrfs", "subvolume", "create", volume)
            fill(os.path.join(volume, "filler"), FILLER_MIB // 2)
            mount.call("btrfs", "qgroup", "limit", f"{QUOTA_MIB}M", volume)
            self.check_filling(mount.home, os.path.join(volume, "spool"), lambda: make_room(mount, volume), *options)
            self.assertGreater(shutil.disk_usage(mount.path).free, 500 << 20, "it was the quota that was full")

    def test_tmpfs(self):
        self.check("tmpfs", 64)

    def test_ext4(self):
        self.check("ext4", 200)
        self.check("ext4", 200, "--durability", "disk")

    def test_xfs(self):
        self.check("xfs", 320)

    def test_btrfs(self):
        self.check("btrfs", 320)
        self.check("btrfs", 320, "--durability", "disk")

    def test_quota_raised(self):
        def make_room(mount, volume):
            mount.call("btrfs", "qgroup", "limit", f"{2 * QUOTA_MIB}M", volume)

        self.check_quota(make_room)
        self.check_quota(make_room, "--durability", "disk")

    def test_quota_freed(self):
        def make_room(mount, volume):
            os.unlink(os.path.join(volume, "filler"))
            mount.call("btrfs", "filesystem", "sync", mount.path)  # only then it no longer counts

        self.check_quota(make_room)


if __name__ == "__main__":
    unittest.main()
