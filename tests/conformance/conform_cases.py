"""The cases of tests/conformance/cases: read, and matched with what a server said.

docs/CONFORMANCE.md says what their lines mean; test_conformance.c reads the same files in process.
"""
import glob
import os
import re

CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases")
LEVELS = ("MUST", "SHOULD", "policy")
TOKEN_SIZE = 12
# What is said and answered before the case itself, by its name after "P:".
PRELUDES = ("none", "connect", "ehlo", "helo", "mail", "rcpt", "data")
ENDS = ("alive", "close", "drop", "any", "alert", "notify")
# Not run behind a STARTTLS that comes first (scripts/conform --tls starttls), and why.
NOT_BEHIND_STARTTLS = {
    "greeting-early-ehlo": "what is sent before the greeting is sent before TLS",
    "greeting-554": "a server out of service does not start TLS",
    "greeting-554-then-503": "a server out of service does not start TLS",
}

ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|\{(\d+)\}(.)|([rnt0\\TUDH]))", re.DOTALL)
PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}
# What \\H stands for: the header without which some servers refuse any content (RFC 5322 3.6).
HEADER = b"From: a@client.test\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n\r\n"
# In what is wanted of a reply's text.
PLACEHOLDERS = {b"<domain>": rb"[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*(?= |$)", b"<keyword>": rb"[A-Za-z0-9][A-Za-z0-9-]*(?= |$)",
                b"<number>": rb"[0-9]+", b"<end>": rb"$"}


class Malformed(Exception):
    pass


class Names:
    """What \\T, \\U and \\D stand for in one run of a case."""

    def __init__(self, token, user=b"u", domain=b"sink.test"):
        assert len(token) == TOKEN_SIZE
        self.values = {b"T": token, b"U": user, b"D": domain, b"H": HEADER}


def unescape(text, words=None):
    """words: what letters behind a backslash stand for, beside those of PLAIN."""
    words = words or {}

    def expand(match):
        if match[1]:
            return bytes([int(match[1], 16)])
        if match[2]:
            return match[3] * int(match[2])
        return words.get(match[4]) or PLAIN[match[4]]

    return ESCAPE.sub(expand, text)


def escape(octets, limit=200):
    """For a report: printable, and not endless."""
    shown = octets if len(octets) <= limit else octets[:limit // 2] + octets[-limit // 2:]
    text = "".join({13: "\\r", 10: "\\n", 9: "\\t", 92: "\\\\"}.get(octet) or
                   (chr(octet) if 32 <= octet < 127 else f"\\x{octet:02x}") for octet in shown)
    return text if len(octets) <= limit else f"{text} ({len(octets)} octets)"


class Wanted:
    """One reply: codes, the stated one first; text its first line begins with; other lines."""

    def __init__(self, text):
        codes, _, self.text = text.partition(b" ")
        self.codes = codes.strip(b"{}").split(b",")
        self.some = []   # a line of the reply begins so
        self.none = []   # no line does
        self.each = []   # each but the first does, or the only one
        self.message = None
        for code in self.codes:
            if not re.fullmatch(rb"[2-5x][0-9x][0-9x]", code):
                raise Malformed(f"not a code: {code!r}")

    def __str__(self):
        codes = b",".join(self.codes)
        text = (b"{%s}" % codes if len(self.codes) > 1 else codes) + (b" " + self.text if self.text else b"")
        for mark, lines in ((b"with", self.some), (b"without", self.none), (b"each line", self.each)):
            text += b"".join(b" %s %s" % (mark, line) for line in lines)
        return text.decode("latin-1")

    def matches(self, reply, is_stated_only=False):
        codes = self.codes[:1] if is_stated_only else self.codes
        if not any(matches_code(code, reply[0][:3]) for code in codes):
            return False
        texts = [line[4:] for line in reply]
        return (begins(self.text, texts[0]) and
                all(any(begins(some, text) for text in texts) for some in self.some) and
                not any(begins(none, text) for none in self.none for text in texts) and
                all(begins(each, text) for each in self.each for text in (texts[1:] or texts)))


def matches_code(wanted, code):
    return len(code) == 3 and all(want in (120, have) for want, have in zip(wanted, code))  # 120 is x


def begins(wanted, text):
    pattern = b"".join(PLACEHOLDERS.get(part) or re.escape(part)
                       for part in re.split(rb"(<[a-z]+>)", wanted))
    return re.match(pattern, text) is not None


class Message:
    """What must be stored if the reply it stands behind was 2yz."""

    def __init__(self):
        self.sender = b""
        self.recipients = []
        self.content = b""


class Step:
    """Octets in one go, then the replies they earn. Before them the handshake, if it is wanted here."""

    def __init__(self, octets=b"", wanted=(), handshake=None):
        self.octets = octets
        self.wanted = list(wanted)
        self.handshake = handshake  # "always", "if 220": else the case ends here; None


class Case:
    def __init__(self, identifier, level, path, number):
        self.id = identifier
        self.level = level
        self.path = path
        self.number = number
        self.sources = []
        self.needs = []
        self.options = []
        self.prelude = None
        self.end = "alive"
        self.is_uncut = False
        self.known = None  # what ringsink is known to do instead
        self.lines = []  # (kind, text) of the dialogue

    @property
    def is_lmtp(self):
        return "lmtp" in self.options

    def steps(self, names):
        """The dialogue as steps; how many of them are the prelude."""
        builder = Builder(names)
        for kind, text in prelude_lines(self.prelude, self.is_lmtp):
            builder.add(kind, text)
        prelude_count = len(builder.steps)
        builder.is_closed = True  # no step is of both
        for kind, text in self.lines:
            builder.add(kind, text)
        return builder.steps, prelude_count


def prelude_lines(name, is_lmtp):
    hello = b"LHLO client.test" if is_lmtp else b"HELO client.test" if name == "helo" else b"EHLO client.test"
    said = [(b"C", hello), (b"S", b"250"), (b"C", b"MAIL FROM:<\\T@client.test>"), (b"S", b"250"),
            (b"C", b"RCPT TO:<\\U@\\D>"), (b"S", b"250"), (b"C", b"DATA"), (b"S", b"354")]
    count = {"none": None, "connect": 0, "ehlo": 2, "helo": 2, "mail": 4, "rcpt": 6, "data": 8}[name]
    return [] if count is None else [(b"S", b"220")] + said[:count]


class Builder:
    def __init__(self, names):
        self.names = names
        self.steps = []
        self.is_closed = True

    def send(self, octets):
        if self.is_closed or self.steps[-1].wanted:
            self.steps.append(Step())
        self.is_closed = False
        self.steps[-1].octets += octets

    def last(self):
        return self.steps[-1].wanted[-1]

    def add(self, kind, text):
        if kind in b"Hh":
            self.steps.append(Step(handshake="always" if kind == b"H" else "if 220"))
            self.is_closed = False
        elif kind in b"Cc":
            self.send(unescape(text, self.names.values) + (b"\r\n" if kind == b"C" else b""))
        elif kind == b"S":
            if not self.steps or self.is_closed:
                self.steps.append(Step())
            self.is_closed = False
            self.steps[-1].wanted.append(Wanted(text))
        elif kind == b"s":
            (self.last().none if text.startswith(b"!") else self.last().some).append(text.removeprefix(b"!"))
        elif kind == b"a":
            self.last().each.append(text)
        else:
            self.add_to_message(kind, unescape(text, self.names.values))

    def add_to_message(self, kind, octets):
        wanted = self.last()
        if kind == b"F":
            wanted.message = Message()
            wanted.message.sender = octets
        elif kind == b"T":
            wanted.message.recipients.append(octets)
        else:
            wanted.message.content += octets + (b"\r\n" if kind == b"B" else b"")


DIALOGUE = b"CcSsaFTBbHh"


def split_line(line):
    """Number of times, kind, text. Blanks at the end do not count."""
    match = re.fullmatch(rb"(?:@(\d+) )?([A-Za-z]):(?: (.*))?", line.rstrip(b" "))
    if match is None:
        raise Malformed("not a line of a case")
    return int(match[1] or 1), match[2], match[3] or b""


def take_line(case, line):
    times, kind, text = split_line(line)
    if kind in DIALOGUE:
        case.lines += [(kind, text)] * times
    elif kind == b"R":
        case.sources.append(text.decode("latin-1"))
    elif kind == b"N":
        case.needs.append(text.decode())
    elif kind == b"O":
        case.options.append(text.decode())
    elif kind == b"P" and text.decode() in PRELUDES:
        case.prelude = text.decode()
    elif kind == b"X" and text.decode() in ENDS:
        case.end = text.decode()
    elif kind == b"K":
        case.known = text.decode()
    elif kind == b"W" and text == b"uncut":
        case.is_uncut = True
    else:
        raise Malformed("unknown kind of line")


def check(case):
    if not case.sources or case.prelude is None:
        raise Malformed("a case needs R: and P:")
    for source in case.sources:
        if not re.fullmatch(r'(\d+ [\d.]+ ".*"|\S+ [\d.]+ ~ .*)', source):
            raise Malformed("R: RFC SECTION \"sentence\", or R: DOCUMENT SECTION ~ paraphrase")
    steps, _ = case.steps(Names(b"0" * TOKEN_SIZE))
    if not steps:
        raise Malformed("nothing is said")


def read_file(path):
    cases = []
    with open(path, "rb") as file:
        for number, line in enumerate(file.read().split(b"\n"), 1):
            try:
                if line.startswith(b"= "):
                    identifier, level = line.decode().split()[1:]
                    if level not in LEVELS:
                        raise Malformed(f"level {level}")
                    cases.append(Case(identifier, level, path, number))
                elif line and not line.startswith(b"#"):
                    take_line(cases[-1], line)
            except (Malformed, ValueError, KeyError, IndexError) as why:
                raise Malformed(f"{path}:{number}: {why}") from why
    for case in cases:
        try:
            check(case)
        except (Malformed, KeyError, IndexError, AttributeError) as why:
            raise Malformed(f"{path}:{case.number}: {case.id}: {why}") from why
    return cases


def read_all(folder=CASES):
    cases = [case for path in sorted(glob.glob(os.path.join(folder, "*.cases"))) for case in read_file(path)]
    identifiers = [case.id for case in cases]
    twice = {identifier for identifier in identifiers if identifiers.count(identifier) > 1}
    if twice:
        raise Malformed(f"twice: {sorted(twice)}")
    return cases
