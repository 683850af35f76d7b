"""Sends a file with Twisted. usage: PORT SENDER FILE RECIPIENT..."""
import sys

from twisted.internet import reactor
from twisted.mail.smtp import sendmail

status = 1


def sent(answer):
    global status
    print(answer)
    status = 0


with open(sys.argv[3], "rb") as message:
    # It makes CR LF of every LF.
    content = message.read().replace(b"\r\n", b"\n")
finished = sendmail(b"127.0.0.1", sys.argv[2].encode(), [name.encode() for name in sys.argv[4:]], content,
                    port=int(sys.argv[1]))
finished.addCallback(sent)
finished.addErrback(print)
finished.addBoth(lambda _: reactor.stop())
reactor.run()
sys.exit(status)
