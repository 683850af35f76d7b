"""What OpenSSL holds for a connection stays below what its bound is made of, and goes when the connection does."""
import re
import signal
import ssl
import time
import unittest

import harness
import tls_crowd
from tls_client import implicit

COUNT = 400
# A record that has begun keeps a buffer, which a silent connection does not have.
BOUNDS = {tls_crowd.WITHIN_HELLO: 96 * 1024, tls_crowd.ANSWERED: 96 * 1024, tls_crowd.ESTABLISHED: 32 * 1024,
          tls_crowd.WITHIN_RECORD: 40 * 1024}
# Each worker tells what it took and gave back once that is more than 64 KiB.
UNTOLD = 2 * 64 * 1024


def openssl_bytes(server):
    """Its own count, printed at SIGUSR1."""
    seen = server.output().count("bytes that OpenSSL holds")
    server.process.send_signal(signal.SIGUSR1)
    end = time.monotonic() + 20 * harness.SLOWNESS
    while time.monotonic() < end:
        counts = re.findall(r"(\d+)  bytes that OpenSSL holds", server.output())
        if len(counts) > seen:
            return int(counts[-1])
        time.sleep(0.02)
    raise AssertionError(server.output())


class Memory(unittest.TestCase):
    def stays_within(self, version):
        with harness.Server("--tls=implicit", f"--tls-handshakes={2 * COUNT}", "--tls-timeout=600s") as server:
            for _ in range(20):
                implicit(server.port).begin().close()
            before = openssl_bytes(server)
            for state in tls_crowd.in_each_state(server.port, COUNT, version):
                time.sleep(0.3 * harness.SLOWNESS)
                each = (openssl_bytes(server) - before) / COUNT
                self.assertLess(each, BOUNDS[state] - UNTOLD / COUNT, state)
            end = time.monotonic() + 20 * harness.SLOWNESS
            while openssl_bytes(server) > before + UNTOLD:
                self.assertLess(time.monotonic(), end, "it does not come back")
                time.sleep(0.1)

    def test_tls_1_2(self):
        self.stays_within(ssl.TLSVersion.TLSv1_2)

    def test_tls_1_3(self):
        self.stays_within(ssl.TLSVersion.TLSv1_3)


if __name__ == "__main__":
    harness.main()
