"""Full is an answer: connections, silence, unread replies, the spool, the end of the server."""
import os
import shutil
import signal
import socket
import struct
import tempfile
import time
import unittest

import harness

# Before Linux 6.13 the server has more receive buffers, as one receive may fill them all (worker.c).
HAS_LONG_BATCHES = tuple(int(part) for part in os.uname().release.split(".")[:2]) < (6, 13)


class Limits(unittest.TestCase):
    def test_connections_beyond_the_limit(self):
        with harness.Server("-m", "3", threads=2) as server:
            clients = [server.connect().begin() for _ in range(3)]
            with server.connect() as fourth:
                self.assertTrue(fourth.reply().startswith(b"421 4.3.2 "))
                self.assertEqual(fourth.reply(), b"")
            for client in clients:
                self.assertTrue(client.ask(b"NOOP\r\n").startswith(b"250"))
            clients[0].ask(b"QUIT\r\n")
            clients[0].close()
            time.sleep(0.2)
            with server.connect() as fifth:
                fifth.begin()
            for client in clients:
                client.close()
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.totals()["connections answered 421: the limit was reached"], 1)

    def test_no_descriptor_left(self):
        """Descriptors that somebody else left open use up what the server counted on."""
        inherited = [os.open("/dev/null", os.O_RDONLY) for _ in range(90)]
        clients = []
        with harness.Server("-m", "30", prefix=("prlimit", "--nofile=128:128"), pass_fds=inherited) as server:
            refused = False
            while not refused and len(clients) < 30:
                clients.append(server.connect())
                refused = clients[-1].reply().startswith(b"421 ")
            self.assertTrue(refused)
            self.assertLess(len(clients), 30)
            clients[0].ask(b"EHLO a\r\n")
            clients[0].ask(b"QUIT\r\n")
            time.sleep(0.2)
            with server.connect() as accepted:
                accepted.begin()
            for client in clients:
                client.close()
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.totals()["connections answered 421: no descriptor was left"], 1)
        for descriptor in inherited:
            os.close(descriptor)

    def test_idle_client(self):
        with harness.Server("--idle-timeout", "500ms") as server, server.connect() as client:
            client.begin()
            started = time.monotonic()
            self.assertTrue(client.reply().startswith(b"421 4.4.2 "))
            self.assertGreaterEqual(time.monotonic() - started, 0.45)
            self.assertLess(time.monotonic() - started, 2)
            self.assertEqual(client.reply(), b"")

    def count_sockets(self, server):
        folder = f"/proc/{server.process.pid}/fd"
        links = []
        for name in os.listdir(folder):
            try:
                links.append(os.readlink(os.path.join(folder, name)))
            except FileNotFoundError: # closed meanwhile
                pass
        return sum(link.startswith("socket:") for link in links)

    def sockets_become(self, server, count, seconds=1.0):
        """True as soon as the server has so many open."""
        end = time.monotonic() + seconds
        while (now := self.count_sockets(server)) != count and time.monotonic() < end:
            time.sleep(0.01)
        return now == count

    def test_client_that_closes_at_once(self):
        """A05: nothing is owed to it, and its descriptor is free within a second."""
        with harness.Server() as server:
            before = self.count_sockets(server)
            clients = [server.connect() for _ in range(20)]
            for client in clients:
                client.reply() # so that all are accepted
            self.assertEqual(self.count_sockets(server), before + 20)
            for client in clients:
                client.socket.shutdown(socket.SHUT_WR)
            self.assertTrue(self.sockets_become(server, before))
            for client in clients:
                self.assertEqual(client.reply(), b"")
                client.close()
            with socket.create_connection(("127.0.0.1", server.port)):
                pass
            time.sleep(0.1)
            self.assertTrue(self.sockets_become(server, before))
            self.assertEqual(server.stop(), 0)
            self.assertGreaterEqual(server.totals()["client closed between transactions"], 20)
            self.assertEqual(server.totals()["connections closed"], 21)

    def test_thousands_of_resets(self):
        """A06: descriptors and memory are back where they were, wherever in a session the reset comes."""
        count = 500 if harness.IS_SANITIZED else 2000
        beginnings = (b"", b"EHLO a\r\n", b"EHLO", b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n" + b"x" * 5000)
        def reset_all(server):
            for number in range(count):
                with socket.create_connection(("127.0.0.1", server.port)) as client:
                    client.sendall(b"EHLO a\r\n" * (number % 4 == 3) + beginnings[number % 4])
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with harness.Server() as server:
            before = self.count_sockets(server)
            reset_all(server) # what is touched for the first time stays
            self.assertTrue(self.sockets_become(server, before, 5))
            memory = server.memory_kib("RssAnon")
            for _ in range(2):
                reset_all(server)
                self.assertTrue(self.sockets_become(server, before, 5))
            if not harness.IS_SANITIZED:
                # A block a connection would be 32 MiB. Receive buffers are touched in turn, many on old kernels.
                self.assertLess(server.memory_kib("RssAnon") - memory, 12_000 if HAS_LONG_BATCHES else 5000)
            with server.connect() as client:
                client.begin()
                self.assertTrue(client.deliver(b"x\r\n").startswith(b"250"))
            self.assertEqual(server.stop(), 0)
            totals = server.totals()
            self.assertEqual(totals["connections accepted"], totals["connections closed"])
            self.assertGreater(totals["connections accepted"], count) # what is reset before its accept may not count

    def test_client_that_reads_nothing(self):
        """Its input pauses, memory stays flat, and when it reads at last every reply is there."""
        count = 6_000_000 if HAS_LONG_BATCHES else 3_000_000 # more than sockets, receive buffers and held input take
        with harness.Server() as server, socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.settimeout(2)
            before = server.memory_kib("RssAnon")
            data = memoryview(b"NOOP\r\n" * count)
            sent = 0
            blocked = False
            while sent < len(data) and not blocked:
                try:
                    sent += client.send(data[sent:sent + 65536])
                except TimeoutError:
                    blocked = True
            self.assertTrue(blocked, "the server took everything while nothing was read")
            self.assertLess(server.memory_kib("RssAnon") - before, 40_000 if HAS_LONG_BATCHES else 20_000)
            with server.connect() as other: # nobody else notices
                other.begin()
                self.assertTrue(other.deliver(b"x\r\n").startswith(b"250"))
            client.setblocking(False)
            received = bytearray()
            end = time.monotonic() + 120
            expected = count * len(b"250 2.0.0 Ok\r\n")
            while time.monotonic() < end:
                try:
                    if sent < len(data):
                        sent += client.send(data[sent:sent + 65536])
                except BlockingIOError:
                    pass
                try:
                    received += client.recv(1 << 20)
                except BlockingIOError:
                    time.sleep(0.001)
                if len(received) >= expected + 10 and sent == len(data):
                    break
            greeting, _, replies = bytes(received).partition(b"\r\n")
            self.assertTrue(greeting.startswith(b"220 "))
            self.assertEqual(len(replies), expected)
            self.assertTrue(replies == b"250 2.0.0 Ok\r\n" * count)
            client.close()
            self.assertEqual(server.stop(), 0)
            self.assertGreaterEqual(server.totals()["times input paused because replies were not read"], 1)

    def test_pipelined_message_then_half_close(self):
        with harness.Server() as server, server.connect() as client:
            client.send(b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n")
            client.socket.shutdown(socket.SHUT_WR)
            codes = [client.reply()[:3] for _ in range(7)]
            self.assertEqual(codes, [b"220", b"250", b"250", b"250", b"354", b"250", b"221"])
            self.assertEqual(client.reply(), b"")
            self.assertEqual(len(harness.listed(server.spool)), 1)

    def test_disconnect_before_the_dot_keeps_nothing(self):
        with harness.Server() as server:
            with server.connect() as client:
                client.begin()
                for command in (b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n", b"DATA\r\n"):
                    client.ask(command)
                client.send(b"half a message\r\n")
            time.sleep(0.3)
            self.assertEqual(harness.listed(server.spool), [])
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.totals()["transactions dropped before their end"], 1)

    def test_small_spool_recycles_and_fails_nothing(self):
        with harness.Server("--spool-size=16Mi", "--segment-size=1Mi") as server:
            ledger = server.spool + ".ledger"
            result = harness.run(harness.LOADGEN, "-q", "-c", "50", "-n", "20000", "-l", "10k", "--ledger", ledger,
                                 f"127.0.0.1:{server.port}")
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            self.assertRegex(result.stdout, r"20 000 accepted \(100.000 %\) +0 failed")
            audit = harness.run(harness.RINGSPOOL, "audit", server.spool, ledger)
            self.assertEqual(audit.returncode, 3, audit.stdout + audit.stderr)
            for word in ("lost", "duplicated", "corrupt"):
                self.assertRegex(audit.stdout, rf"(?m)^{word} +0$")
            self.assertRegex(audit.stdout, r"(?m)^expired +[1-9]")
            self.assertEqual(server.stop(), 0)

    def test_full_spool_refuses_and_resumes(self):
        with harness.Server("--spool-size=8Mi", "--segment-size=1Mi", "--when-full", "refuse") as server, \
                server.connect() as client:
            client.begin()
            content = b"Subject: fill\r\n\r\n" + (b"y" * 98 + b"\r\n") * 2000
            answers = []
            for _ in range(100):
                answers.append(client.deliver(content))
                if not answers[-1].startswith(b"250"):
                    break
            self.assertTrue(answers[-1].startswith(b"452 4.3.1 "), answers[-1])
            stored = sum(answer.startswith(b"250") for answer in answers)
            self.assertGreater(stored, 10)
            self.assertEqual(len(harness.listed(server.spool)), stored)
            self.assertTrue(client.ask(b"RSET\r\n").startswith(b"250"))
            self.assertTrue(client.ask(b"MAIL FROM:<a@b>\r\n").startswith(b"452 4.3.1 "))
            trim = harness.run(harness.RINGSPOOL, "trim", server.spool, "--keep", "1Mi")
            self.assertEqual(trim.returncode, 0, trim.stderr)
            end = time.monotonic() + 1.0
            while not (answer := client.deliver(content)).startswith(b"250") and time.monotonic() < end:
                client.ask(b"RSET\r\n")
                time.sleep(0.05)
            self.assertTrue(answer.startswith(b"250"), answer)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(harness.run(harness.RINGSPOOL, "verify", server.spool).returncode, 0)

    def test_refusing_spool_trimmed_again_and_again(self):
        """More segments than the bound holds pass through in one run; none of the bookkeeping runs out."""
        with harness.Server("--spool-size=4Mi", "--segment-size=1Mi", "--when-full", "refuse", threads=1) as server, \
                server.connect() as client:
            client.begin()
            content = b"Subject: fill\r\n\r\n" + (b"z" * 98 + b"\r\n") * 7000
            stored = 0
            end = time.monotonic() + 60 * harness.SLOWNESS
            while stored < 460 and time.monotonic() < end:
                if client.deliver(content).startswith(b"250"):
                    stored += 1
                    continue
                client.ask(b"RSET\r\n")
                trim = harness.run(harness.RINGSPOOL, "trim", server.spool, "--all")
                self.assertEqual(trim.returncode, 0, trim.stderr)
                time.sleep(0.05)
            self.assertGreaterEqual(stored, 460)
            self.assertEqual(server.stop(), 0)

    def test_full_refusing_spool_starts_again(self):
        options = ("--spool-size=6Mi", "--segment-size=1Mi", "--when-full", "refuse")
        content = b"Subject: fill\r\n\r\n" + (b"z" * 98 + b"\r\n") * 3000
        with harness.Server(*options, threads=1) as first:
            with first.connect() as client:
                client.begin()
                while client.deliver(content).startswith(b"250"):
                    pass
            stored = len(harness.listed(first.spool))
            first.kill()
            with harness.Server(*options, threads=2, spool=first.spool) as second, second.connect() as client:
                client.begin()
                for _ in range(100):
                    answer = client.ask(b"MAIL FROM:<a@b>\r\n")
                    if answer.startswith(b"452"):
                        break
                    client.ask(b"RSET\r\n")
                    self.assertTrue(client.deliver(content)[:3] in (b"250", b"452"))
                self.assertTrue(answer.startswith(b"452 4.3.1 "), answer)
                self.assertGreaterEqual(len(harness.listed(first.spool)), stored)

    def test_killed_before_any_mail_leaves_no_segments_behind(self):
        with harness.Server("--spool-size=16Mi", "--segment-size=1Mi") as first:
            first.kill()
            for _ in range(5):
                with harness.Server("--spool-size=16Mi", "--segment-size=1Mi", spool=first.spool,
                                    port=first.port) as again: # the same port, at once
                    again.kill()
            segments = [name for _, _, names in os.walk(first.spool) for name in names if name.endswith(".seg")]
            self.assertLessEqual(len(segments), 6)

    def test_spool_removed_while_serving(self):
        """No segment can be made any more: an answer, not silence."""
        with harness.Server("--spool-size=6Mi", "--segment-size=1Mi", threads=1) as server, server.connect() as client:
            client.begin()
            shutil.rmtree(server.spool)
            content = b"Subject: fill\r\n\r\n" + (b"z" * 98 + b"\r\n") * 7000
            answers = [client.deliver(content)]
            while answers[-1].startswith(b"250") and len(answers) < 20:
                answers.append(client.deliver(content))
            self.assertTrue(answers[-1].startswith(b"452 4.3.1 "), answers[-1])
            self.assertIn("no segment can be made", server.output())

    def test_odd_segment_size(self):
        with harness.Server("--segment-size", "1500000") as server, server.connect() as client:
            client.begin()
            self.assertTrue(client.deliver(b"x\r\n").startswith(b"250"))

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_another_user_on_a_privileged_port(self):
        home = tempfile.mkdtemp(prefix="ringsink-user-")
        self.addCleanup(shutil.rmtree, home, True)
        os.chmod(home, 0o777)
        with harness.Server("-u", "nobody", spool=os.path.join(home, "spool"), port=997) as server, \
                server.connect() as client:
            client.begin()
            self.assertTrue(client.deliver(b"x\r\n").startswith(b"250"))
            self.assertNotEqual(os.stat(os.path.join(home, "spool")).st_uid, 0)

    def test_slow_open_message_does_not_stop_a_small_spool(self):
        """A client that holds a message open while the spool turns over gets 451, the others go on."""
        with harness.Server("--spool-size=16Mi", "--segment-size=1Mi", threads=1) as server, server.connect() as slow:
            slow.begin()
            for command in (b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n", b"DATA\r\n"):
                slow.ask(command)
            slow.send(b"Subject: slow\r\n\r\nfirst line\r\n")
            result = harness.run(harness.LOADGEN, "-q", "-c", "20", "-n", "5000", "-l", "10k",
                                 f"127.0.0.1:{server.port}")
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            self.assertRegex(result.stdout, r"(?m)^Messages/sec:")
            self.assertTrue(slow.ask(b"last line\r\n.\r\n").startswith(b"451 4.3.0 "))
            self.assertTrue(slow.deliver(b"again\r\n").startswith(b"250"))

    def test_stop_after_messages(self):
        with harness.Server("-M", "3") as server:
            with server.connect() as client:
                client.begin()
                for _ in range(3):
                    self.assertTrue(client.deliver(b"x\r\n").startswith(b"250"))
                self.assertTrue(client.reply().startswith(b"421 "))
            self.assertEqual(server.process.wait(10), 0)

    def test_stop_after_sessions(self):
        with harness.Server("-n", "2") as server:
            for _ in range(2):
                with server.connect() as client:
                    client.begin()
                    client.ask(b"QUIT\r\n")
            self.assertEqual(server.process.wait(10), 0)

    def test_drain(self):
        """An idle session gets 421; a message in flight is finished; then the server ends."""
        with harness.Server() as server, server.connect() as idle, server.connect() as busy:
            idle.begin()
            busy.begin()
            for command in (b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n", b"DATA\r\n"):
                busy.ask(command)
            busy.send(b"Subject: in flight\r\n\r\nbody\r\n")
            server.process.send_signal(signal.SIGTERM)
            self.assertTrue(idle.reply().startswith(b"421 4.3.2 "))
            self.assertEqual(idle.reply(), b"")
            self.assertTrue(busy.ask(b".\r\n").startswith(b"250"))
            self.assertTrue(busy.reply().startswith(b"421 "))
            self.assertEqual(server.process.wait(10), 0)
            self.assertEqual(len(harness.listed(server.spool)), 1)

    def test_drain_is_bounded_and_a_second_signal_stops_at_once(self):
        for numbers, longest in (((signal.SIGTERM,), 8), ((signal.SIGINT, signal.SIGINT), 2)):
            with harness.Server() as server, server.connect() as busy:
                busy.begin()
                for command in (b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n", b"DATA\r\n"):
                    busy.ask(command)
                started = time.monotonic()
                for number in numbers:
                    server.process.send_signal(number)
                    time.sleep(0.2)
                self.assertEqual(server.process.wait(15), 0)
                self.assertLess(time.monotonic() - started, longest)
                self.assertEqual(harness.listed(server.spool), [])

    def test_sigusr1_prints_totals(self):
        with harness.Server() as server:
            with server.connect() as client:
                client.begin()
                client.deliver(b"x\r\n")
            server.process.send_signal(signal.SIGUSR1)
            time.sleep(0.3)
            self.assertIn("messages answered 250", server.output())

    def test_discard_keeps_nothing(self):
        with harness.Server("--durability", "discard") as server:
            result = harness.run(harness.LOADGEN, "-q", "-c", "10", "-n", "1000", "-l", "1k", f"127.0.0.1:{server.port}")
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.totals()["messages answered 250"], 1000)


if __name__ == "__main__":
    harness.main()
