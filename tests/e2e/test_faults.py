"""Segments that can't be written any more under a running server."""
import glob
import os
import tempfile
import time
import unittest

import harness

BODY = b"x" * 70 + b"\r\n"


def cut_short(spool, size):
    """Cuts every segment: stores beyond that fault, as on a disk that dies."""
    for path in glob.glob(os.path.join(spool, "w*", "*.seg")):
        os.truncate(path, size)


class Fault(unittest.TestCase):
    def check(self, *options, spool=None):
        with harness.Server("--spool-size=64Mi", *options, threads=1, spool=spool) as server:
            client = server.connect().begin()
            self.assertTrue(client.deliver(b"first\r\n").startswith(b"250"))
            cut_short(server.spool, 64 * 1024)
            codes = self.deliver_until_well(client)
            # 451: a store faulted; 452: the segment being prepared was cut as well.
            self.assertTrue(set(codes) & {b"451", b"452"}, codes)
            self.assertLessEqual(set(codes), {b"250", b"451", b"452"})
            stored = codes.count(b"250")
            client.close()
            self.assertEqual(server.stop(), 0, server.output())
            listed = harness.run(harness.RINGSPOOL, "list", server.spool)
            whole = [line for line in listed.stdout.splitlines() if str(len(BODY) * 4000) in line]
            self.assertEqual(len(whole), stored, listed.stdout)

    def deliver_until_well(self, client):
        """The codes of messages until three in a row were taken."""
        codes = []
        end = time.monotonic() + 10
        while codes[-3:] != [b"250"] * 3:
            self.assertLess(time.monotonic(), end, codes[-10:])
            codes.append(client.deliver(BODY * 4000)[:3])
            if codes[-1] != b"250":
                client.ask(b"RSET\r\n")
                time.sleep(0.02)
        return codes

    def test_refused_behind_a_fault(self):
        """A store faults at a segment's end; what the same batch puts into the next one is refused or there, not both."""
        segment_size = 1 << 20
        with harness.Server("--spool-size=64Mi", f"--segment-size={segment_size}", threads=1) as server:
            client = server.connect().begin()
            stored = self.deliver_chunks(client, b"x" * (segment_size - 40 * 1024))
            self.assertEqual(stored, [b"250"])
            os.truncate(os.path.join(server.spool, "w00", "0000000001.seg"), segment_size - 4096)
            codes = self.deliver_chunks(client, b"y" * 38 * 1024, b"z" * 100, b"z" * 100, b"z" * 100)
            self.assertIn(b"451", codes)
            client.close()
            self.assertEqual(server.stop(), 0, server.output())
            listed = harness.run(harness.RINGSPOOL, "list", server.spool).stdout.splitlines()
            self.assertEqual(len(listed), 1 + codes.count(b"250"), [codes, listed])

    def deliver_chunks(self, client, *bodies):
        """The codes of messages that are sent at once."""
        client.send(b"".join(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT %d LAST\r\n%s" % (len(body), body) for body in bodies))
        return [[client.reply() for _ in range(3)][-1][:3] for _ in bodies]

    def test_page(self):
        self.check()

    def test_disk(self):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as home: # /tmp may be in memory
            self.check("--durability", "disk", spool=os.path.join(home, "spool"))


if __name__ == "__main__":
    unittest.main()
