"""Every failure gives one clear line and the documented exit status."""
import ctypes
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import unittest

import harness

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
IO_URING_SETUP, IO_URING_REGISTER = 425, 427
EPERM_RETURN = 0x00050000 | 1
ALLOW = 0x7FFF0000


def forbid_io_uring():
    """A seccomp filter such as container engines install: the three calls answer EPERM."""
    def instruction(code, jump_true, jump_false, constant):
        return struct.pack("HBBI", code, jump_true, jump_false, constant)
    program = b"".join((instruction(0x20, 0, 0, 0),                          # load the call's number
                        instruction(0x35, 0, 2, IO_URING_SETUP),            # below: allow
                        instruction(0x25, 1, 0, IO_URING_REGISTER),         # above: allow
                        instruction(0x06, 0, 0, EPERM_RETURN),
                        instruction(0x06, 0, 0, ALLOW)))
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        os._exit(111)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.create_string_buffer(header, len(header)), 0, 0) != 0:
        os._exit(112)


class Failures(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="ringsink-failures-")
        self.addCleanup(shutil.rmtree, self.home, True)
        self.spool = os.path.join(self.home, "spool")
        self.port = harness.free_port()

    def fails(self, command, status, *words, **options):
        result = harness.run(*command, timeout=30, **options)
        self.assertEqual(result.returncode, status, result.stderr)
        lines = [line for line in result.stderr.splitlines() if ": error: " in line]
        self.assertEqual(len(lines), 1, result.stderr)
        for word in words:
            self.assertIn(word, lines[0])

    def ringsink(self, *options):
        return (harness.RINGSINK, f"127.0.0.1:{self.port}", "--spool", self.spool, "--spool-size", "64Mi", *options)

    def test_second_server_on_the_port(self):
        with harness.Server(port=self.port):
            self.fails(self.ringsink(), 75, f"127.0.0.1:{self.port}", "in use", "--reuseport")

    def test_port_shared_on_purpose(self):
        with harness.Server("--reuseport", port=self.port), harness.Server("--reuseport", port=self.port):
            pass

    def test_second_server_on_the_spool(self):
        with harness.Server(spool=self.spool):
            self.fails(self.ringsink(), 75, self.spool, "in use", "--spool")

    def test_wrong_flags(self):
        self.fails(self.ringsink("--spoolsize", "1Gi"), 2, "--spoolsize", "--spool-size")
        self.fails(self.ringsink("-t", "zero"), 2, "-t", "zero")
        self.fails(self.ringsink("-t", "0"), 2, "-t")
        self.fails(self.ringsink("--durability", "paper"), 2, "paper", "discard", "page")
        self.fails(self.ringsink("--idle-timeout", "soon"), 2, "soon")
        self.fails(self.ringsink("-4", "-6"), 2, "-4", "-6")
        self.fails(self.ringsink("100"), 2, "--backlog 100")
        self.fails((harness.RINGSINK, "nonsense:port"), 2, "nonsense:port")
        self.fails(self.ringsink("--segment-size", "64Mi"), 2, "--spool-size")
        self.fails(self.ringsink("--hostname", "two words"), 2, "--hostname")
        self.fails(self.ringsink("-u", "nobody-of-this-name"), 2, "no such user")
        self.fails((harness.LOADGEN, "-c", "many"), 2, "-c", "many")
        self.fails((harness.LOADGEN, "-d", "-c", "10"), 2, "-d")
        self.fails((harness.RINGSPOOL, "lst", self.spool), 2, "lst")

    def test_more_connections_than_descriptors(self):
        self.fails(self.ringsink("-m", "10000000"), 2, "ulimit -")
        self.fails((harness.LOADGEN, "-c", "900000", f"127.0.0.1:{self.port}"), 2, "ulimit -")

    def test_wrong_environment(self):
        self.fails(self.ringsink(), 2, "RINGSINK_THREADS", env={**os.environ, "RINGSINK_THREADS": "x"})
        self.fails(self.ringsink(), 2, "loud", env={**os.environ, "LOG_LEVEL": "loud"})

    def test_missing_directory(self):
        self.spool = os.path.join(self.home, "no", "such", "spool")
        self.fails(self.ringsink(), 73, self.spool, "mkdir -p")

    def test_spool_is_a_file(self):
        with open(self.spool, "w"):
            pass
        self.fails(self.ringsink(), 73, self.spool)

    def test_reading_what_is_no_spool(self):
        for command in ("list", "verify"):
            self.fails((harness.RINGSPOOL, command, self.spool), 73, self.spool)
        os.mkdir(self.spool)
        self.fails((harness.RINGSPOOL, "list", self.spool), 73, self.spool)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_unreadable_spool(self):
        with harness.Server(spool=self.spool):
            pass
        os.chmod(self.home, 0o755)
        self.fails((harness.RINGSPOOL, "list", self.spool), 73, self.spool, user="nobody")
        self.fails(self.ringsink(), 73, self.spool, user="nobody")

    def test_directory_that_others_can_write(self):
        os.mkdir(self.spool)
        os.chmod(self.spool, 0o777)
        with harness.Server(spool=self.spool) as server:
            self.assertIn("others can write", server.output())
            [inner] = os.listdir(self.spool)
            self.assertEqual(os.stat(os.path.join(self.spool, inner)).st_mode & 0o777, 0o700)

    def test_blocked_io_uring(self):
        self.fails(self.ringsink(), 69, "seccomp", preexec_fn=forbid_io_uring)
        self.fails((harness.LOADGEN, "-c", "1", f"127.0.0.1:{self.port}"), 69, "seccomp",
                   preexec_fn=forbid_io_uring)

    @unittest.skipUnless(os.geteuid() == 0, "only root can mount")
    def test_full_disk(self):
        mount = os.path.join(self.home, "small")
        os.mkdir(mount)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mount], check=False).returncode != 0:
            self.skipTest("mounting is not permitted here")
        self.addCleanup(subprocess.run, ["umount", mount], check=False)
        self.spool = os.path.join(mount, "spool")
        self.fails(self.ringsink("-t", "2", "--segment-size", "4Mi"), 73, self.spool, "full")

    def test_nobody_listens(self):
        self.fails((harness.LOADGEN, "-q", "-c", "10", "-d", "1s", f"127.0.0.1:{self.port}"), 1,
                   f"127.0.0.1:{self.port}")

    def test_public_address(self):
        self.fails((harness.LOADGEN, "-c", "1", "192.0.2.1:25"), 2, "--allow-public")

    def test_not_an_smtp_server(self):
        with socket.create_server(("127.0.0.1", self.port)) as listener:
            child = os.fork()
            if child == 0:
                try:
                    for _ in range(50):
                        client, _ = listener.accept()
                        client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                        client.close()
                finally:
                    os._exit(0)
            try:
                result = harness.run(harness.LOADGEN, "-c", "2", "-n", "4", "--timeout", "2s", "-d", "2s",
                                     f"127.0.0.1:{self.port}")
                self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
            finally:
                os.kill(child, 9)
                os.waitpid(child, 0)


if __name__ == "__main__":
    harness.main()
