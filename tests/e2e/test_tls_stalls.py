"""5,000 clients stall in the middle of their handshake: they are closed in time, memory is bounded, others are served."""
import concurrent.futures
import math
import resource
import statistics
import time
import unittest

import harness
from tls_client import TlsDialogue, implicit
from tls_crowd import Crowd

COUNT = 5000
TIMEOUT_S = math.ceil(8 * harness.SLOWNESS)
# A wheel's tick is a thirty-second of the timeout; the rest is what a busy machine needs to close thousands.
LATE_S = (6 if harness.IS_SANITIZED else 3) * harness.SLOWNESS
# The default of --tls-handshakes, and the most that one of them costs (test_tls_memory.py).
HANDSHAKES = 1000
HANDSHAKE_KIB = 96
# Of connections and receive buffers, once touched.
POOLS_KIB = 16 * 1024
CONTENT = b"Subject: meanwhile\r\n\r\n" + b"x" * 1000 + b"\r\n"


class Stalls(unittest.TestCase):
    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < COUNT + 1000:
            self.skipTest(f"only {hard} descriptors are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.implicit_port = harness.free_port()
        self.server = harness.Server("--tls=both", f"--tls-listen=127.0.0.1:{self.implicit_port}", f"--tls-timeout={TIMEOUT_S}s")
        self.addCleanup(self.server.close)
        self.crowd = Crowd(self.server.port, self.implicit_port, COUNT, seed=1)
        self.addCleanup(self.crowd.close)
        self.latencies_s = []
        self.memory_kib = [self.server.memory_kib("RssAnon")]

    def begin_early(self):
        """Clients that are there before the crowd: in plain, and by either way inside TLS."""
        plain = self.server.connect(60).begin()
        asked = TlsDialogue(self.server.port, 60)
        asked.begin()
        asked.secure()
        early = [plain, asked, implicit(self.implicit_port, 60).begin()]
        for client in early:
            self.addCleanup(client.close)
        return early

    def come_late(self, is_implicit):
        """How long a client that comes in the midst of it needs to deliver."""
        began = time.monotonic()
        with TlsDialogue(self.implicit_port if is_implicit else self.server.port, 60, implicit=is_implicit) as client:
            client.begin()
            if not is_implicit:
                client.secure()
            self.assertIn(b"250 2.0.0", client.deliver(CONTENT))
            return time.monotonic() - began

    def attend(self, early):
        """To the crowd for a moment; then those who were there before it deliver."""
        self.crowd.run(0.01)
        for client in early:
            began = time.monotonic()
            self.assertIn(b"250 2.0.0", client.deliver(CONTENT))
            self.latencies_s.append(time.monotonic() - began)
        self.memory_kib.append(self.server.memory_kib("RssAnon"))

    def run_all(self):
        """Until the server has ended all of the crowd; what those needed who came behind it."""
        early = self.begin_early()
        while self.crowd.waiting:
            self.crowd.connect(100)
            self.attend(early)
        until = time.monotonic() + 1
        while time.monotonic() < until:
            self.attend(early)
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            late = [threads.submit(self.come_late, number % 2 == 0) for number in range(8)]
            until = time.monotonic() + 2 * TIMEOUT_S + 60
            while self.crowd.left():
                self.attend(early)
                self.assertLess(time.monotonic(), until, f"{self.crowd.left()} are left")
            return [client.result() for client in late]

    def assert_counted(self):
        ends = [client.end for client in self.crowd.everyone]
        self.assertEqual(self.server.stop(), 0)
        totals = self.server.totals()
        self.assertEqual(totals["client took too long over the TLS handshake"], ends.count("closed"))
        self.assertEqual(totals["TLS handshakes"], 10)
        self.assertGreaterEqual(totals["TLS handshakes that waited for their turn"], COUNT - HANDSHAKES)
        self.assertEqual(totals["messages answered 250"], len(self.latencies_s) + 8)

    def assert_memory(self):
        """Peak, and what is left of it."""
        before = self.memory_kib[0]
        self.assertLess(max(self.memory_kib), before + HANDSHAKES * HANDSHAKE_KIB + POOLS_KIB)
        end = time.monotonic() + 20 * harness.SLOWNESS
        while self.server.memory_kib("RssAnon") > before + POOLS_KIB:
            self.assertLess(time.monotonic(), end, f"before {before}, at most {max(self.memory_kib)}, "
                                                   f"now {self.server.memory_kib('RssAnon')} KiB")
            time.sleep(0.1)

    def test_in_mid_handshake(self):
        late_s = self.run_all()
        taken_s = [client.taken_s() for client in self.crowd.everyone]
        self.assertGreater(min(taken_s), TIMEOUT_S - 1)
        self.assertLess(max(taken_s), TIMEOUT_S + LATE_S)
        self.assertLess(max(late_s), TIMEOUT_S + LATE_S)
        self.assertLess(statistics.median(self.latencies_s), 0.1 * harness.SLOWNESS)
        self.assertLess(max(self.latencies_s), LATE_S)
        if not harness.IS_SANITIZED:
            self.assert_memory()
        self.assert_counted()


if __name__ == "__main__":
    harness.main()
