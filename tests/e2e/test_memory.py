"""Connections cost little, and what traffic touched is bounded."""
import resource
import time
import unittest

import harness


class Memory(unittest.TestCase):
    @unittest.skipIf(harness.IS_SANITIZED, "ASan's shadow memory is not the server's")
    def test_idle_connections_after_traffic(self):
        """2,000 idle connections; the full 10,000 are measured by scripts/measure-idle."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 5000:
            self.skipTest(f"only {hard} descriptors are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with harness.Server() as server:
            load = harness.run(harness.LOADGEN, "-q", "-c", "2000", "-d", "2s", "-l", "10k", f"127.0.0.1:{server.port}")
            self.assertEqual(load.returncode, 0, load.stdout + load.stderr)
            clients = [server.connect() for _ in range(2000)]
            for client in clients:
                client.begin()
            time.sleep(0.2)
            self.assertLess(server.memory_kib("RssAnon"), 40 * 1024)
            for client in clients:
                client.close()


if __name__ == "__main__":
    harness.main()
