"""loadgen's open loop: due times that no stall moves, and reports that tell response from service."""
import asyncio
import json
import math
import os
import selectors
import socket
import statistics
import struct
import tempfile
import threading
import time
import unittest

import harness

REPLIES = {b"EHLO": b"250-stall.test\r\n250 PIPELINING\r\n", b"MAIL": b"250 ok\r\n", b"RCPT": b"250 ok\r\n",
           b"DATA": b"354 go\r\n", b"QUIT": b"221 bye\r\n"}


def be_prompt():
    """Where the machine does other things too, stamps would tell of those; only root may ask for that."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pass


class Responder:
    """A server in a thread that says when each message's final dot came and was answered.

    stall: (every, length) in seconds: for so long it reads and answers nothing. delay(): seconds to wait before
    the reply to a final dot.
    """

    def __init__(self, stall=None, delay=None):
        self.stall = stall
        self.delay = delay
        self.begin = None  # when the first message came
        self.starts = []  # when MAIL was read
        self.answered = []  # (dot read, answered)
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        self.ready.wait(10)

    def run(self):
        be_prompt()
        asyncio.set_event_loop(self.loop)
        self.server = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=1000))
        self.port = self.server.sockets[0].getsockname()[1]
        self.ready.set()
        if self.stall:
            self.loop.create_task(self.stall_now_and_then())
        self.loop.run_forever()

    async def stall_now_and_then(self):
        every, length = self.stall
        while self.begin is None:
            await asyncio.sleep(0.001)
        next_time = self.begin
        while True:
            next_time += every
            await asyncio.sleep(max(0, next_time - length - time.monotonic()))
            time.sleep(max(0, next_time - time.monotonic()))  # the whole server stands still

    async def serve(self, reader, writer):
        writer.write(b"220 stall.test\r\n")
        try:
            while True:
                line = await reader.readuntil(b"\r\n")
                verb = line[:4].upper()
                if verb == b"MAIL":
                    now = time.monotonic()
                    self.begin = self.begin or now
                    self.starts.append(now)
                writer.write(REPLIES[verb])
                if verb == b"DATA":
                    await reader.readuntil(b"\r\n.\r\n")
                    came = time.monotonic()
                    if self.delay:
                        await asyncio.sleep(self.delay())
                    writer.write(b"250 kept\r\n")
                    self.answered.append((came, time.monotonic()))
                if verb == b"QUIT":
                    break
            writer.close()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, KeyError):
            writer.close()

    def close(self):
        self.loop.call_soon_threadsafe(self.end)
        self.thread.join(10)
        self.loop.close()

    def end(self):
        self.server.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.call_soon(self.loop.stop)


SO_TIMESTAMPNS = 35  # socket(7); Python has no name for it


class StampingServer:
    """Takes messages sent in groups, and keeps the kernel's own stamp of each segment that a MAIL came in."""

    GREETING = b"250-stamp.test\r\n250 PIPELINING\r\n"

    def __init__(self):
        self.stamps = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.port = self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.is_over = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        be_prompt()
        while not self.is_over:
            for key, _ in self.selector.select(0.1):
                if key.fileobj is self.listener:
                    client, _ = self.listener.accept()
                    client.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
                    client.sendall(b"220 stamp.test\r\n")
                    self.selector.register(client, selectors.EVENT_READ)
                else:
                    self.take(key.fileobj)

    def take(self, client):
        data, ancillary, _, _ = client.recvmsg(65536, 256)
        if data.startswith(b"MAIL"):
            [stamp] = [struct.unpack("qq", value) for level, kind, value in ancillary
                       if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)]
            self.stamps.append(stamp[0] + stamp[1] / 1e9)
            client.sendall(b"250 ok\r\n250 ok\r\n354 go\r\n")
        elif data.endswith(b"\r\n.\r\n"):
            client.sendall(b"250 kept\r\n")
        elif data.startswith(b"EHLO"):
            client.sendall(self.GREETING)
        elif not data or data.startswith(b"QUIT"):
            self.selector.unregister(client)
            client.close()

    def close(self):
        self.is_over = True
        self.thread.join(10)
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()


class OpenLoopTest(unittest.TestCase):
    def load(self, port, *options, expected=0):
        with tempfile.TemporaryDirectory() as home:
            path = os.path.join(home, "result.json")
            result = harness.run(harness.LOADGEN, "-q", "-o", path, "--seed", "7", *options, f"127.0.0.1:{port}",
                                 preexec_fn=be_prompt)
            self.assertEqual(result.returncode, expected, result.stderr)
            with open(path) as file:
                return json.load(file), result.stdout

    def responder(self, **options):
        responder = Responder(**options)
        self.addCleanup(responder.close)
        return responder


class CoordinatedOmission(OpenLoopTest):
    def test_a_stall_counts_for_every_message_that_was_due(self):
        """One second in ten the server stands still: a tenth of the messages due waits, half a second on average."""
        server = self.responder(stall=(5.0, 1.0))
        result, text = self.load(server.port, "-R", "200", "--arrival", "uniform", "-c", "20", "-l", "200", "-d", "10s",
                                 "--warmup", "0", "-t", "1")
        totals = result["totals"]
        self.assertEqual(totals["due"], 2000)
        self.assertEqual(totals["accepted"], 2000)
        response = result["latency"]["response"]["percentiles_ns"]
        service = result["latency"]["service"]["percentiles_ns"]
        # What the server's own log says: message k was due k/200 s behind the first one.
        begin = server.starts[0]
        ends = sorted(end for _, end in server.answered)
        exact = sorted(end - begin - number / 200 for number, end in enumerate(ends))
        truth = exact[int(len(exact) * 0.99)]
        self.assertGreater(truth, 0.8)
        self.assertAlmostEqual(response["99"] / 1e9, truth, delta=0.05)
        self.assertAlmostEqual(response["90"] / 1e9, exact[int(len(exact) * 0.90)], delta=0.05)
        # Only 20 messages saw each stall while they were under way: service hides the others.
        self.assertLess(service["90"] / 1e9, 0.1)
        self.assertIn("Response p99:", text)
        self.assertIn("because all sessions were busy", " ".join(text.split()))

    def test_a_closed_loop_has_no_response_time(self):
        server = self.responder()
        result, text = self.load(server.port, "-n", "50", "-c", "5", "-l", "200")
        self.assertIsNone(result["latency"]["response"])
        self.assertIsNone(result["totals"]["due"])
        self.assertNotIn("Response p99:", text)


class Schedule(OpenLoopTest):
    def test_messages_started_are_messages_due(self):
        server = harness.Server("--durability", "discard")
        self.addCleanup(server.close)
        for arrival in ("poisson", "uniform", "burst:20"):
            with self.subTest(arrival=arrival):
                result, _ = self.load(server.port, "-R", "1000", "--arrival", arrival, "-c", "50", "-l", "500", "-d", "2s",
                                      "--warmup", "500ms")
                totals = result["totals"]
                self.assertEqual(totals["started"], totals["due"])
                self.assertEqual(totals["accepted"], totals["due"])
                self.assertEqual(totals["dropped_schedule"], 0)
                self.assertEqual(totals["reconnects"], 0)  # also not at the end, when nothing is due any more
                self.assertAlmostEqual(totals["due"], 2000, delta=200)
                self.assertAlmostEqual(result["warmup"]["totals"]["due"], 500, delta=100)
                self.assertEqual(result["config"]["arrival"], arrival)
                self.assertEqual(result["latency"]["lateness"]["count"], totals["due"])
                self.assertAlmostEqual(result["verdict"]["checks"]["littles_law_ratio"], 1, delta=0.02)

    def test_the_same_seed_gives_the_same_schedule(self):
        server = harness.Server("--durability", "discard")
        self.addCleanup(server.close)
        dues = [self.load(server.port, "-R", "700", "-c", "10", "-d", "1s", "-l", "200")[0]["totals"]["due"] for _ in range(2)]
        self.assertEqual(dues[0], dues[1])

    def test_a_rate_that_cannot_be_kept_is_told_with_its_reason(self):
        """One session at 20 ms a message does fifty a second; a hundred are due."""
        server = self.responder(delay=lambda: 0.02)
        result, text = self.load(server.port, "-R", "100", "-c", "1", "-l", "200", "-d", "2s", "--warmup", "0")
        totals = result["totals"]
        self.assertEqual(totals["dropped_schedule"], 0)
        self.assertEqual(totals["accepted"] + totals["unfinished"], totals["due"])
        self.assertIn("because all sessions were busy", " ".join(text.split()))
        self.assertGreater(result["latency"]["response"]["percentiles_ns"]["90"], 1e9)
        self.assertLess(result["latency"]["service"]["percentiles_ns"]["90"], 60e6)
        self.assertGreater(result["verdict"]["checks"]["backlog_longest"], 50)

    def test_what_does_not_fit_the_backlog_is_dropped_and_the_run_invalid(self):
        server = self.responder(delay=lambda: 0.5)
        result, text = self.load(server.port, "-R", "2000", "-c", "1", "-l", "200", "-d", "2s", "--warmup", "0",
                                 "--max-backlog", "1000", "--drain", "100ms")
        totals = result["totals"]
        self.assertGreater(totals["dropped_schedule"], 1000)
        self.assertGreater(totals["unfinished"], 900)
        self.assertEqual(totals["accepted"] + totals["unfinished"] + totals["dropped_schedule"], totals["due"])
        self.assertEqual(result["verdict"]["status"], "invalid")
        self.assertIn("dropped: all sessions were busy", " ".join(text.split()))
        self.assertEqual(result["latency"]["unfinished"]["count"], totals["unfinished"])

    def test_a_count_ends_an_open_loop(self):
        server = self.responder()
        begin = time.monotonic()
        result, _ = self.load(server.port, "-R", "200", "-n", "100", "-c", "5", "-l", "200")
        self.assertEqual(result["totals"]["due"], 100)
        self.assertEqual(result["totals"]["accepted"], 100)
        self.assertLess(time.monotonic() - begin, 5)

    def test_few_messages_a_connection(self):
        server = harness.Server("--durability", "discard")
        self.addCleanup(server.close)
        result, _ = self.load(server.port, "-R", "300", "-k", "2", "-c", "20", "-d", "1s", "-l", "200", "--warmup", "0")
        self.assertEqual(result["totals"]["accepted"], result["totals"]["due"])
        self.assertGreater(result["totals"]["connects"], 100)

    def test_a_ramp_spreads_the_connects(self):
        server = self.responder()
        result, _ = self.load(server.port, "-c", "20", "--ramp", "1s", "-n", "20", "-l", "200")
        self.assertGreater(result["ramp_ns"], 0.9e9)
        self.assertLess(result["ramp_ns"], 3e9)


class Lengths(OpenLoopTest):
    def test_every_message_of_a_distribution_arrives_whole(self):
        server = harness.Server()
        self.addCleanup(server.close)
        for text in ("1k-20k", "lognormal:2k,1.5", "200:60,5k:35,1M:5"):
            with self.subTest(length=text), tempfile.TemporaryDirectory() as home:
                ledger = os.path.join(home, "ledger")
                result, _ = self.load(server.port, "-l", text, "-n", "500", "-c", "20", "--ledger", ledger)
                self.assertEqual(result["totals"]["accepted"], 500)
                audit = harness.run(harness.RINGSPOOL, "audit", "--json", server.spool, ledger)
                self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)
                self.assertEqual(json.loads(audit.stdout)["found"], 500)
                with open(ledger) as lines:
                    sizes = [int(line.split()[2]) for line in lines if not line.startswith("#") and len(line.split()) > 4]
                self.assertGreater(len(set(sizes)), 2)


class Arrivals(OpenLoopTest):
    def test_the_server_sees_exponential_gaps(self):
        """Anderson-Darling on a thousand arrivals at 200/s, as the server's log stamped them."""
        squares = []
        for _ in range(3):  # a machine that does other things at that moment blurs the server's stamps
            server = StampingServer()
            self.addCleanup(server.close)
            result, _ = self.load(server.port, "-R", "200", "-n", "1000", "-c", "20", "-l", "200")
            self.assertEqual(result["totals"]["accepted"], 1000)
            gaps = [after - before for before, after in zip(sorted(server.stamps), sorted(server.stamps)[1:])]
            squares.append(anderson_darling(gaps, 1 / 200))
            self.assertGreater(anderson_darling([statistics.mean(gaps)] * len(gaps), 1 / 200), 100)  # it can fail
            if squares[-1] < 3.857 or harness.IS_SANITIZED:
                return
        self.fail(f"A squared {squares}")


def anderson_darling(gaps, mean):
    """A squared against the exponential distribution of a known mean; above 3.857 by chance one time in a hundred."""
    gaps = sorted(max(gap, 1e-7) for gap in gaps)
    count = len(gaps)
    total = sum((2 * index + 1) * (math.log(-math.expm1(-gap / mean)) - gaps[count - 1 - index] / mean)
                for index, gap in enumerate(gaps))
    return -count - total / count


if __name__ == "__main__":
    unittest.main()
