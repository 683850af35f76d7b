"""The golden dialogues of tests/transcripts, over TCP, and what they must leave in the spool."""
import glob
import os
import sys
import unittest

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = sorted(glob.glob(os.path.join(HERE, "..", "transcripts", "*.smtp")))
# Servers with the options that O: lines ask for.
OPTIONS = {("size_limit", "1000"): ("--size-limit", "1000"), ("size_limit", "10"): ("--size-limit", "10"),
           ("size_limit", "4"): ("--size-limit", "4"), ("recipients_max", "2"): ("--max-recipients", "2")}
# The same with TLS: O: lines that hold together, and the options for them.
TLS_OPTIONS = ((("tls",), ()), (("tls", "tls_required", "auth_tls_required"), ("--require-tls", "--auth-require-tls")))


class Transcripts(unittest.TestCase):
    def replay(self, server, *options, files=FILES):
        result = harness.run(sys.executable, os.path.join(HERE, "transcripts.py"), *options, f"127.0.0.1:{server.port}",
                             *files, timeout=250)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout

    def test_default_server(self):
        with harness.Server() as server:
            output = self.replay(server)
            for name in ("000_telnet", "001_python", "002_netcat", "003_handwritten", "004_telnet"):
                self.assertNotIn(name, output)  # what is skipped is named
            self.assertRegex(output, r"(?m)^[1-9]\d+ passed, 0 failed")
            self.assertEqual(server.stop(), 0)
            self.assertEqual(harness.run(harness.RINGSPOOL, "verify", server.spool).returncode, 0)

    def test_servers_with_options(self):
        for (name, value), options in OPTIONS.items():
            with self.subTest(name=name, value=value), harness.Server(*options) as server:
                files = [path for path in FILES if f"O: {name} {value}\n" in open(path, encoding="latin-1").read()]
                self.assertTrue(files)
                self.replay(server, "--with", f"{name}={value}", files=files)

    def test_servers_with_tls(self):
        for names, options in TLS_OPTIONS:
            wanted = {f"O: {name}\n" for name in names}
            files = [path for path in FILES
                     if {line for line in open(path, encoding="latin-1") if line.startswith("O: ")} == wanted]
            self.assertTrue(files)
            with self.subTest(names=names), harness.Server("--tls", "starttls", *options) as server:
                output = self.replay(server, *(f"--with={name}" for name in names), files=files)
                self.assertIn(" 0 failed, 0 skipped", output)

    def test_content_of_the_dialogues(self):
        """000 and 002 leave what the person typed."""
        for name, content in (("000_telnet_local", b"hello\r\n"),
                              ("002_netcat_mh", b"Hi, Bob!\r\n\r\nLook forward to seeing you at the luncheon on "
                                                b"Tuesday.\r\n\r\nAlice\r\n")):
            with self.subTest(name=name), harness.Server() as server:
                self.replay(server, files=[path for path in FILES if name in path])
                messages = harness.listed(server.spool)
                self.assertTrue(messages)
                for message in messages:
                    self.assertEqual(harness.cat(server.spool, message["id"]), content)


if __name__ == "__main__":
    harness.main()
