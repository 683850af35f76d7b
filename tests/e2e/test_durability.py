"""--durability disk: a 250 means that the message is on the disk."""
import ctypes
import fcntl
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import harness

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DISK = "/var/tmp"  # on a disk also where /tmp is in memory
SYNCS = "syncs completed"
CLONE_NEWNS = 0x00020000
EXT4_IOC_SHUTDOWN = 0x8004587D
SHUTDOWN_WITHOUT_LOG = 2  # what is not on the disk is gone, as after a power cut


class OnDisk(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="ringsink-disk-", dir=DISK)
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.spool = os.path.join(self.home, "spool")

    def serve(self, *options, **more):
        server = harness.Server("--durability=disk", *options, spool=self.spool, **more)
        self.addCleanup(server.close)
        return server

    def load(self, server, *options):
        self.ledger = os.path.join(self.home, "ledger")
        return [harness.LOADGEN, "-q", "--ledger", self.ledger, *options, f"127.0.0.1:{server.port}"]

    def ringspool(self, command, *options):
        return harness.run(harness.RINGSPOOL, command, self.spool, *options)

    def check_clean(self):
        audit = self.ringspool("audit", self.ledger)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)
        verify = self.ringspool("verify")
        self.assertEqual(verify.returncode, 0, verify.stdout + verify.stderr)


def chunk(number):
    content = b"Subject: %d\r\n\r\n" % number
    return b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT %d LAST\r\n" % len(content) + content


def begin_lmtp_message(client, recipients):
    """Up to the reply to DATA, in one write."""
    client.begin(verb=b"LHLO")
    client.send(b"MAIL FROM:<a@b>\r\n" + b"RCPT TO:<c@d>\r\n" * recipients + b"DATA\r\n")
    replies = [client.reply()[:3] for _ in range(recipients + 2)]
    assert replies == [b"250"] * (recipients + 1) + [b"354"], replies


class Disk(OnDisk):
    def test_a_thousand_connections(self):
        server = self.serve()
        load = harness.run(*self.load(server, "-c", "1000", "-n", "20000", "-l", "1k"))
        self.assertEqual(load.returncode, 0, load.stdout + load.stderr)
        self.assertEqual(server.stop(), 0, server.output())
        self.check_clean()
        self.assertGreater(server.totals()[SYNCS], 0)
        self.assertLess(server.totals()[SYNCS], 10000, "a sync covers many messages")

    @unittest.skipUnless(os.path.isdir("/dev/shm"), "no tmpfs at hand")
    def test_refused_in_memory(self):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as home:
            result = harness.run(harness.RINGSINK, f"127.0.0.1:{harness.free_port()}", "--durability=disk",
                                 "--spool-size=64Mi", "--spool", f"{home}/spool", timeout=20)
        self.assertEqual(result.returncode, 73, result.stderr)
        self.assertRegex(result.stderr, r"tmpfs.*(--durability|directory|disk)")

    def test_pipelined_chunks(self):
        """More messages than replies can wait at once; all are answered, in order, then QUIT."""
        server = self.serve(threads=1)
        with server.connect() as client:
            client.begin()
            client.send(b"".join(chunk(number) for number in range(200)) + b"QUIT\r\n")
            identifiers = []
            for _ in range(200):
                replies = [client.reply() for _ in range(3)]
                self.assertEqual([reply[:4] for reply in replies], [b"250 "] * 3, replies)
                identifiers.append(replies[2].split()[-1].decode())
            self.assertEqual(client.reply()[:4], b"221 ")
            self.assertEqual(client.reply(), b"")
        self.assertEqual(server.stop(), 0, server.output())
        self.assertLess(server.totals()[SYNCS], 50)
        listed = [message["id"] for message in harness.listed(self.spool)]
        self.assertEqual(sorted(listed), sorted(identifiers))
        for number in (0, 63, 64, 65, 199):
            self.assertIn(b"Subject: %d\r\n" % number, harness.cat(self.spool, identifiers[number]))

    def test_lmtp(self):
        server = self.serve("--lmtp", threads=1)
        with server.connect() as client:
            begin_lmtp_message(client, 3)
            client.send(b"Subject: x\r\n\r\n.\r\nQUIT\r\n")
            replies = [client.reply() for _ in range(4)]
            self.assertEqual([reply[:3] for reply in replies], [b"250", b"250", b"250", b"221"], replies)
        self.assertEqual(server.stop(), 0, server.output())
        self.assertEqual(len(harness.listed(self.spool)), 1)

    def test_lmtp_with_more_replies_than_have_room(self):
        server = self.serve("--lmtp", threads=1)
        with server.connect() as client:
            begin_lmtp_message(client, 900)
            client.send(b"Subject: x\r\n\r\n.\r\n")
            self.assertEqual({client.reply()[:4] for _ in range(900)}, {b"250 "})
            self.assertEqual(client.ask(b"QUIT\r\n")[:4], b"221 ")
        self.assertEqual(server.stop(), 0, server.output())

    def test_a_client_that_goes_away(self):
        server = self.serve(threads=1)
        for _ in range(30):
            client = server.connect()
            client.begin()
            client.send(b"".join(chunk(number) for number in range(100)))
            client.close()
        with server.connect() as client:
            client.begin()
            self.assertEqual(client.deliver(b"Subject: y\r\n\r\n")[:4], b"250 ")
        self.assertEqual(server.stop(), 0, server.output())
        verify = self.ringspool("verify")
        self.assertEqual(verify.returncode, 0, verify.stdout + verify.stderr)

    def test_drained_under_load(self):
        server = self.serve()
        load = subprocess.Popen(self.load(server, "-c", "200", "-d", "10s", "-l", "2k", "--pipelining", "stream",
                                          "--timeout", "3s"),
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)
        self.assertEqual(server.stop(), 0, server.output())
        load.terminate()
        load.wait(60)
        self.check_clean()

    def test_stop_after(self):
        server = self.serve("-M", "500", threads=1)
        load = harness.run(*self.load(server, "-c", "10", "-n", "500", "-l", "1k"))
        self.assertEqual(load.returncode, 0, load.stdout + load.stderr)
        self.assertEqual(server.process.wait(20), 0, server.output())
        self.check_clean()
        self.assertEqual(len(harness.listed(self.spool)), 500)

    def test_full(self):
        """Full, `disk` refuses unless told otherwise; room that trim makes is used."""
        server = self.serve("--spool-size=8Mi", "--segment-size=1Mi", threads=1)
        big = b"x" * 70 + b"\r\n"
        with server.connect() as client:
            client.begin()
            answers = []
            while len(answers) < 40 and not (answers and answers[-1].startswith(b"452")):
                answers.append(client.deliver(big * 7000))
            self.assertEqual(answers[-1][:3], b"452", answers[-1])
            self.assertGreater(len(answers), 4)
            stored = [answer.split()[-1].decode() for answer in answers if answer.startswith(b"250")]
            self.assertEqual(sorted(message["id"] for message in harness.listed(self.spool)), sorted(stored))
            trim = self.ringspool("trim", "--all")
            self.assertEqual(trim.returncode, 0, trim.stderr)
            end = time.monotonic() + 10
            while not (answer := client.deliver(b"Subject: z\r\n\r\n")).startswith(b"250"):
                self.assertLess(time.monotonic(), end, answer)
                time.sleep(0.1)
        self.assertEqual(server.stop(), 0, server.output())

    def test_recycling(self):
        """Sealed segments are synced before they are recycled, and nobody stalls for good."""
        server = self.serve("--spool-size=8Mi", "--segment-size=1Mi", "--when-full=recycle")
        load = harness.run(*self.load(server, "-c", "50", "-n", "3000", "-l", "20k"))
        self.assertEqual(load.returncode, 0, load.stdout + load.stderr)
        self.assertEqual(server.stop(), 0, server.output())
        self.assertEqual(self.ringspool("audit", self.ledger).returncode, 3)
        self.assertEqual(self.ringspool("verify").returncode, 0)

    def test_five_kills(self):
        result = harness.run(sys.executable, os.path.join(TOP, "scripts", "crash-loop"), "5", "--no-record", "--seed",
                             "12", "--build", harness.BUILD, "--durability", "disk", timeout=300)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r"5 crashes: [1-9]\d* acknowledged, 0 lost")


def can_mount():
    """May this process make a mount namespace of its own, with a file system on a loop device?"""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None or not os.path.exists("/dev/loop-control"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        return False
    return harness.run("mount", "--make-rprivate", "/").returncode == 0


@unittest.skipUnless(can_mount(), "needs root, loop devices and ext4")
class FailingDisk(OnDisk):
    """A file system that is shut down under the server, and then comes back as after a power cut."""

    def setUp(self):
        super().setUp()
        self.image = os.path.join(self.home, "image")
        self.mounted = os.path.join(self.home, "mounted")
        self.spool = os.path.join(self.mounted, "spool")
        os.mkdir(self.mounted)
        with open(self.image, "wb") as image:
            image.truncate(700 << 20)
        subprocess.run(["mkfs.ext4", "-q", self.image], check=True)
        if harness.run("mount", "-o", "loop", self.image, self.mounted).returncode != 0:
            self.skipTest("no loop device")
        self.addCleanup(harness.run, "umount", self.mounted)

    def serve(self, *options, **more):
        return super().serve("--spool-size=512Mi", "--segment-size=4Mi", *options, **more)

    def cut_power(self):
        """Never to be called on anything but the image: the file system is gone until mounted again."""
        self.assertNotEqual(os.stat(self.mounted).st_dev, os.stat(self.home).st_dev)
        folder = os.open(self.mounted, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, struct.pack("I", SHUTDOWN_WITHOUT_LOG))
        finally:
            os.close(folder)

    def restore_power(self):
        end = time.monotonic() + 10  # a killed process's ring may hold its files for a moment
        while (result := harness.run("umount", self.mounted)).returncode != 0:
            self.assertLess(time.monotonic(), end, result.stderr)
            time.sleep(0.05)
        subprocess.run(["mount", "-o", "loop", self.image, self.mounted], check=True)

    def deliver(self, server, count):
        with server.connect() as client:
            client.begin()
            answers = [client.deliver(b"Subject: %d\r\n\r\n" % number) for number in range(count)]
        for answer in answers:
            self.assertEqual(answer[:4], b"250 ")
        return [answer.split()[-1].decode() for answer in answers]

    def cut_power_between_syncs(self, server):
        """ext4's shutdown lets a sync that is under way return 0 without having written, so none may be."""
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        self.cut_power()

    def check_ended(self, server):
        self.assertEqual(server.process.wait(20), 74, server.output())
        self.assertEqual(len(re.findall("a sync of the spool failed", server.output())), 1, server.output())

    def test_a_power_cut(self):
        """Killed and cut off at once: what was acknowledged is on the disk, though nothing was flushed."""
        for round_number in range(3):
            server = self.serve(threads=1)
            load = subprocess.Popen(self.load(server, "-c", "20", "-d", "10s", "-l", "2k", "--timeout", "1s"),
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(random.Random(round_number).uniform(0.3, 0.8))
            self.cut_power_between_syncs(server)
            server.kill()
            load.terminate()
            load.wait(60)
            self.restore_power()
            audit = self.ringspool("audit", self.ledger)
            self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)
            self.assertRegex(audit.stdout, r"(?m)^acknowledged +[1-9]")
            server.close()
            shutil.rmtree(self.spool)  # never full, or nothing is under way when the power goes

    def test_a_failed_sync(self):
        server = self.serve(threads=1)
        stored = self.deliver(server, 20)
        with server.connect() as client:
            client.begin()
            self.cut_power()
            client.send(b"".join(chunk(number) for number in range(10)))
            replies = [client.reply() for _ in range(30)]
            self.assertEqual({reply[:3] for reply in replies[2::3]}, {b"451"}, replies)
        self.check_ended(server)
        self.restore_power()
        self.assertEqual(sorted(message["id"] for message in harness.listed(self.spool)), sorted(stored))
        again = self.serve(threads=1)
        stored += self.deliver(again, 3)
        self.assertEqual(again.stop(), 0, again.output())
        self.assertEqual(sorted(message["id"] for message in harness.listed(self.spool)), sorted(stored))

    def test_a_failed_sync_under_lmtp(self):
        """No recipient gets 250, nor does one whose reply had no room before the sync failed."""
        server = self.serve("--lmtp", threads=1)
        with server.connect() as client:
            begin_lmtp_message(client, 900)
            self.cut_power()
            client.send(b"Subject: x\r\n\r\n.\r\n")
            self.assertEqual({client.reply()[:4] for _ in range(900)}, {b"451 "})
        self.check_ended(server)

    def test_a_failed_sync_under_load(self):
        server = self.serve()
        load = subprocess.Popen(self.load(server, "-c", "50", "-d", "10s", "-l", "2k", "--timeout", "3s"),
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.7)
        self.cut_power_between_syncs(server)
        server.process.send_signal(signal.SIGCONT)
        self.assertEqual(server.process.wait(30), 74, server.output())
        load.terminate()
        load.wait(60)
        self.restore_power()
        audit = self.ringspool("audit", self.ledger)
        # What was refused may be there: the disk may have taken it before it failed.
        for what in ("lost", "duplicated", "corrupt", "damaged"):
            self.assertRegex(audit.stdout, rf"(?m)^{what} +0$", audit.stderr)
        self.assertRegex(audit.stdout, r"(?m)^acknowledged +[1-9]")


if __name__ == "__main__":
    harness.main()
