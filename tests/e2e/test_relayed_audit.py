"""ringspool audit --relayed, with a relay between loadgen and ringsink that is known to do wrong."""
import base64
import csv
import json
import os
import queue
import random
import re
import shutil
import socketserver
import struct
import tempfile
import threading
import time
import unittest
import zlib

import harness

HEADER = re.compile(rb"^X-Loadgen: (v1 run=[0-9a-f]+) (seq=(\d+)) (size=\d+) (xxh3=[0-9a-f]+)\r\n", re.M)
OTHER_BOOT = "0123456789abcdef0123456789abcdef"


def split_fields(head):
    """The header section as a list of fields, each with what is folded onto it."""
    return re.findall(rb"[^\r\n]+\r\n(?:[ \t][^\r\n]*\r\n)*", head)


def rewrite(content, chance):
    """What relays do to headers: more of them, in another order, in other letters, folded elsewhere."""
    head, body = content.split(b"\r\n\r\n", 1)
    fields = []
    for field in split_fields(head + b"\r\n"):
        name, value = field.split(b":", 1)
        if name == b"X-Loadgen":
            words = value.split()
            name = chance.choice([b"X-Loadgen", b"x-loadgen", b"X-LOADGEN", b"X-LoadGen"])
            value = b""
            for word in words:
                value += chance.choice([b" ", b"\r\n ", b"\r\n\t", b"  "]) + word
            value += b"\r\n"
        elif chance.random() < 0.5:
            name = name.upper()
        fields.append(name + b":" + value)
    chance.shuffle(fields)
    trace = b"Received: from client.test (client.test [127.0.0.1])\r\n\tby relay.test with ESMTP; %d\r\n" % time.time()
    return trace + b"Return-Path: <a@b.test>\r\n" + b"".join(fields) + b"\r\n" + body


class Relay:
    """Takes mail, answers 250, and delivers it to `port` behind that reply; `plan` tells what else it does.

    plan: sequence -> one of drop, twice, once-more, alter, split, half, refuse, bounce, or seconds of delay.
    """

    def __init__(self, port, plan):
        self.port = port
        self.plan = plan
        self.chance = random.Random(4711)
        self.waiting = queue.Queue()
        self.lock = threading.Lock()
        self.outstanding = 0
        relay = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                relay.serve(self)

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 100

        self.listener = Listener(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.listener.server_address[1]}"
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()
        for _ in range(2):
            threading.Thread(target=self.deliver_all, daemon=True).start()

    def serve(self, client):
        recipients = []

        def say(text):
            client.wfile.write(text + b"\r\n")

        say(b"220 relay.test")
        for line in client.rfile:
            verb = line[:4].upper()
            if verb == b"EHLO":
                say(b"250-relay.test\r\n250 PIPELINING")
            elif verb == b"RCPT":
                recipients.append(line[line.index(b"<") + 1:line.rindex(b">")])
                say(b"250 ok")
            elif verb == b"DATA":
                say(b"354 go")
                say(self.take(b"".join(self.content_of(client)), recipients))
                recipients = []
            elif verb == b"QUIT":
                say(b"221 bye")
                return
            else:
                say(b"250 ok")

    @staticmethod
    def content_of(client):
        for line in client.rfile:
            if line == b".\r\n":
                return
            yield line[1:] if line.startswith(b".") else line

    def take(self, content, recipients):
        """Queues what is to be delivered; the reply."""
        sequence = int(HEADER.search(content)[3])
        todo = self.plan.get(sequence, "deliver")
        with self.lock:
            changed = rewrite(content, self.chance)
        if todo == "alter":
            changed = changed[:-9] + bytes([changed[-9] ^ 1]) + changed[-8:]
        if todo == "bounce":
            self.put(b"", recipients[:1], b"Subject: could not deliver\r\n\r\n" + content)
        elif todo == "split":
            for recipient in recipients:
                self.put(b"a@b.test", [recipient], changed)
        elif todo == "half":
            self.put(b"a@b.test", recipients[:1], changed)
        elif todo != "drop":
            self.put(b"a@b.test", recipients, changed, todo if isinstance(todo, float) else 0)
        if todo == "twice":
            self.put(b"a@b.test", [recipient.replace(b"sink", b"SINK") for recipient in recipients], changed)
        if todo == "once-more":
            self.put(b"a@b.test", recipients[1:], changed)
        return b"451 later" if todo == "refuse" else b"250 queued"

    def put(self, sender, recipients, content, delay=0):
        with self.lock:
            self.outstanding += 1
        item = (sender, recipients, content)
        if delay:
            threading.Timer(delay, self.waiting.put, [item]).start()
        else:
            self.waiting.put(item)

    def deliver_all(self):
        with harness.Dialogue(self.port) as server:
            server.begin(b"relay.test")
            while True:
                sender, recipients, content = self.waiting.get()
                if content is None:
                    return
                for command in (b"MAIL FROM:<%s>" % sender, *(b"RCPT TO:<%s>" % recipient for recipient in recipients)):
                    assert server.ask(command + b"\r\n").startswith(b"250")
                assert server.ask(b"DATA\r\n").startswith(b"354")
                stuffed = re.sub(rb"^\.", b"..", content, flags=re.M)
                assert server.ask(stuffed + b".\r\n").startswith(b"250")
                with self.lock:
                    self.outstanding -= 1

    def wait(self, seconds=60):
        end = time.monotonic() + seconds
        while self.outstanding > 0:
            if time.monotonic() > end:
                raise AssertionError(f"{self.outstanding} messages were not delivered")
            time.sleep(0.02)

    def close(self):
        for _ in range(2):
            self.waiting.put((None, None, None))
        self.listener.shutdown()
        self.listener.server_close()


def decode(text):
    """How many values an HdrHistogram V2 text counts."""
    packed = base64.b64decode(text)
    payload = zlib.decompress(packed[8:])
    size, = struct.unpack(">I", payload[4:8])
    total, at = 0, 40
    while at < 40 + size:
        value, shift = 0, 0
        while True:
            octet = payload[at]
            at += 1
            value |= (octet if shift == 56 else octet & 0x7f) << shift
            shift += 7
            if octet < 0x80 or shift == 63:
                break
        number = value >> 1 ^ -(value & 1)
        total += max(number, 0)
    return total


def move(source, target, seconds=0, boot=OTHER_BOOT):
    """A ledger as a generator would have written it whose clock is so far ahead, on another machine."""
    shift = int(seconds * 1e9)
    with open(source) as lines, open(target, "w") as moved:
        for line in lines:
            if line.startswith("#"):
                line = re.sub(r"boot=\w+", f"boot={boot}", line)
                line = re.sub(r"clock=(-?\d+)", lambda clock: f"clock={int(clock[1]) + shift}", line)
            else:
                fields = line.split()
                for field in (4, 6):
                    fields[field] = str(int(fields[field]) + shift) if int(fields[field]) else "0"
                line = " ".join(fields) + "\n"
            moved.write(line)
    return target


class Relayed(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="ringsink-relayed-")
        self.addCleanup(shutil.rmtree, self.home)
        self.server = harness.Server()
        self.addCleanup(self.server.close)
        self.ledger = self.path("ledger")

    def path(self, name):
        return os.path.join(self.home, name)

    def load(self, target, ledger, *options):
        result = harness.run(harness.LOADGEN, "-q", "-l", "2k", "--to", "u@sink.test", "--ledger", ledger, *options, target)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def probe(self, name):
        self.load(f"127.0.0.1:{self.server.port}", self.path(name), "-c", "1", "-n", "100")
        return self.path(name)

    def relay(self, plan, *options):
        relay = Relay(self.server.port, plan)
        self.addCleanup(relay.close)
        self.load(relay.address, self.ledger, *options)
        relay.wait()

    def audit(self, *options, ledger=None, expected=0):
        result = harness.run(harness.RINGSPOOL, "audit", "--relayed", "--json", self.server.spool, ledger or self.ledger,
                             *options)
        self.assertEqual(result.returncode, expected, result.stdout + result.stderr)
        return json.loads(result.stdout)

    def run_of(self, ledger):
        with open(ledger) as lines:
            return re.search(r"run=([0-9a-f]{16})", lines.readline())[1]

    def faults(self, path):
        with open(path) as lines:
            return [line.split() for line in lines]


class Faults(Relayed):
    PLAN = {7: "drop", 8: "split", 19: "alter", 30: "twice", 31: "once-more", 44: "half", 51: "refuse", 60: "bounce",
            100: "drop", 101: "alter", 150: "split", 151: "twice", 200: "half", 222: "refuse", 299: 0.4, 300: "drop"}
    WORDS = {"drop": "lost", "bounce": "lost", "alter": "corrupt", "twice": "duplicated", "once-more": "duplicated",
             "half": "partial", "refuse": "refused-present"}
    COPIES = {"lost": 0, "corrupt": 1, "duplicated": 2, "partial": 1, "refused-present": 1}

    def test_the_audit_names_exactly_what_the_relay_did(self):
        self.relay(self.PLAN, "-c", "5", "-n", "300", "-r", "2")
        told = self.audit("--faults", self.path("faults"), "--csv", self.path("csv"), expected=1)
        wanted = [(self.WORDS[todo], self.run_of(self.ledger), str(sequence))
                  for sequence, todo in sorted(self.PLAN.items()) if todo in self.WORDS]
        faults = self.faults(self.path("faults"))
        self.assertEqual([tuple(fault[:3]) for fault in faults], wanted)
        for word, _, sequence, *copies in faults:
            self.assertEqual(len(set(copies)), self.COPIES[word], (word, sequence))
            for copy in copies:
                content = harness.cat(self.server.spool, copy)
                self.assertRegex(re.sub(rb"\r\n[ \t]", b" ", content).lower(), rb"seq=0*%s\b" % sequence.encode())

        counts = {name: told[name] for name in (
            "acknowledged", "found", "lost", "duplicated", "corrupt", "partial", "refused", "refused_present", "delivered",
            "bounced", "others", "unlisted", "recipients_expected", "recipients_delivered", "duplicate_copies", "expired")}
        self.assertEqual(counts, {
            "acknowledged": 298, "found": 294, "lost": 4, "duplicated": 3, "corrupt": 2, "partial": 2, "refused": 2,
            "refused_present": 2, "delivered": 292, "bounced": 1, "others": 0, "unlisted": 0, "recipients_expected": 596,
            "recipients_delivered": 586, "duplicate_copies": 3, "expired": 0})
        self.check_times(told)
        self.check_rows(told)
        text = harness.run(harness.RINGSPOOL, "audit", "--relayed", self.server.spool, self.ledger)
        self.assertEqual(text.returncode, 1)
        # The relay held one for 400 ms; the client looks at its 250 a moment late, and a loaded machine takes longer.
        for line in (r"delivered +292", r"partial +2", r"recipients reached +586 of 596", r"bounced +1",
                     r"accept to delivered +min .* p50 .*ms .*max ((39\d|[4-9]\d\d)ms|[\d.]+s) ", r"clock +one host's", r"verdict +FAILED"):
            self.assertRegex(text.stdout, rf"(?m)^{line}")
        self.assertRegex(text.stderr, r"partial: run=[0-9a-f]+ seq=000000000044 ")

    def check_times(self, told):
        waits = told["accept_to_delivered_ns"]
        self.assertEqual((told["clock"], told["clock_reason"], told["relayed"]), ("monotonic", None, True))
        self.assertLess(told["clock_uncertainty_ns"], 1_000_000)
        self.assertEqual(waits["count"], told["delivered"])
        self.assertEqual(decode(waits["hdr"]), waits["count"])
        self.assertLessEqual(waits["min"], waits["p50"])
        self.assertLessEqual(waits["p50"], waits["p90"])
        self.assertIsNone(waits["p99"])  # of 292, fewer than ten are slower
        self.assertIsNone(waits["p99_9"])
        # The one that the relay held for 0.4 s. What it accepted was delivered behind that.
        self.assertGreater(waits["max"], 390_000_000)
        self.assertLess(waits["p50"], waits["max"])
        self.assertLess(told["first_accepted_ns"], told["last_accepted_ns"])
        self.assertLess(told["first_delivered_ns"], told["last_delivered_ns"])
        self.assertLess(abs(told["last_delivered_ns"] / 1e9 - time.time()), 60)

    def check_rows(self, told):
        with open(self.path("csv")) as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(list(rows[0]), ["time_s", "accepted", "delivered", "backlog", "p50_ms", "p99_ms", "max_ms"])
        self.assertEqual([int(row["time_s"]) for row in rows], list(range(len(rows))))
        accepted = delivered = 0
        for row in rows:
            accepted += int(row["accepted"])
            delivered += int(row["delivered"])
            self.assertEqual(int(row["backlog"]), accepted - delivered)
        self.assertEqual((accepted, delivered), (told["acknowledged"], told["delivered"]))
        self.assertEqual(max(float(row["max_ms"] or 0) for row in rows), round(told["accept_to_delivered_ns"]["max"] / 1e6, 3))

    def test_a_relay_that_does_right(self):
        self.relay({sequence: "split" for sequence in range(1, 200, 3)}, "-c", "3", "-n", "200", "-r", "1-3")
        told = self.audit("--faults", self.path("faults"))
        self.assertEqual((told["acknowledged"], told["delivered"], told["status"]), (200, 200, 0))
        self.assertEqual(told["recipients_delivered"], told["recipients_expected"])
        self.assertEqual(self.faults(self.path("faults")), [])
        text = harness.run(harness.RINGSPOOL, "audit", "--relayed", self.server.spool, self.ledger).stdout
        self.assertIn("everything accepted was delivered, once and unchanged", text)
        # As if nothing stood between, every header that was added is a fault.
        direct = harness.run(harness.RINGSPOOL, "audit", self.server.spool, self.ledger)
        self.assertEqual(direct.returncode, 1)
        self.assertRegex(direct.stdout, r"(?m)^corrupt +200$")

    def test_faults_without_a_relay(self):
        self.load(f"127.0.0.1:{self.server.port}", self.ledger, "-c", "1", "-n", "20")
        with open(self.ledger) as lines:
            start, *entries, end = lines.read().splitlines()
        entries.sort(key=lambda line: int(line.split()[1]))
        run = self.run_of(self.ledger)
        entries[4] = re.sub(r"(^\S+ \S+ \S+ )\S{16}", r"\g<1>0123456789abcdef", entries[4])
        entries[9] = entries[9].replace(" acked ", " refused ")
        lost = entries[0].split()
        lost[1] = "1000"
        with open(self.ledger, "w") as lines:
            lines.write("\n".join([start, " ".join(lost), *reversed(entries), end]) + "\n")
        result = harness.run(harness.RINGSPOOL, "audit", self.server.spool, self.ledger, "--faults", self.path("faults"))
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertNotIn("partial", result.stdout)
        faults = self.faults(self.path("faults"))
        self.assertEqual([fault[:3] for fault in faults],
                         [["corrupt", run, "5"], ["refused-present", run, "10"], ["lost", run, "1000"]])
        self.assertEqual([len(fault) for fault in faults], [4, 4, 3])


class Clocks(Relayed):
    def test_two_hosts_whose_clocks_are_far_apart(self):
        """The same run as if its generator had been elsewhere: probes tell how far its clock was off."""
        before = self.probe("before")
        self.relay({150: 0.4}, "-c", "3", "-n", "300", "-r", "2")
        behind = self.probe("behind")
        one = self.audit("--csv", self.path("csv"))
        self.assertEqual((one["clock"], one["others"]), ("monotonic", 200))
        for ahead in (0, 86400.25, -3600):
            with self.subTest(ahead=ahead):
                ledger, *probes = [move(path, path + ".moved", ahead) for path in (self.ledger, before, behind)]
                two = self.audit("--clock", probes[1], "--clock", probes[0], "--csv", self.path("csv.moved"), ledger=ledger)
                self.assertEqual((two["clock"], two["clock_reason"], two["others"]), ("offset", None, 0))
                self.assertEqual((two["delivered"], two["lost"]), (300, 0))
                self.assertLess(two["clock_uncertainty_ns"], 20_000_000)
                # The offset that was found is 0 within its uncertainty, and all stamps are those of the spool.
                error = two["first_accepted_ns"] - one["first_accepted_ns"]
                self.assertLessEqual(abs(error), two["clock_uncertainty_ns"] + 1000)
                self.assertEqual(two["last_delivered_ns"], one["last_delivered_ns"])
                self.assertAlmostEqual(two["accept_to_delivered_ns"]["max"], one["accept_to_delivered_ns"]["max"],
                                       delta=2 * two["clock_uncertainty_ns"])
                with open(self.path("csv.moved")) as file:
                    self.assertEqual(sum(int(row["delivered"]) for row in csv.DictReader(file)), 300)

    def test_without_a_clock_there_are_no_times_but_a_reason(self):
        before = self.probe("before")
        self.relay({}, "-c", "2", "-n", "50")
        ledger = move(self.ledger, self.path("moved"))
        for options, reason in (((), "give --clock LEDGER"),
                                (("--clock", move(before, self.path("probes"))), "from before the run and from behind it"),
                                (("--clock", before), "different machines")):
            with self.subTest(options=options):
                told = self.audit("--csv", self.path("csv"), *options, ledger=ledger)
                self.assertEqual((told["clock"], told["clock_uncertainty_ns"]), ("none", None))
                self.assertIn(reason, told["clock_reason"])
                self.assertEqual((told["delivered"], told["accept_to_delivered_ns"]["count"]), (50, 0))
                self.assertIsNone(told["accept_to_delivered_ns"]["max"])
                self.assertIsNone(told["accept_to_delivered_ns"]["hdr"])
                with open(self.path("csv")) as file:
                    rows = list(csv.DictReader(file))
                self.assertEqual(sum(int(row["accepted"]) for row in rows), 50)
                self.assertEqual({row["delivered"] + row["backlog"] + row["max_ms"] for row in rows}, {""})
        text = harness.run(harness.RINGSPOOL, "audit", "--relayed", self.server.spool, ledger)
        self.assertEqual(text.returncode, 0)
        self.assertRegex(text.stdout, r"(?m)^no times +run [0-9a-f]{16} was another machine's")
        self.assertNotIn("accept to delivered", text.stdout)

    def test_what_lies_below_the_uncertainty_is_not_told(self):
        """Straight to ringsink each message is there before its reply: no time of it can be told by two clocks."""
        before = self.probe("before")
        self.load(f"127.0.0.1:{self.server.port}", self.ledger, "-c", "4", "-n", "2000")
        behind = self.probe("behind")
        ledger, *probes = [move(path, path + ".moved", 5) for path in (self.ledger, before, behind)]
        two = self.audit("--clock", probes[0], "--clock", probes[1], ledger=ledger)
        self.assertEqual((two["clock"], two["delivered"]), ("offset", 2000))
        self.assertIsNone(two["accept_to_delivered_ns"]["p50"])
        self.assertIsNone(two["accept_to_delivered_ns"]["min"])
        text = harness.run(harness.RINGSPOOL, "audit", "--relayed", self.server.spool, ledger, "--clock", probes[0],
                           "--clock", probes[1]).stdout
        self.assertRegex(text, r"accept to delivered +min <\d[\d.]*[mun]s  p50 <")
        self.assertRegex(text, r"(?m)^clock +two hosts', their offset known to \d")
        # By one clock, 0 is what it is; and no stamp says that it was stored before it was sent.
        one = self.audit()
        self.assertEqual(one["accept_to_delivered_ns"]["p50"], 0)
        self.assertEqual(one["accept_to_delivered_ns"]["delivered_before_accepted"], 2000)

    def test_every_message_is_stored_between_its_sending_and_its_reply(self):
        """Under load, in each mode and with large and small messages: else probes would contradict each other."""
        for options in (("--pipelining", "off"), ("--pipelining", "stream"), ("--bdat", "--window", "8"),
                        ("-l", "200"), ("-l", "300k", "-c", "4", "-n", "200")):
            with self.subTest(options=options):
                self.load(f"127.0.0.1:{self.server.port}", self.path("probes"), "-c", "50", "-n", "5000", *options)
                probes = move(self.path("probes"), self.path("probes.moved"))
                self.load(f"127.0.0.1:{self.server.port}", self.ledger, "-c", "1", "-n", "1")
                told = self.audit("--clock", probes, ledger=move(self.ledger, self.path("moved")))
                # It says that one reading is not enough, and not that there is a contradiction.
                self.assertIn("from before the run and from behind it", told["clock_reason"])


class Usage(Relayed):
    def test_what_does_not_go_together(self):
        self.load(f"127.0.0.1:{self.server.port}", self.ledger, "-c", "1", "-n", "1")
        with open(self.path("text"), "w") as file:
            file.write("no ledger\n")
        audit = ("audit", self.server.spool, self.ledger)
        for arguments, error in (
                ((*audit, "--csv", self.path("csv")), "give --relayed, too"),
                ((*audit, "--clock", self.ledger), "give --relayed, too"),
                (("list", self.server.spool, "--relayed"), "are for audit, not for list"),
                (("list", self.server.spool, "--faults", self.path("faults")), "are for audit, not for list"),
                ((*audit, "--faults", "/no/such/folder/file"), "can't write /no/such/folder/file: No such file"),
                ((*audit, "--relayed", "--csv", "/no/such/folder/file"), "can't write /no/such/folder/file: No such file"),
                ((*audit, "--relayed", "--clock", self.path("text")), "is no ledger"),
                ((*audit, "--relayed", "--clock", self.path("nothing")), "can't read ledger")):
            result = harness.run(harness.RINGSPOOL, *arguments)
            self.assertEqual(result.returncode, 2, (arguments, result.stdout, result.stderr))
            self.assertIn(error, result.stderr)

    def test_a_full_disk_is_told(self):
        self.load(f"127.0.0.1:{self.server.port}", self.ledger, "-c", "1", "-n", "1")
        for option in ("--faults", "--csv"):
            result = harness.run(harness.RINGSPOOL, "audit", "--relayed", self.server.spool, self.ledger, option, "/dev/full")
            expected = 0 if option == "--faults" else 1  # of no fault nothing is written
            self.assertEqual(result.returncode, expected, result.stderr)
            if expected:
                self.assertIn("can't write /dev/full", result.stderr)


if __name__ == "__main__":
    harness.main()
