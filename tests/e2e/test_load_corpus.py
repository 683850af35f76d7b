"""loadgen -F and --corpus: real messages arrive as they are, behind a header that numbers them."""
import json
import os
import tempfile
import unittest

import harness

DOTS = "From: a@x\nSubject: dots\n\n.\n..\n.text\n\nFrom here on\n..."
LARGE = "Subject: large\r\n\r\n" + ".0123456789\r\n" * 5000
UMLAUT = "Subject: gr\u00fc\u00dfe\n\n\u00e4\u00f6\u00fc\n"


def stored(text):
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    return "".join(line + "\r\n" for line in lines).encode()


class Corpus(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="ringsink-corpus-")
        self.addCleanup(lambda: harness.run("rm", "-rf", self.home))
        self.server = harness.Server()
        self.addCleanup(self.server.close)

    def put(self, name, text):
        path = os.path.join(self.home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return path

    def load(self, *options, count=30):
        path = os.path.join(self.home, "result.json")
        ledger = os.path.join(self.home, "ledger")
        known = {message["id"] for message in harness.listed(self.server.spool)}
        result = harness.run(harness.LOADGEN, "-q", "-o", path, "--ledger", ledger, "-c", "2", "-n", count, *options,
                             f"127.0.0.1:{self.server.port}")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        audit = harness.run(harness.RINGSPOOL, "audit", "--json", self.server.spool, ledger)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)
        self.assertEqual(json.loads(audit.stdout)["found"], count)
        with open(path, encoding="utf-8") as file:
            self.result = json.load(file)
        new = [message["id"] for message in harness.listed(self.server.spool) if message["id"] not in known]
        return [harness.cat(self.server.spool, identifier) for identifier in new]

    def contents(self, messages):
        """Without the header in front."""
        for message in messages:
            self.assertTrue(message.startswith(b"X-Loadgen: v1 run="))
        self.assertEqual(len({message.split(b"\r\n")[0] for message in messages}), len(messages))
        return [message.split(b"\r\n", 1)[1] for message in messages]

    def test_one_file_in_every_mode(self):
        for text in (DOTS, LARGE):
            path = self.put("one.eml", text)
            for mode in (("--pipelining", "off"), ("--pipelining", "stream"), ("--bdat", "--window", "4")):
                with self.subTest(size=len(text), mode=mode):
                    self.assertEqual(set(self.contents(self.load("-F", path, *mode))), {stored(text)})
        self.assertEqual(self.result["config"]["file"], path)
        self.assertEqual(self.result["config"]["body"]["p50_bytes"], 5000 * 13)

    def test_directory_maildir_and_mbox(self):
        texts = {"a": DOTS, "b": LARGE, "c": UMLAUT}
        for name, text in texts.items():
            self.put(f"folder/{name}.eml", text)
            self.put(f"maildir/cur/{name}:2,S", text)
        self.put("maildir/new/d", "Subject: new\n\n")
        self.put("mbox", "".join(f"From x\n{text.rstrip().replace('From here', '>From here')}\n\n" for text in (DOTS, UMLAUT)))
        bodies = {stored(text) for text in texts.values()}
        folder = self.contents(self.load("--corpus", os.path.join(self.home, "folder"), count=30))
        self.assertEqual({body: folder.count(body) for body in bodies}, {body: 10 for body in bodies})
        maildir = self.contents(self.load("--corpus", os.path.join(self.home, "maildir"), "--corpus-order", "random", "--seed", "3"))
        self.assertEqual(set(maildir), bodies | {b"Subject: new\r\n\r\n"})
        mbox = self.contents(self.load("--corpus", os.path.join(self.home, "mbox")))
        self.assertEqual(set(mbox), {stored(DOTS), stored(UMLAUT)})

    def test_a_corpus_that_was_sent_before(self):
        """Messages out of a spool carry the header of their first run: the audit goes by the one in front."""
        first = self.load("-l", "500", count=5)
        for index, message in enumerate(first):
            self.put(f"again/{index}.eml", message.decode())
        again = self.load("--corpus", os.path.join(self.home, "again"), count=10)
        self.assertEqual(set(self.contents(again)), set(first))

    def test_addresses_that_are_not_ascii(self):
        options = ("-f", "\u00e4@client.test", "--to", "\u00fc@sink.test", "-r", "2", "-n", "10", "-c", "1")
        for mode in (("--pipelining", "off"), ("--pipelining", "stream"), ("--bdat",)):
            self.load(*options, "-l", "300", *mode, count=10)
        self.assertEqual(harness.listed(self.server.spool)[-1]["from"], "\u00e4@client.test")
        self.assertIn("\u00fc1@sink.test", str(harness.listed(self.server.spool)))
        deaf = harness.Server("--no-smtputf8")
        self.addCleanup(deaf.close)
        refused = harness.run(harness.LOADGEN, "-q", *options, f"127.0.0.1:{deaf.port}")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("SMTPUTF8", refused.stderr)
        wrong = harness.run(harness.LOADGEN, "-q", "-f", b"\xe4@x".decode("utf-8", "surrogateescape"), f"127.0.0.1:{deaf.port}")
        self.assertEqual((wrong.returncode, "UTF-8" in wrong.stderr), (2, True))

    def test_content_of_8_bits_is_announced(self):
        self.server.close()
        self.server = harness.Server("-v")
        self.addCleanup(self.server.close)
        self.load("-F", self.put("umlaut.eml", UMLAUT), count=5)
        self.assertEqual(self.server.output().count("BODY=8BITMIME"), 5)
        self.load("-F", self.put("ascii.eml", DOTS), count=5)
        self.assertEqual(self.server.output().count("BODY=8BITMIME"), 5)

    def test_what_can_not_be_sent(self):
        empty = os.path.join(self.home, "empty")
        os.mkdir(empty)
        one = self.put("one.eml", DOTS)
        for options, text in ((("-F", empty), empty), (("--corpus", empty), "no message"), (("-F", "/none"), "/none"),
                              (("-F", one, "--corpus", empty), "exclude"), (("-F", one, "-l", "5k"), "-l"),
                              (("--corpus-order", "random"), "--corpus")):
            result = harness.run(harness.LOADGEN, *options, f"127.0.0.1:{self.server.port}")
            self.assertEqual((result.returncode, text in result.stderr), (2, True), result.stderr)


if __name__ == "__main__":
    unittest.main()
