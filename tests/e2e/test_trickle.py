"""Clients that send an octet a second are sent away by the deadline; the others are served meanwhile."""
import os
import sys
import time
import unittest

import harness

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts"))
from tricklers import Tricklers # noqa: E402

COUNT = 200
DEADLINE_S = 2
SLACK_S = 10 if harness.IS_SANITIZED else 3
TOO_SLOW = "client took too long over one command or message"


class Trickle(unittest.TestCase):
    def test_all_are_sent_away_and_the_others_served(self):
        with harness.Server("--command-timeout", f"{DEADLINE_S}s", "--min-data-rate", "500") as server, \
                server.connect() as other:
            other.begin()
            tricklers = Tricklers(server.port, COUNT)
            self.addCleanup(tricklers.close)
            served = []

            def serve():
                if time.monotonic() - tricklers.begun > len(served) / 4:
                    served.append(other.deliver(b"meanwhile\r\n"))
                return time.monotonic() - tricklers.begun > DEADLINE_S + SLACK_S

            tricklers.run(serve)
            self.assertEqual(tricklers.open_count(), 0)
            self.assertEqual(len(tricklers.sent_away()), COUNT)
            ended = [client.ended_s for client in tricklers.clients]
            self.assertGreater(min(ended), DEADLINE_S - 0.5)
            self.assertGreaterEqual(len(served), 4 * DEADLINE_S - 2)
            self.assertTrue(all(answer.startswith(b"250") for answer in served), served)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.totals()[TOO_SLOW], COUNT)
            self.assertEqual(len(harness.listed(server.spool)), len(served))


if __name__ == "__main__":
    harness.main()
