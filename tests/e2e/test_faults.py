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

    def test_page(self):
        self.check()

    def test_disk(self):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as home: # /tmp may be in memory
            self.check("--durability", "disk", spool=os.path.join(home, "spool"))


if __name__ == "__main__":
    unittest.main()
