"""A disk that takes 50 MB a second: the clients wait, and no message fails."""
import json
import os
import time
import unittest

import harness
from mounts import Mount, Throttle

DISK_MIB = 700
SPOOL_MIB = 300  # recycled within a run: also pages that are there have to wait for the disk
BYTES_PER_S = 50_000_000
# Else the whole run would fit into memory that is written later.
DIRTY_BYTES = 64 << 20


@unittest.skipIf(Throttle.reason_against(), Throttle.reason_against())
class SlowDisk(unittest.TestCase):
    def check(self, kind, *options):
        with Mount(kind, DISK_MIB) as mount:
            spool = os.path.join(mount.path, "spool")
            ledger, result = (os.path.join(mount.home, name) for name in ("ledger", "result.json"))
            with Throttle(mount, BYTES_PER_S, DIRTY_BYTES) as disk, \
                    harness.Server(f"--spool-size={SPOOL_MIB}Mi", "--when-full=recycle", *options, spool=spool) as server:
                before, begun = disk.written(), time.monotonic()
                load = harness.run(harness.LOADGEN, "-c", "100", "-d", "10s", "--ledger", ledger, "-o", result,
                                   f"127.0.0.1:{server.port}")
                rate = (disk.written() - before) / (time.monotonic() - begun)
                self.assertEqual(load.returncode, 0, load.stdout + load.stderr)
                disk.set(0)
                self.assertEqual(server.stop(), 0, server.output())
                said = f"{rate / 1e6:.1f} MB/s written\n{load.stdout}{server.output()}"
            with open(result) as file:
                totals = json.load(file)["totals"]
            self.assertGreater(totals["accepted"], 0, said)
            self.assertEqual(totals["accepted"], totals["started"], said)
            self.assertEqual(totals["lost"], 0, said)
            # It was the disk that they waited for.
            self.assertLess(totals["body_bytes"] / 10, 1.5 * BYTES_PER_S, said)
            self.assertLess(rate, 1.2 * BYTES_PER_S, said)
            self.assertGreater(rate, 0.5 * BYTES_PER_S, said)
            audit = harness.run(harness.RINGSPOOL, "audit", "--json", spool, ledger)
            counts = json.loads(audit.stdout)
            for name in ("lost", "duplicated", "corrupt", "refused_present", "damaged_places"):
                self.assertEqual(counts[name], 0, audit.stdout)
            self.assertGreater(counts["found"], 0, audit.stdout)

    def test_page(self):
        self.check("ext4")

    def test_disk(self):
        self.check("xfs", "--durability", "disk")


if __name__ == "__main__":
    harness.main()
