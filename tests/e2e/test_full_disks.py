"""File systems that run full under load: 452, no crash, nothing lost, and service again once there is space."""
import os
import subprocess
import tempfile
import time
import unittest

import harness

FILLER = 100 << 20
MAKERS = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f"), "btrfs": ("mkfs.btrfs", "-q", "-f")}


class Mount:
    """A small file system of its own: tmpfs, or one in an image."""

    def __init__(self, kind, size_mib):
        self.home = tempfile.mkdtemp(prefix="ringsink-full-", dir="/var/tmp")
        self.path = os.path.join(self.home, "mount")
        os.mkdir(self.path)
        if kind == "tmpfs":
            source, options = "none", f"size={size_mib}m"
        else:
            source, options = os.path.join(self.home, "image"), "loop"
            with open(source, "wb") as image:
                image.truncate(size_mib << 20)
            self.call(*MAKERS[kind], source)
        self.call("mount", "-t", kind, "-o", options, source, self.path)

    @staticmethod
    def call(*command):
        done = harness.run(*command)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.stderr}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", self.path], check=False)
        subprocess.run(["rm", "-rf", "--one-file-system", self.home], check=False)


@unittest.skipIf(os.geteuid() != 0, "mounting file systems takes root")
class FullDisk(unittest.TestCase):
    def load(self, server, ledger, seconds):
        return harness.run(harness.LOADGEN, "-c", 50, "-d", f"{seconds}s", "-l", "50k", "--ledger", ledger,
                           f"127.0.0.1:{server.port}")

    def wait_for_service(self, server):
        """Seconds until a message is taken again."""
        begun = time.monotonic()
        while time.monotonic() < begun + 10:
            client = server.connect().begin()
            reply = client.deliver(b"again\r\n")
            client.close()
            if reply.startswith(b"250"):
                return time.monotonic() - begun
            time.sleep(0.02)
        self.fail(server.output())

    def check(self, kind, size_mib, *options):
        with Mount(kind, size_mib) as mount:
            filler = os.path.join(mount.path, "filler")
            with open(filler, "wb") as file:
                file.write(os.urandom(1 << 20) * (min(FILLER, size_mib << 18) >> 20))
                os.fsync(file.fileno())
            ledger = os.path.join(mount.home, "ledger")
            spool = os.path.join(mount.path, "spool")
            with harness.Server("--when-full", "refuse", "--spool-size=4Gi", "--segment-size=4Mi", *options,
                                spool=spool) as server:
                self.load(server, ledger, 4)
                client = server.connect().begin()
                self.assertIn(b"452", client.deliver(b"one more\r\n"), server.output())
                client.close()
                os.unlink(filler)
                self.assertLess(self.wait_for_service(server), 1.0)
                self.load(server, ledger + "2", 1)
                self.assertEqual(server.stop(), 0, server.output())
            audit = harness.run(harness.RINGSPOOL, "audit", spool, ledger, ledger + "2")
            self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)

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


if __name__ == "__main__":
    unittest.main()
