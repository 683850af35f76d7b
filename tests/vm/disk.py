"""A disk with a volatile cache, for power cuts: an NBD server on a unix socket.

What is written stays in memory until the guest flushes; only then does it reach the image. cut() is the power cut: of
what was not flushed any part may have reached the disk, in any order. Of each block of 4 KiB that was written since the
last flush one of its versions is drawn, the one from before included, or some blocks torn: each sector drawn on its own.

    with Disk(image, path_of_socket) as disk:
        disk.serve()                 # once a life of the machine
        disk.stop_after(requests)    # or at any moment:
        ...                          # kill -9 of the machine
        disk.cut(random.Random(seed))
"""
import os
import socket
import struct
import threading

BLOCK = 4096
SECTOR = 512
TORN_SHARE = 0.1

OPTION_MAGIC = 0x49484156454F5054  # "IHAVEOPT"
REPLY_MAGIC = 0x3E889045565A9
OPTION_EXPORT_NAME, OPTION_ABORT, OPTION_INFO, OPTION_GO = 1, 2, 6, 7
ANSWER_ACK, ANSWER_INFO, ANSWER_UNSUPPORTED = 1, 3, 0x80000001
FLAGS = 1 | 4 | 8  # flags are given; FLUSH and FUA are understood
FIXED_NEWSTYLE, NO_ZEROES = 1, 2
REQUEST_MAGIC, SIMPLE_REPLY_MAGIC = 0x25609513, 0x67446698
READ, WRITE, DISCONNECT, FLUSH = range(4)
COMMAND_FUA = 1
EINVAL = 22


class Gone(Exception):
    """The machine has hung up."""


class Disk:
    """Between serve() and cut() the server's thread alone touches what is in here."""

    def __init__(self, image, path, is_lying=False):
        """is_lying: flushes are answered and not done, as some disks do."""
        self.image = os.open(image, os.O_RDWR)
        self.size = os.fstat(self.image).st_size
        self.is_lying = is_lying
        self.versions = {}  # block number -> what was written to it since the last flush, oldest first
        self.flushes = 0
        self.requests_left = None  # how many until the disk stops by itself
        self.has_stopped = threading.Event()
        self.thread = None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        if self.thread is not None:
            self.thread.join()
        os.close(self.image)

    def serve(self):
        """Waits in a thread of its own for one client, and serves it until it hangs up."""
        self.has_stopped.clear()
        self.thread = threading.Thread(target=self.serve_one, daemon=True)
        self.thread.start()

    def stop_after(self, requests):
        """So many writes and flushes later nothing is answered any more, which sets has_stopped."""
        self.requests_left = requests

    def join(self):
        self.thread.join()
        self.thread = None
        self.requests_left = None

    def cut(self, chance):
        """After the machine's end; returns how many blocks were not flushed, and what became of them."""
        self.join()
        fate = {"unflushed": len(self.versions), "dropped": 0, "torn": 0}
        for number in sorted(self.versions):
            choices = [self.flushed(number), *self.versions[number]]
            if chance.random() < TORN_SHARE:
                fate["torn"] += 1
                block = b"".join(chance.choice(choices)[at : at + SECTOR] for at in range(0, BLOCK, SECTOR))
            else:
                block = chance.choice(choices)
                fate["dropped"] += block is choices[0]
            os.pwrite(self.image, block, number * BLOCK)
        self.versions.clear()
        return fate

    def close_in_peace(self):
        """After the machine's orderly end."""
        self.join()
        self.flush(is_lying=False)

    # --- blocks ---

    def flushed(self, number):
        return os.pread(self.image, BLOCK, number * BLOCK)

    def current(self, number):
        versions = self.versions.get(number)
        return versions[-1] if versions else self.flushed(number)

    def read(self, offset, size):
        first, end = offset // BLOCK, (offset + size + BLOCK - 1) // BLOCK
        if not any(number in self.versions for number in range(first, end)):
            return os.pread(self.image, size, offset)
        whole = b"".join(self.current(number) for number in range(first, end))
        return whole[offset - first * BLOCK :][:size]

    def write(self, offset, octets):
        at = 0
        while at < len(octets):
            number, inside = divmod(offset + at, BLOCK)
            piece = octets[at : at + BLOCK - inside]
            if len(piece) < BLOCK:
                old = self.current(number)
                piece = old[:inside] + piece + old[inside + len(piece) :]
            self.versions.setdefault(number, []).append(piece)
            at += BLOCK - inside

    def flush(self, is_lying):
        self.flushes += 1
        if is_lying:
            return
        for number, versions in self.versions.items():
            os.pwrite(self.image, versions[-1], number * BLOCK)
        self.versions.clear()

    # --- the protocol ---

    def serve_one(self):
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        with connection:
            try:
                self.negotiate(connection)
                while self.answer(connection):
                    pass
                while connection.recv(1 << 20):  # stopped: open until the machine is gone
                    pass
            except (Gone, ConnectionError):
                pass

    def stops_now(self, command):
        if self.requests_left is None or command not in (WRITE, FLUSH):
            return False
        self.requests_left -= 1
        if self.requests_left > 0:
            return False
        self.has_stopped.set()
        return True

    def negotiate(self, connection):
        connection.sendall(b"NBDMAGIC" + struct.pack(">QH", OPTION_MAGIC, FIXED_NEWSTYLE | NO_ZEROES))
        take(connection, 4)
        while True:
            _, option, size = struct.unpack(">QII", take(connection, 16))
            take(connection, size)
            if option == OPTION_EXPORT_NAME:
                connection.sendall(struct.pack(">QH", self.size, FLAGS))
                return
            if option not in (OPTION_INFO, OPTION_GO):
                self.answer_option(connection, option, ANSWER_UNSUPPORTED)
                continue
            self.answer_option(connection, option, ANSWER_INFO, struct.pack(">HQH", 0, self.size, FLAGS))
            self.answer_option(connection, option, ANSWER_ACK)
            if option == OPTION_GO:
                return

    @staticmethod
    def answer_option(connection, option, kind, octets=b""):
        connection.sendall(struct.pack(">QIII", REPLY_MAGIC, option, kind, len(octets)) + octets)

    def answer(self, connection):
        """One request; False if it is the last."""
        magic, flags, command, handle, offset, size = struct.unpack(">IHHQQI", take(connection, 28))
        if magic != REQUEST_MAGIC or command == DISCONNECT:
            return False
        octets, error = b"", 0
        if offset + size > self.size:
            error = EINVAL
        if command == WRITE:
            content = take(connection, size)
            if error == 0:
                self.write(offset, content)
        if self.stops_now(command):
            return False
        if command == READ and error == 0:
            octets = self.read(offset, size)
        elif command not in (READ, WRITE, FLUSH):
            error = EINVAL
        if command == FLUSH or flags & COMMAND_FUA:
            self.flush(self.is_lying)
        connection.sendall(struct.pack(">IIQ", SIMPLE_REPLY_MAGIC, error, handle) + octets)
        return True


def take(connection, size):
    """Exactly so many octets."""
    octets = bytearray(size)
    view = memoryview(octets)
    while size > 0:
        got = connection.recv_into(view[len(octets) - size :])
        if got == 0:
            raise Gone
        size -= got
    return bytes(octets)
