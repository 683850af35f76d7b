"""kill -9 under load: what was acknowledged is found whole."""
import os
import subprocess
import sys
import unittest

import harness

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


class Crash(unittest.TestCase):
    def crash(self, cycles, *options):
        cycles = 4 if harness.IS_SANITIZED else cycles
        result = harness.run(sys.executable, os.path.join(TOP, "scripts", "crash-loop"), cycles, "--no-record", "--build",
                             harness.BUILD, *options, timeout=300)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertRegex(result.stdout, rf"{cycles} crashes: [1-9]\d* acknowledged, 0 lost")

    def test_twenty_kills(self):
        self.crash(20)

    def test_ten_kills_on_disk(self):
        self.crash(10, "--durability", "disk")

    def test_an_audit_that_finds_a_loss(self):
        """The positive control: an entry for a message that never came must be called lost."""
        with harness.Server() as server:
            ledger = server.spool + ".ledger"
            load = harness.run(harness.LOADGEN, "-q", "-c", "4", "-n", "100", "-l", "1k", "--ledger", ledger,
                               f"127.0.0.1:{server.port}")
            self.assertEqual(load.returncode, 0, load.stdout + load.stderr)
            clean = harness.run(harness.RINGSPOOL, "audit", server.spool, ledger)
            self.assertEqual(clean.returncode, 0, clean.stdout + clean.stderr)
            with open(ledger) as lines:
                start, *entries, _ = lines.read().splitlines()
            invented = entries[-1].split()
            invented[1] = "999999"
            with open(ledger, "a") as lines:
                lines.write(" ".join(invented) + "\n")
            lossy = harness.run(harness.RINGSPOOL, "audit", server.spool, ledger)
            self.assertEqual(lossy.returncode, 1, lossy.stdout)
            self.assertRegex(lossy.stdout, r"(?m)^lost +1$")
            refused = [*entries[:-1], entries[-1].replace(" acked", " refused")]
            with open(ledger, "w") as lines:
                lines.write("\n".join([start, *refused]) + "\n")
            present = harness.run(harness.RINGSPOOL, "audit", server.spool, ledger)
            self.assertEqual(present.returncode, 1, present.stdout)

    def test_restart_reads_the_spool_of_a_killed_server(self):
        with harness.Server() as first:
            with first.connect() as client:
                client.begin()
                answer = client.deliver(b"Subject: before\r\n\r\nbody\r\n")
                self.assertTrue(answer.startswith(b"250"))
                for command in (b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n", b"DATA\r\n"):
                    client.ask(command)
                client.send(b"never finished\r\n")
                first.kill()
            with harness.Server(spool=first.spool) as second:
                with second.connect() as client:
                    client.begin()
                    later = client.deliver(b"Subject: after\r\n\r\nbody\r\n")
                    self.assertTrue(later.startswith(b"250"))
                identifiers = {message["id"] for message in harness.listed(first.spool)}
                self.assertEqual(identifiers, {answer.split()[-1].decode(), later.split()[-1].decode()})
                verify = harness.run(harness.RINGSPOOL, "verify", first.spool)
                self.assertEqual(verify.returncode, 0, verify.stdout + verify.stderr)

    def test_damage_is_reported(self):
        """One octet changed on disk in a committed message: verify names it and exits 1."""
        with harness.Server(threads=1) as server:
            with server.connect() as client:
                client.begin()
                client.deliver(b"Subject: one\r\n\r\n" + b"A" * 500 + b"\r\n")
                client.deliver(b"Subject: two\r\n\r\n" + b"B" * 500 + b"\r\n")
            self.assertEqual(server.stop(), 0)
            [path] = [os.path.join(folder, name) for folder, _, names in os.walk(server.spool) for name in names
                      if name.endswith(".seg")]
            with open(path, "r+b") as segment:
                place = segment.read().index(b"A" * 500)
                segment.seek(place + 100)
                segment.write(b"x")
            verify = harness.run(harness.RINGSPOOL, "verify", server.spool)
            self.assertEqual(verify.returncode, 1, verify.stdout + verify.stderr)
            self.assertIn("damaged", verify.stdout + verify.stderr)
            listed = harness.run(harness.RINGSPOOL, "list", server.spool)
            self.assertEqual(len(listed.stdout.splitlines()), 1, listed.stdout)
            self.assertIn("ringspool verify", listed.stderr)


if __name__ == "__main__":
    harness.main()
