"""unix:PATH as an address: who is told, who shares it, what happens to the file."""
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
import unittest

import harness

PATH_MAX = 107


class UnixDialogue(harness.Dialogue):
    def __init__(self, path, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")


class UnixSockets(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="ringsink-unix-")
        self.addCleanup(shutil.rmtree, self.home, True)
        self.path = os.path.join(self.home, "sink.sock")

    def serve(self, *options, **more):
        return harness.Server(f"unix:{self.path}", *options, **more)

    def run_alone(self, *options):
        return harness.run(harness.RINGSINK, f"unix:{self.path}", "--spool", os.path.join(self.home, "spool"),
                           "--spool-size", "64Mi", "-t", "1", *options, timeout=30)

    def fails(self, status, *words):
        result = self.run_alone()
        self.assertEqual(result.returncode, status, result.stderr)
        lines = [line for line in result.stderr.splitlines() if ": error: " in line]
        self.assertEqual(len(lines), 1, result.stderr)
        for word in words:
            self.assertIn(word, lines[0])

    def test_message_and_peer(self):
        with self.serve() as server:
            self.assertIn(f"unix:{self.path}", server.output())
            with UnixDialogue(self.path) as client:
                client.begin()
                self.assertTrue(client.deliver(b"hello\r\n").startswith(b"250 2.0.0 Ok: queued as "))
                self.assertTrue(client.ask(b"QUIT\r\n").startswith(b"221"))
                self.assertEqual(client.reply(), b"")
            [message] = harness.listed(server.spool)
            self.assertEqual(message["peer"], f"unix:pid={os.getpid()},uid={os.getuid()}")
            self.assertEqual(harness.cat(server.spool, message["id"]), b"hello\r\n")
            with server.connect() as client: # TCP beside it
                client.begin()

    def test_all_workers_take_part(self):
        """One listener, and still no worker is left with nothing."""
        with self.serve(threads=2) as server:
            clients = []
            for _ in range(200):
                clients.append(UnixDialogue(self.path))
                clients[-1].begin()
            for client in clients:
                self.assertTrue(client.deliver(b"x\r\n").startswith(b"250"))
                client.close()
            workers = [message["id"].split(".")[0] for message in harness.listed(server.spool)]
            self.assertEqual(len(workers), 200)
            self.assertGreater(min(workers.count("0"), workers.count("1")), 20, workers.count("0"))

    def test_many_at_once(self):
        """More clients than may wait, from several threads; each gets all its replies."""
        def deliver(count, answers):
            for _ in range(count):
                with UnixDialogue(self.path) as client:
                    client.begin()
                    answers.append(client.deliver(b"x\r\n")[:3])
                    client.ask(b"QUIT\r\n")
        with self.serve() as server:
            answers = []
            threads = [threading.Thread(target=deliver, args=(50, answers)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(answers, [b"250"] * 400)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.totals()["messages answered 250"], 400)

    def test_lmtp(self):
        with self.serve("-L") as server, UnixDialogue(self.path) as client:
            client.reply()
            self.assertTrue(client.ask(b"LHLO a\r\n").startswith(b"250"))
            self.assertTrue(client.deliver(b"x\r\n").startswith(b"250"))
            self.assertEqual([message["protocol"] for message in harness.listed(server.spool)], ["LMTP"])

    def test_no_tcp_at_all(self):
        """Only the socket is asked for, so nothing else is bound; SIGTERM ends it and removes the file."""
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen([harness.RINGSINK, f"unix:{self.path}", "--spool", os.path.join(self.home, "spool"),
                                        "--spool-size", "64Mi", "-t", "2"], stderr=log)
            try:
                end = time.monotonic() + 30
                while "\nready\n" not in os.pread(log.fileno(), 1 << 16, 0).decode() and time.monotonic() < end:
                    time.sleep(0.02)
                with UnixDialogue(self.path) as client:
                    client.begin()
                    process.send_signal(signal.SIGTERM)
                    self.assertTrue(client.reply().startswith(b"421 4.3.2 "))
                self.assertEqual(process.wait(10), 0)
                self.assertNotIn("use :PORT", os.pread(log.fileno(), 1 << 16, 0).decode())
            finally:
                process.kill()
                process.wait()
        self.assertFalse(os.path.exists(self.path))

    def test_file_goes_when_the_drain_begins(self):
        """While one client finishes its message nobody new is left waiting at a deaf socket."""
        with self.serve() as server, UnixDialogue(self.path) as busy:
            busy.begin()
            for command in (b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n", b"DATA\r\n"):
                busy.ask(command)
            server.process.send_signal(signal.SIGTERM)
            end = time.monotonic() + 5
            while os.path.exists(self.path) and time.monotonic() < end:
                time.sleep(0.01)
            self.assertFalse(os.path.exists(self.path))
            self.assertIsNone(server.process.poll())
            self.assertTrue(busy.ask(b"x\r\n.\r\n").startswith(b"250"))
            self.assertEqual(server.process.wait(10), 0)

    def test_another_servers_file_stays(self):
        with self.serve() as server:
            os.unlink(self.path)
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(self.path)
                self.assertEqual(server.stop(), 0)
                self.assertTrue(os.path.exists(self.path))

    def test_stale_file_is_replaced(self):
        with self.serve() as first:
            first.kill()
        self.assertTrue(stat.S_ISSOCK(os.lstat(self.path).st_mode))
        with self.serve(), UnixDialogue(self.path) as client:
            client.begin()

    def test_served_socket_is_in_use(self):
        with self.serve(), UnixDialogue(self.path) as client:
            client.begin()
            self.fails(75, f"unix:{self.path}", "in use")
            shared = self.run_alone("--reuseport") # which is for ports
            self.assertEqual(shared.returncode, 75, shared.stderr)
            self.assertTrue(client.ask(b"NOOP\r\n").startswith(b"250"))
            with UnixDialogue(self.path) as again: # the file is still the first one's
                again.begin()

    def test_what_is_no_socket_stays(self):
        with open(self.path, "w") as file:
            file.write("precious")
        self.fails(2, self.path, "no socket")
        with open(self.path) as file:
            self.assertEqual(file.read(), "precious")
        os.unlink(self.path)
        os.symlink("/nowhere", self.path)
        self.fails(2, self.path, "no socket")
        self.assertTrue(os.path.islink(self.path))

    def test_bad_paths(self):
        self.path = os.path.join(self.home, "no", "such", "sink.sock")
        self.fails(1, self.path, "directory")
        self.path = os.path.join(self.home, "x" * (PATH_MAX + 1 - len(self.home) - 1))
        self.fails(2, str(PATH_MAX), str(PATH_MAX + 1))
        self.path = ""
        self.fails(2, "unix:", "unix:/path")

    def test_longest_path(self):
        self.path = os.path.join(self.home, "x" * (PATH_MAX - len(self.home) - 1))
        with self.serve(), UnixDialogue(self.path) as client:
            client.begin()

    def test_mode_is_of_the_umask(self):
        for mask in (0o077, 0o007):
            with self.subTest(mask=oct(mask)):
                old = os.umask(mask)
                self.addCleanup(os.umask, old)
                with self.serve():
                    self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o777 & ~mask)

    def test_too_many(self):
        with self.serve("-m", "2", threads=2) as server:
            clients = [UnixDialogue(self.path).begin() for _ in range(2)]
            for _ in range(10):
                with UnixDialogue(self.path) as refused:
                    self.assertTrue(refused.reply().startswith(b"421 4.3.2 "))
                    self.assertEqual(refused.reply(), b"")
            for client in clients:
                self.assertTrue(client.ask(b"NOOP\r\n").startswith(b"250"))
                client.close()
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.totals()["connections answered 421: the limit was reached"], 10)

    def test_no_descriptor_left(self):
        """Workers that share the listener must not block on a client that another one took."""
        inherited = [os.open("/dev/null", os.O_RDONLY) for _ in range(90)]
        clients = []
        with self.serve("-m", "30", prefix=("prlimit", "--nofile=128:128"), pass_fds=inherited) as server:
            refused = False
            while not refused and len(clients) < 30:
                clients.append(UnixDialogue(self.path))
                refused = clients[-1].reply().startswith(b"421 ")
            self.assertTrue(refused)
            self.assertLess(len(clients), 30)
            for client in clients[:-1]: # nobody is stuck
                self.assertTrue(client.ask(b"NOOP\r\n").startswith(b"250"))
            clients[0].ask(b"QUIT\r\n")
            clients[0].close()
            # All workers wake up; the one that is too late takes the last descriptor too, for a moment.
            for _ in range(50):
                time.sleep(0.1)
                with UnixDialogue(self.path) as accepted:
                    if accepted.reply().startswith(b"220 "):
                        break
            else:
                self.fail("nobody is served though a descriptor is free")
            for client in clients:
                client.close()
            self.assertEqual(server.stop(), 0)
        for descriptor in inherited:
            os.close(descriptor)


if __name__ == "__main__":
    harness.main()
