"""reference -- what an SMTP or LMTP server must answer, step by step.

Written from RFC 5321, 2033, 3030, 1870, 6152, 6531, 3461, 4954, 1985 and 2920, and where these leave room
from what ringsink promises (README, --help): it shares nothing with src/smtp.

A step is what a client does: a command, with its content or its dialogue. Reference.take() says which octets
that puts on the wire in the present state, and which replies must come. A reply is expected as one or more
prefixes of its code: "250", "5", "503 554".
"""
import base64
import dataclasses

LINE_MAX = 4096 # with CR LF: RFC 5321 4.5.3.1.4 and what the extensions add
AUTH_LINE_MAX = 12288


@dataclasses.dataclass
class Server:
    """How the server was started."""
    is_lmtp: bool = False
    size_limit: int = 0
    recipients_max: int = 1000
    credentials: dict = None # {user: password}; None: anybody may log in
    is_auth_required: bool = False


@dataclasses.dataclass
class Step:
    """`kind` names a method of Reference; the rest is what it is told."""
    kind: str
    told: dict = dataclasses.field(default_factory=dict)

    def __str__(self):
        return f"{self.kind}({', '.join(f'{name}={str(value)[:100]!r}' for name, value in self.told.items())})"


@dataclasses.dataclass
class Outcome:
    """What one step sends and gets."""
    wire: bytes = b""
    replies: list = dataclasses.field(default_factory=list)
    server_closes: bool = False # behind the last of these replies
    client_closes: bool = False # without waiting for more
    stored: list = dataclasses.field(default_factory=list) # a message for each 250 that keeps one


@dataclasses.dataclass
class Message:
    sender: str
    recipients: list
    content: bytes


def stuff(content):
    """RFC 5321 4.5.2, for content that is empty or ends in CR LF."""
    lines = content.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)


def encode(text):
    return base64.b64encode(text.encode())


class Reference:
    def __init__(self, server):
        self.server = server
        self.connect()

    def connect(self):
        self.is_greeted = False
        self.is_extended = False
        self.is_authenticated = False
        self.forget()

    def forget(self):
        """No transaction is open."""
        self.sender = None
        self.recipients = []
        self.has_lost_recipients = False
        self.is_binary = False
        self.is_utf8 = False
        self.chunks = None # content of the BDATs so far
        self.is_spent = False # 552 to a chunk: RFC 3030 leaves open what comes next, so RSET follows

    def take(self, step):
        outcome = Outcome()
        if self.is_spent and step.kind != "rset":
            self.forget()
            outcome.wire += b"RSET\r\n"
            outcome.replies.append("250")
        getattr(self, step.kind)(outcome, **step.told)
        return outcome

    @staticmethod
    def say(outcome, line, *replies, end=b"\r\n"):
        outcome.wire += line + end
        outcome.replies += replies

    def is_open(self):
        return self.sender is not None

    # ---- greetings and the end ----

    def greet(self, outcome, verb, name, end=b"\r\n"):
        """RFC 5321 4.1.1.1; RFC 2033 4.1: LHLO and nothing else for LMTP."""
        line = verb + (b" " + name if name else b"")
        word = verb.upper()
        if (word == b"LHLO") != self.server.is_lmtp:
            return self.say(outcome, line, "500", end=end)
        if not name:
            return self.say(outcome, line, "501", end=end)
        self.forget() # RFC 5321 4.1.4
        self.is_greeted = True
        self.is_extended = word != b"HELO"
        return self.say(outcome, line, "250", end=end)

    def quit(self, outcome):
        self.say(outcome, b"QUIT", "221")
        outcome.server_closes = True
        self.connect()

    def browse(self, outcome, line):
        """A browser: 421 and the end, whatever else it says."""
        self.say(outcome, line, "421")
        outcome.server_closes = True
        self.connect()

    def vanish(self, outcome, content):
        """The client closes, in content if there can be some: nothing of it is kept."""
        if self.is_ready_for_content() and not self.is_binary and self.chunks is None:
            self.say(outcome, b"DATA", "354")
            outcome.wire += stuff(content)
        elif self.is_ready_for_content():
            outcome.wire += b"BDAT %d LAST\r\n" % (len(content) + 1) + content
        outcome.client_closes = True
        self.connect()

    # ---- the envelope ----

    def mail(self, outcome, path, fault="", parameters=(), is_utf8=False, verb=b"MAIL FROM:", end=b"\r\n"):
        """`fault` is the reply that the path earns; parameters are (text, reply if wrong or "")."""
        if not self.is_extended:
            parameters = ()
        line = verb + path + b"".join(b" " + text for text, _ in parameters)
        names = [text.partition(b"=")[0].upper() for text, _ in parameters]
        faults = [reply for _, reply in parameters if reply] + ([fault] if fault else [])
        says_utf8 = b"SMTPUTF8" in names
        if len(set(names)) < len(names):
            faults.append("501")
        sizes = [int(text[5:]) for text, reply in parameters if text.upper().startswith(b"SIZE=") and not reply]
        if self.server.size_limit and sizes and sizes[0] > self.server.size_limit:
            faults.append("552") # RFC 1870 6.1
        if is_utf8 and not says_utf8 and not fault:
            faults.append("550 553 501 500") # RFC 6531 3.5; RFC 5321 2.4
        if not self.is_greeted or self.is_open():
            faults.append("503")
        elif self.server.is_auth_required and not self.is_authenticated:
            faults.append("530") # RFC 4954 6
        if faults:
            return self.say(outcome, line, faults[0] if len(faults) == 1 else "5", end=end)
        self.forget()
        self.sender = path.strip(b" ").strip(b"<>").decode()
        self.is_binary = any(text.upper() == b"BODY=BINARYMIME" for text, _ in parameters)
        self.is_utf8 = says_utf8
        return self.say(outcome, line, "250", end=end)

    def rcpt(self, outcome, path, fault="", parameters=(), is_utf8=False, verb=b"RCPT TO:", end=b"\r\n"):
        if not self.is_extended:
            parameters = ()
        line = verb + path + b"".join(b" " + text for text, _ in parameters)
        names = [text.partition(b"=")[0].upper() for text, _ in parameters]
        faults = [reply for _, reply in parameters if reply] + ([fault] if fault else [])
        if len(set(names)) < len(names):
            faults.append("501")
        if is_utf8 and not self.is_utf8 and not fault:
            faults.append("550 553 501 500")
        is_in_order = self.is_open() and self.chunks is None
        if not is_in_order:
            faults.append("503")
        if faults:
            if is_in_order:
                self.has_lost_recipients = True
            return self.say(outcome, line, self.one_of(faults), end=end)
        if len(self.recipients) >= self.server.recipients_max:
            self.has_lost_recipients = True
            return self.say(outcome, line, "452", end=end) # RFC 5321 4.5.3.1.10
        self.recipients.append(path.strip(b" ").strip(b"<>").decode())
        return self.say(outcome, line, "250", end=end)

    def one_of(self, faults):
        """Of several faults any may be told; one too many recipients may be told before all others."""
        if len(self.recipients) >= self.server.recipients_max:
            return "5 452"
        return faults[0] if len(faults) == 1 else "5"

    # ---- content ----

    def is_ready_for_content(self):
        return self.is_open() and len(self.recipients) > 0

    def refusal_of_content(self):
        """What DATA or BDAT earns without a recipient."""
        if not self.is_open():
            return "503"
        if self.server.is_lmtp:
            return "503" # RFC 2033 4.2
        return "503 554" # RFC 5321 3.3

    def judge(self, outcome, content):
        """The replies to a whole message."""
        count = len(self.recipients) if self.server.is_lmtp else 1
        if self.server.size_limit and len(content) > self.server.size_limit:
            outcome.replies += ["552"] * count
        else:
            outcome.replies += ["250"] * count
            outcome.stored.append(Message(self.sender, self.recipients, content))
        self.forget()

    def data(self, outcome, content, argument=b"", verb=b"DATA"):
        """The content follows only where 354 says so."""
        line = verb + (b" " + argument if argument else b"")
        if not self.is_ready_for_content():
            return self.say(outcome, line, "5" if argument else self.refusal_of_content())
        if self.chunks is not None or self.is_binary: # RFC 3030 2, 3
            return self.say(outcome, line, "5" if argument else "503")
        if argument:
            return self.say(outcome, line, "501")
        self.say(outcome, line, "354")
        outcome.wire += stuff(content) + b".\r\n"
        return self.judge(outcome, content)

    def bdat(self, outcome, content, is_last, verb=b"BDAT", last=b"LAST"):
        """RFC 3030 2: the octets follow at once, and are taken even where they are not wanted."""
        if self.is_greeted and not self.is_extended:
            return self.noop(outcome) # CHUNKING was not offered: what comes of it is anybody's guess
        outcome.wire += verb + b" %d" % len(content) + (b" " + last if is_last else b"") + b"\r\n" + content
        if not self.is_ready_for_content():
            is_for_nobody = self.server.is_lmtp and is_last and self.is_open()
            if not is_for_nobody: # RFC 2033 4.3: a reply for each recipient, so none
                outcome.replies.append(self.refusal_of_content())
            return None
        self.chunks = (self.chunks or b"") + content
        is_too_big = self.server.size_limit and len(self.chunks) > self.server.size_limit
        if is_last:
            return self.judge(outcome, self.chunks)
        outcome.replies.append("552" if is_too_big else "250")
        self.is_spent = bool(is_too_big)
        return None

    def bdat_unreadable(self, outcome, argument):
        """Nobody knows how much follows: 501 and the end (Postfix does likewise)."""
        if self.is_greeted and not self.is_extended:
            return self.noop(outcome)
        self.say(outcome, b"BDAT" + argument, "5" if not self.is_ready_for_content() else "501")
        outcome.server_closes = True
        return self.connect()

    # ---- the rest ----

    def rset(self, outcome, argument=b"", end=b"\r\n"):
        if argument:
            if self.is_spent:
                self.forget()
                self.say(outcome, b"RSET", "250")
            return self.say(outcome, b"RSET " + argument, "501", end=end)
        self.forget()
        return self.say(outcome, b"RSET", "250", end=end)

    def noop(self, outcome, line=b"NOOP", end=b"\r\n"):
        self.say(outcome, line, "250" if len(line) + len(end) <= LINE_MAX else "500", end=end)

    def vrfy(self, outcome, argument):
        fine = "252" if self.chunks is None else "252 503"
        self.say(outcome, b"VRFY" + (b" " + argument if argument else b""), fine if argument else "501 503")

    def help(self, outcome, argument):
        fine = "214 504" if argument else "214"
        self.say(outcome, b"HELP" + (b" " + argument if argument else b""), fine if self.chunks is None else fine + " 503")

    def etrn(self, outcome, argument):
        """RFC 1985 5: not in a transaction, and only where EHLO offered it."""
        line = b"ETRN" + (b" " + argument if argument else b"")
        if self.is_greeted and not self.is_extended:
            return self.noop(outcome)
        if not self.is_greeted or self.is_open():
            return self.say(outcome, line, "503" if argument else "5")
        return self.say(outcome, line, "25 458 459" if argument else "501")

    def unimplemented(self, outcome, line):
        self.say(outcome, line, "502")

    def unknown(self, outcome, line, end=b"\r\n"):
        self.say(outcome, line, "500", end=end)

    # ---- AUTH (RFC 4954, 4616) ----

    def is_right(self, user, password):
        known = self.server.credentials
        return known is None or known.get(user) == password

    def auth(self, outcome, mechanism, user="", password="", is_initial=False, spoil="", verb=b"AUTH"):
        """`spoil`: "", "cancel", "base64", "long", or "nul" for PLAIN without its NULs."""
        if self.is_greeted and not self.is_extended:
            return self.noop(outcome)
        responses = [b"\0".join([b"", user.encode(), password.encode()])] if mechanism.upper() == b"PLAIN" else \
            [user.encode(), password.encode()]
        if spoil == "nul":
            responses = [b"no separators"]
        responses = [base64.b64encode(response) for response in responses]
        line = verb + (b" " + mechanism if mechanism else b"")
        if mechanism.upper() not in (b"PLAIN", b"LOGIN"):
            if not self.is_greeted or self.is_open() or self.is_authenticated:
                return self.say(outcome, line, "5")
            return self.say(outcome, line, "504" if mechanism else "501")
        if is_initial and spoil == "base64":
            responses[0] = b"!" + responses[0]
        if is_initial:
            line += b" " + (responses[0] or b"=")
        if not self.is_greeted or self.is_open() or self.is_authenticated:
            return self.say(outcome, line, "503")
        if is_initial and spoil == "base64":
            return self.say(outcome, line, "501")
        return self.converse(outcome, line, responses, is_initial, spoil, self.is_right(user, password))

    def converse(self, outcome, line, responses, is_initial, spoil, is_right):
        self.say(outcome, line)
        left = responses[1:] if is_initial else responses
        for response in left:
            outcome.replies.append("334")
            if spoil == "cancel":
                return self.say(outcome, b"*", "501")
            if spoil == "base64":
                return self.say(outcome, response + b"*", "501")
            if spoil == "long":
                return self.say(outcome, b"A" * (AUTH_LINE_MAX + 1), "500")
            self.say(outcome, response)
        if spoil == "nul" and len(responses) == 1:
            outcome.replies.append("501 535")
            return None
        outcome.replies.append("235" if is_right else "535")
        self.is_authenticated = is_right
        return None
