"""ringspool export: what mail readers find in the mailboxes, and what can't be made to happen."""
import fcntl
import mailbox
import os
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import harness
import peers

HEAD = re.compile(
    rb"Return-Path: <(?P<sender>[^\n]*)>\n"
    rb"Received: from client\.test \(\[127\.0\.0\.1\]\)\n"
    rb"\tby \S+ with ESMTP id (?P<id>\d+\.\d+\.\d+)\n"
    rb"\tfor <(?P<recipient>[^\n]*)>; "
    rb"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000\n")
LETTER = (b"Subject: first\r\nFrom: a@client.test\r\n\r\n"
          b"From here\r\n>From there\r\nFrom: no\r\n a\rb\r\n.dot\r\n\r\nend\r\n")
ON_THE_WIRE = LETTER.replace(b"\r\n.dot", b"\r\n..dot")


def drain(descriptor):
    try:
        while os.read(descriptor, 4096):
            pass
    except OSError: # the terminal's other end is closed
        pass


def unquoted(text):
    return re.sub(rb"(?m)^>(>*From )", rb"\1", text)


class Export(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="ringspool-export-")
        self.addCleanup(shutil.rmtree, self.home, True)
        self.mail = os.path.join(self.home, "mail")

    def server(self, options=(), **more):
        server = harness.Server(*options, **more)
        self.addCleanup(server.close)
        return server

    def send(self, server, recipients=(b"b@sink.test",), content=ON_THE_WIRE, sender=b"a@client.test"):
        with server.connect() as client:
            client.begin()
            self.assertTrue(client.ask(b"MAIL FROM:<" + sender + b">\r\n").startswith(b"250"))
            for recipient in recipients:
                self.assertTrue(client.ask(b"RCPT TO:<" + recipient + b">\r\n").startswith(b"250"))
            if content.endswith(b"\r\n"):
                self.assertTrue(client.ask(b"DATA\r\n").startswith(b"354"))
                reply = client.ask(content + b".\r\n")
            else:
                reply = client.ask(b"BDAT %d LAST\r\n" % len(content) + content)
            self.assertTrue(reply.startswith(b"250"), reply)
            return re.search(rb"queued as (\S+)", reply)[1].decode()

    def export(self, server, to, status=0):
        result = harness.run(harness.RINGSPOOL, "export", server.spool, "--to", f"{to}:{self.mail}")
        self.assertEqual(result.returncode, status, result.stderr)
        return result

    def mailboxes(self):
        """What stands in the folder but the file that says how far an export came."""
        names = os.listdir(self.mail)
        [state] = [name for name in names if name.startswith(".ringspool-")]
        return sorted(name for name in names if name != state)

    def forget(self):
        for name in os.listdir(self.mail):
            if name.startswith(".ringspool-"):
                os.unlink(os.path.join(self.mail, name))

    def split(self, text):
        """The head's groups, and what comes behind it."""
        match = HEAD.match(text)
        self.assertIsNotNone(match, text)
        return match, text[match.end():]

    def maildir(self, name):
        # The files themselves: mailbox.Maildir must find as many, but would parse them.
        box = mailbox.Maildir(os.path.join(self.mail, name), factory=None, create=False)
        letters = [box.get_bytes(key) for key in box.keys()]
        new = os.path.join(self.mail, name, "new")
        self.assertEqual(len(os.listdir(new)) + len(os.listdir(os.path.join(self.mail, name, "cur"))), len(letters))
        self.assertEqual(os.listdir(os.path.join(self.mail, name, "tmp")), [])
        return letters

    def test_maildir(self):
        server = self.server()
        identifier = self.send(server, [b"b@sink.test", b"C@Sink.Test", b"b@SINK.test"])
        result = self.export(server, "maildir")
        self.assertIn("1 messages, 2 delivered, 0 there already, 0 failed", result.stdout)
        self.assertEqual(self.mailboxes(), ["%43@sink.test", "b@sink.test"])
        for name, recipients in (("b@sink.test", [b"b@sink.test", b"b@SINK.test"]),
                                 ("%43@sink.test", [b"C@Sink.Test"])):
            [letter] = self.maildir(name)
            head, content = self.split(letter)
            self.assertEqual(head["sender"], b"a@client.test")
            self.assertEqual(head["id"].decode(), identifier)
            self.assertIn(head["recipient"], recipients)
            self.assertEqual(content, LETTER.replace(b"\r\n", b"\n"))
            self.assertEqual(os.stat(os.path.join(self.mail, name)).st_mode & 0o777, 0o700)

    def test_maildir_again_brings_only_what_is_new(self):
        server = self.server()
        for number in range(5):
            self.send(server, content=b"Subject: %d\r\n\r\n" % number)
        self.export(server, "maildir")
        folder = os.path.join(self.mail, "b@sink.test")
        read = sorted(os.listdir(os.path.join(folder, "new")))[0]
        os.rename(os.path.join(folder, "new", read), os.path.join(folder, "cur", read + ":2,S"))
        self.send(server, content=b"Subject: 5\r\n\r\n")
        self.assertIn("1 messages, 1 delivered, 0 there already, 0 failed", self.export(server, "maildir").stdout)
        self.forget() # as when an export was killed: the names tell what is there
        self.assertIn("6 messages, 0 delivered, 6 there already, 0 failed", self.export(server, "maildir").stdout)
        subjects = sorted(re.search(rb"Subject: (\d)", letter)[1] for letter in self.maildir("b@sink.test"))
        self.assertEqual(subjects, [b"0", b"1", b"2", b"3", b"4", b"5"])

    def test_quoted_and_plain_forms_are_one_mailbox(self):
        """RFC 5321 4.1.2: what is quoted without need is the same mailbox, which gets the message once."""
        server = self.server()
        self.send(server, [b'"b"@sink.test', b"b@sink.test", b'"b\\ b"@sink.test', b'"b b"@SINK.test'])
        self.send(server, [b'"\\b"@sink.test'])
        self.assertIn("2 messages, 3 delivered", self.export(server, "maildir").stdout)
        self.assertEqual(self.mailboxes(), ["%22b%20b%22@sink.test", "b@sink.test"])
        self.assertEqual(len(self.maildir("b@sink.test")), 2)

    def test_eml_is_exact(self):
        server = self.server()
        identifier = self.send(server, [b"b@sink.test", b"c@sink.test"])
        self.export(server, "eml")
        self.assertEqual(self.mailboxes(), [identifier + ".eml"])
        with open(os.path.join(self.mail, identifier + ".eml"), "rb") as file:
            octets = file.read()
        self.assertTrue(octets.startswith(b"Return-Path: <a@client.test>\r\nReceived: from client.test "), octets)
        self.assertTrue(octets.endswith(b" +0000\r\n" + LETTER), octets)
        self.assertNotIn(b"\tfor <", octets)
        self.forget()
        self.assertIn("0 delivered, 1 there already", self.export(server, "eml").stdout)

    def test_nasty_recipients_stay_inside(self):
        server = self.server()
        recipients = [b'"../../../x"@y', b'"/etc/passwd"@y', b'".."@y', b'"a\\"b"@y', b"a@[IPv6:::1]", b"-rf@y"]
        self.send(server, recipients)
        self.export(server, "maildir")
        self.assertEqual(os.listdir(self.home), ["mail"])
        self.assertEqual(self.mailboxes(), sorted([
            "%22..%2F..%2F..%2Fx%22@y", "%2Fetc%2Fpasswd@y", "%22..%22@y", "%22a%5C%22b%22@y",
            "a@%5Bipv6%3A%3A%3A1%5D", "%2Drf@y"]))

    def test_planted_links_are_refused(self):
        server = self.server()
        self.send(server, [b"b@sink.test", b"c@sink.test", b"d@sink.test"])
        outside = os.path.join(self.home, "outside")
        os.makedirs(outside)
        os.makedirs(os.path.join(self.mail, "c@sink.test"))
        os.symlink(outside, os.path.join(self.mail, "b@sink.test"))
        os.symlink(outside, os.path.join(self.mail, "c@sink.test", "new"))
        result = self.export(server, "maildir", status=1)
        self.assertIn("1 delivered, 0 there already, 2 failed", result.stdout)
        self.assertEqual(result.stderr.count("a link is in the way"), 2, result.stderr)
        self.assertEqual(os.listdir(outside), [])
        self.assertEqual(len(self.maildir("d@sink.test")), 1)

    def test_mh(self):
        server = self.server()
        folder = os.path.join(self.mail, "b@sink.test")
        os.makedirs(folder)
        with open(os.path.join(folder, "7"), "wb") as file:
            file.write(b"Subject: was there\n\n")
        os.symlink("/etc/passwd", os.path.join(folder, "9"))
        for number in range(3):
            self.send(server, [b"b@sink.test", b"c@sink.test"], content=b"Subject: %d\r\n\r\n" % number + ON_THE_WIRE)
        self.assertIn("3 messages, 6 delivered", self.export(server, "mh").stdout)
        self.assertEqual(sorted(os.listdir(folder)), ["10", "11", "12", "7", "9"])
        self.assertEqual(sorted(os.listdir(os.path.join(self.mail, "c@sink.test"))), ["1", "2", "3"])
        subjects = set()
        box = mailbox.MH(os.path.join(self.mail, "c@sink.test"), create=False)
        for key in box.keys():
            head, content = self.split(box.get_bytes(key))
            self.assertEqual(head["recipient"], b"c@sink.test")
            subject, content = content.split(b"\n\n", 1)
            subjects.add(subject)
            self.assertEqual(content, LETTER.replace(b"\r\n", b"\n"))
        self.assertEqual(subjects, {b"Subject: 0", b"Subject: 1", b"Subject: 2"})

    def test_mbox(self):
        server = self.server()
        os.makedirs(self.mail)
        with open(os.path.join(self.mail, "b@sink.test"), "wb") as file:
            file.write(b"From x Thu Jan  1 00:00:00 1970\nSubject: was there\n\ncut")
        self.send(server, [b"b@sink.test", b"c@sink.test"])
        self.send(server, sender=b"", content=b"From the start\r\n>>From\r\n>>From \r\nno end")
        self.send(server)
        self.assertIn("3 messages, 4 delivered", self.export(server, "mbox").stdout)
        box = mailbox.mbox(os.path.join(self.mail, "b@sink.test"), create=False)
        letters = [box.get_bytes(key) for key in box.keys()]
        froms = [box.get_bytes(key, from_=True).split(b"\n")[0] for key in box.keys()]
        box.close()
        self.assertEqual(letters[0], b"Subject: was there\n\ncut\n")
        contents = []
        for letter, line in zip(letters[1:], froms[1:]):
            head, content = self.split(letter)
            sender = head["sender"] or b"MAILER-DAEMON"
            self.assertRegex(line, rb"^From " + sender + rb" \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}$")
            contents.append(content)
        plain = LETTER.replace(b"\r\n", b"\n")
        self.assertNotIn(b"\nFrom here", contents[0])
        self.assertEqual(sorted(map(unquoted, contents)),
                         sorted([plain, plain, b"From the start\n>>From\n>>From \nno end\n"]))

    def subjects(self, to):
        """Of all messages that a reader finds in b's mailbox, sorted."""
        kind = {"maildir": mailbox.Maildir, "mbox": mailbox.mbox, "mh": mailbox.MH}[to]
        box = kind(os.path.join(self.mail, "b@sink.test"), create=False)
        found = sorted(re.search(rb"\nSubject: (\S+)\n", box.get_bytes(key))[1].decode() for key in box.keys())
        box.close()
        return found

    def test_again_brings_only_what_is_new(self):
        """Into every kind of mailbox, over several segments, and over a restart of the server."""
        with tempfile.TemporaryDirectory() as home:
            spool, number = os.path.join(home, "spool"), 0
            for sizes in ((0, 400_000, 0), (0,), (900_000, 0)):
                with harness.Server("--segment-size=1Mi", "--spool-size=64Mi", spool=spool) as server:
                    for size in sizes:
                        self.send(server, content=b"Subject: %d\r\n\r\n" % number + (b"x" * 78 + b"\r\n") * (size // 80))
                        number += 1
                    for to in ("maildir", "mbox", "mh"):
                        self.mail = os.path.join(home, to)
                        self.assertIn(f"{len(sizes)} messages, {len(sizes)} delivered", self.export(server, to).stdout)
                        self.assertIn("0 messages, 0 delivered", self.export(server, to).stdout)
                        self.assertEqual(self.subjects(to), [str(sent) for sent in range(number)])

    def test_a_spool_made_anew_is_another(self):
        """Its numbers begin again; what it holds is delivered all the same."""
        with tempfile.TemporaryDirectory() as home:
            for number in range(2):
                with harness.Server(spool=os.path.join(home, "spool")) as server:
                    self.assertEqual(self.send(server, content=b"Subject: %d\r\n\r\n" % number).split(".")[1], "1")
                    self.assertIn("1 messages, 1 delivered", self.export(server, "mbox").stdout)
                shutil.rmtree(os.path.join(home, "spool"))
        self.assertEqual(self.subjects("mbox"), ["0", "1"])

    def test_what_failed_is_tried_again(self):
        server = self.server(threads=1)
        os.makedirs(os.path.join(self.mail, "c@sink.test"))
        for number, recipient in enumerate((b"b@sink.test", b"c@sink.test", b"b@sink.test")):
            self.send(server, [recipient], content=b"Subject: %d\r\n\r\n" % number)
        self.assertIn("3 messages, 2 delivered, 0 there already, 1 failed", self.export(server, "mbox", status=1).stdout)
        os.rmdir(os.path.join(self.mail, "c@sink.test"))
        self.assertIn("2 messages, 2 delivered, 0 there already, 0 failed", self.export(server, "mbox").stdout)
        self.assertIn("0 messages", self.export(server, "mbox").stdout)
        self.assertTrue(os.path.isfile(os.path.join(self.mail, "c@sink.test")))

    def test_a_note_that_is_none(self):
        """What was there is not taken for nothing: the operator decides."""
        server = self.server()
        self.send(server)
        self.export(server, "mbox")
        [name] = [name for name in os.listdir(self.mail) if name.startswith(".ringspool-mbox-")]
        for octets in (b"", b"something else\n", b"ringspool export 1\n0 1\n"):
            with open(os.path.join(self.mail, name), "wb") as file:
                file.write(octets)
            self.assertIn(name, self.export(server, "mbox", status=1).stderr)
        self.forget()
        self.assertIn("1 messages, 1 delivered", self.export(server, "mbox").stdout)

    def test_mbox_waits_for_the_lock(self):
        server = self.server()
        self.send(server)
        os.makedirs(self.mail)
        path = os.path.join(self.mail, "b@sink.test")
        with open(path, "w+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            with subprocess.Popen([harness.RINGSPOOL, "export", server.spool, "--to", f"mbox:{self.mail}"],
                                  stdout=subprocess.DEVNULL) as process:
                with self.assertRaises(subprocess.TimeoutExpired):
                    process.wait(0.5)
                self.assertEqual(os.path.getsize(path), 0)
                fcntl.lockf(file, fcntl.LOCK_UN)
                self.assertEqual(process.wait(20), 0)
        self.assertGreater(os.path.getsize(path), len(LETTER))

    def test_links_in_the_place_of_files_are_refused(self):
        server = self.server()
        self.send(server)
        victim = os.path.join(self.home, "victim")
        with open(victim, "wb") as file:
            file.write(b"untouched")
        os.makedirs(self.mail)
        os.symlink(victim, os.path.join(self.mail, "b@sink.test"))
        for to in ("mbox", "mh", "maildir"):
            self.assertIn("a link is in the way", self.export(server, to, status=1).stderr)
        # One that stays inside is refused too: it would deliver into somebody else's mailbox.
        other = os.path.join(self.mail, "c@sink.test")
        os.unlink(os.path.join(self.mail, "b@sink.test"))
        os.symlink("c@sink.test", os.path.join(self.mail, "b@sink.test"))
        for to in ("mbox", "mh", "maildir"):
            self.assertIn("a link is in the way", self.export(server, to, status=1).stderr)
            self.assertFalse(os.path.exists(other))
            os.mkdir(other)
            if to != "mbox":
                self.assertIn("a link is in the way", self.export(server, to, status=1).stderr)
            self.assertEqual(os.listdir(other), [])
            os.rmdir(other)
        with open(victim, "rb") as file:
            self.assertEqual(file.read(), b"untouched")

    def follow(self, server, to):
        process = subprocess.Popen([harness.RINGSPOOL, "export", server.spool, "--to", f"{to}:{self.mail}", "--follow"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def await_count(self, count):
        folder = os.path.join(self.mail, "b@sink.test")
        end = time.monotonic() + 20
        while time.monotonic() < end:
            names = os.listdir(folder) if os.path.isdir(folder) else []
            if len([name for name in names if name.isdigit()]) >= count:
                return
            time.sleep(0.02)
        self.fail(f"{names} are not {count}")

    def test_follow(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number), harness.Server("--segment-size=1Mi") as server:
                shutil.rmtree(self.mail, True)
                self.send(server)
                process = self.follow(server, "mh")
                self.await_count(1)
                large = b"x" * 70 + b"\r\n"
                for count in range(2, 8):
                    self.send(server, content=b"Subject: %d\r\n\r\n" % count + large * 6000)
                    self.await_count(count)
                process.send_signal(number)
                output, errors = process.communicate(timeout=20)
                self.assertEqual((process.returncode, errors), (0, ""))
                self.assertIn("7 messages, 7 delivered, 0 there already, 0 failed", output)

    def test_follow_as_a_mail_server_for_tests(self):
        """As README has it: what swaks sends is in the Maildir within a second, and in no other way twice."""
        server = self.server()
        folder = os.path.join(self.mail, "b@sink.test", "new")
        process = self.follow(server, "maildir")
        for count in (1, 2, 3):
            result = harness.run(peers.need("swaks", "swaks"), "--server", f"127.0.0.1:{server.port}", "--to",
                                 "b@sink.test", "--from", "a@client.test", "--header", f"Subject: {count}")
            self.assertEqual(result.returncode, 0, result.stdout)
            end = time.monotonic() + (10 if harness.IS_SANITIZED else 1)
            while not os.path.isdir(folder) or len(os.listdir(folder)) < count:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)
            if count == 2: # a restart goes on where it was
                process.send_signal(signal.SIGTERM)
                self.assertIn("2 messages, 2 delivered", process.communicate(timeout=20)[0])
                process = self.follow(server, "maildir")
        process.send_signal(signal.SIGTERM)
        self.assertIn("1 messages, 1 delivered, 0 there already", process.communicate(timeout=20)[0])
        self.assertEqual(self.subjects("maildir"), ["1", "2", "3"])

    def test_follow_waits_for_the_spool(self):
        """Both are started at once; and a signal ends what waits in vain."""
        spool = os.path.join(self.home, "spool")
        for is_served in (False, True):
            process = subprocess.Popen([harness.RINGSPOOL, "export", spool, "--to", f"mh:{self.mail}", "--follow"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(process.kill)
            self.assertIn(f"waiting for a spool in {spool}", process.stderr.readline())
            self.assertFalse(os.path.exists(self.mail))
            if is_served:
                self.send(self.server(spool=spool))
                self.await_count(1)
            process.send_signal(signal.SIGTERM)
            output, errors = process.communicate(timeout=20)
            self.assertEqual((process.returncode, errors), (0, ""))
        self.assertIn("1 messages, 1 delivered", output)

    def test_follow_costs_little_while_nothing_comes(self):
        """Segments that stay mapped are not faulted in again, pass by pass."""
        server = self.server(options=("--segment-size=1Mi", "--spool-size=256Mi"), threads=1)
        for _ in range(10):
            self.send(server, content=(b"x" * 998 + b"\r\n") * 9500)
        process = self.follow(server, "mh")
        self.await_count(10)
        faults = [self.page_faults(process)]
        while len(faults) < 12 and (len(faults) < 2 or faults[-1] - faults[-2] >= 20):
            time.sleep(1) # for three seconds a file's time might still hide a change
            faults.append(self.page_faults(process))
        self.assertLess(faults[-1] - faults[-2], 20, faults)
        self.send(server, content=b"Subject: last\r\n\r\n")
        self.await_count(11)

    @staticmethod
    def page_faults(process):
        with open(f"/proc/{process.pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[7])

    @unittest.skipUnless(harness.run("unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt").returncode == 0,
                         "a file system can't be mounted here")
    def test_full_disk_leaves_whole_messages(self):
        server = self.server()
        for _ in range(20):
            self.send(server, content=b"Subject: whole\r\n\r\n" + (b"x" * 70 + b"\r\n") * 400)
        os.mkdir(self.mail)
        for to in ("maildir", "mh", "mbox", "eml"):
            # Only what the command leaves behind can be seen: its file system goes with it.
            result = harness.run(
                "unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=256k none "$1" || exit 99; "$2" export "$3" '
                '--to "$4:$1"; code=$?; find "$1" -type f -exec cat {} + | tr -d "\\r"; exit $code',
                "sh", self.mail, harness.RINGSPOOL, server.spool, to)
            self.assertEqual(result.returncode, 1, result.stderr)
            [count] = map(int, re.findall(r"No space left on device; (\d+) were delivered", result.stderr))
            self.assertIn(count, range(1, 20))
            self.assertEqual(result.stdout.count("Return-Path: "), count)
            self.assertEqual(result.stdout.count("x" * 70 + "\n"), 400 * count)

    @unittest.skipUnless(shutil.which("mutt"), "mutt is not installed")
    def test_mutt_reads_them(self):
        server = self.server()
        self.send(server)
        for to in ("maildir", "mbox", "mh"):
            with self.subTest(to):
                shutil.rmtree(self.mail, True)
                self.export(server, to)
                if to == "mh": # how mutt knows such a folder
                    with open(os.path.join(self.mail, "b@sink.test", ".mh_sequences"), "wb"):
                        pass
                self.mutt_reads("b@sink.test")
                os.unlink(os.path.join(self.home, "printed"))

    @unittest.skipUnless(os.access("/usr/bin/mh/scan", os.X_OK), "nmh is not installed")
    def test_nmh_reads_mh(self):
        server = self.server()
        for _ in range(2):
            self.send(server)
        self.export(server, "mh")
        with open(os.path.join(self.home, "profile"), "w") as file:
            file.write(f"Path: {self.mail}\n")
        environment = {**os.environ, "MH": os.path.join(self.home, "profile"), "HOME": self.home}
        result = harness.run("/usr/bin/mh/scan", "+b@sink.test", "-format", "%(msg) %{subject} %{return-path}",
                             env=environment, stdin=subprocess.DEVNULL)
        self.assertEqual(result.stdout, "1 first <a@client.test>\n2 first <a@client.test>\n", result.stderr)

    @unittest.skipUnless(shutil.which("s-nail"), "s-nail is not installed")
    def test_s_nail_counts_them(self):
        server = self.server()
        for _ in range(3):
            self.send(server)
        for to in ("maildir", "mbox"):
            with self.subTest(to):
                shutil.rmtree(self.mail, True)
                self.export(server, to)
                result = harness.run("s-nail", "-n", "-R", "-f", os.path.join(self.mail, "b@sink.test"),
                                     input="from *\nexit\n", env={**os.environ, "HOME": self.home})
                self.assertIn(": 3 messages", result.stdout, result.stderr)

    def test_mail_reads_them(self):
        """mailutils' mail, which knows all three and takes the quotes of an mbox off again."""
        server = self.server()
        for _ in range(3):
            self.send(server)
        for to in ("maildir", "mbox", "mh"):
            with self.subTest(to):
                shutil.rmtree(self.mail, True)
                self.export(server, to)
                shown = peers.mail_read(f"{to}:{self.mail}/b@sink.test", b"from *\nprint 3\nexit\n")
                self.assertIn(b": 3 messages 3 new\n", shown)
                self.assertEqual(len(re.findall(rb"(?m)^[> ]N +[123] a@client\.test .* first$", shown)), 6, shown)
                self.assertIn(b"\nSubject: first\n", shown)
                self.assertIn(b"\nFrom here\n>From there\nFrom: no\n a\rb\n.dot\n\nend\n", shown)

    def mutt_reads(self, name):
        master, terminal = pty.openpty()
        self.addCleanup(os.close, master)
        mutt = subprocess.Popen(
            ["mutt", "-n", "-F", "/dev/null", "-R", "-f", os.path.join(self.mail, name), "-e",
             f"set wait_key=no print=yes folder={self.home} print_command='cat >{self.home}/printed'; "
             "push <print-message><exit>"],
            stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
            env={**os.environ, "TERM": "vt100", "HOME": self.home})
        os.close(terminal)
        reader = threading.Thread(target=drain, args=(master,), daemon=True)
        reader.start()
        self.addCleanup(mutt.wait)
        self.addCleanup(mutt.kill)
        self.assertEqual(mutt.wait(30), 0)
        printed = os.path.join(self.home, "printed")
        self.assertTrue(os.path.exists(printed))
        with open(printed, "rb") as file:
            self.assertIn(b"Subject: first", file.read())

    def test_wrong_usage(self):
        server = self.server()
        for arguments, status, word in (
                ([], 2, "--to"), (["--to", "maildir"], 2, "maildir:DIR"), (["--to", "maildir:"], 2, "maildir:DIR"),
                (["--to", f"zip:{self.mail}"], 2, "maildir:DIR"),
                (["--to", f"eml:{self.home}/none/below"], 1, "can't open the folder")):
            result = harness.run(harness.RINGSPOOL, "export", server.spool, *arguments)
            self.assertEqual(result.returncode, status, arguments)
            self.assertIn(word, result.stderr)
        result = harness.run(harness.RINGSPOOL, "list", server.spool, "--follow")
        self.assertEqual(result.returncode, 2)
        result = harness.run(harness.RINGSPOOL, "export", self.home + "/none", "--to", f"eml:{self.mail}")
        self.assertEqual(result.returncode, 73, result.stderr)
        self.assertFalse(os.path.exists(self.mail))


if __name__ == "__main__":
    harness.main()
