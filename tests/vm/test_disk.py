"""The disk that forgets: what was flushed is there after a cut, and of the rest any part."""
import os
import random
import socket
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import disk

BLOCKS = 64


class Client:
    """The machine's side, as qemu begins."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.take(18)
        name = b""
        self.socket.sendall(struct.pack(">I", 3) + struct.pack(">QIIIH", disk.OPTION_MAGIC, disk.OPTION_GO, 6, len(name), 0))
        self.size = struct.unpack(">HQH", self.take(20 + 12)[20:])[1]
        self.take(20)

    def take(self, size):
        return disk.take(self.socket, size)

    def ask(self, command, offset=0, octets=b"", size=None):
        size = len(octets) if size is None else size
        self.socket.sendall(struct.pack(">IHHQQI", disk.REQUEST_MAGIC, 0, command, 7, offset, size) + octets)
        _, error, handle = struct.unpack(">IIQ", self.take(16))
        assert handle == 7
        return self.take(size) if command == disk.READ and error == 0 else error


class ForgetfulDisk(unittest.TestCase):
    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.image = os.path.join(home.name, "image")
        with open(self.image, "wb") as image:
            image.truncate(BLOCKS * disk.BLOCK)
        self.path = os.path.join(home.name, "socket")

    def open(self, **options):
        opened = disk.Disk(self.image, self.path, **options)
        self.addCleanup(opened.__exit__)
        opened.serve()
        client = Client(self.path)
        self.addCleanup(client.socket.close)
        self.assertEqual(client.size, BLOCKS * disk.BLOCK)
        return opened, client

    def blocks(self):
        with open(self.image, "rb") as image:
            return [image.read(disk.BLOCK) for _ in range(BLOCKS)]

    def test_flushed_stays_and_the_rest_may_not(self):
        opened, client = self.open()
        first, second, third = (bytes([letter]) * disk.BLOCK for letter in b"123")
        for number in range(BLOCKS):
            client.ask(disk.WRITE, number * disk.BLOCK, first)
        client.ask(disk.FLUSH)
        for number in range(BLOCKS // 2):
            client.ask(disk.WRITE, number * disk.BLOCK, second)
            client.ask(disk.WRITE, number * disk.BLOCK, third)
        self.assertEqual(client.ask(disk.READ, 0, size=2 * disk.BLOCK), third * 2)
        self.assertEqual(self.blocks(), [first] * BLOCKS)
        client.socket.close()
        fate = opened.cut(random.Random(1))
        blocks = self.blocks()
        self.assertEqual(blocks[BLOCKS // 2:], [first] * (BLOCKS // 2))
        self.assertEqual({*blocks[:BLOCKS // 2]} & {first, second, third}, {first, second, third})
        self.assertEqual(fate["unflushed"], BLOCKS // 2)
        self.assertEqual(blocks.count(first), BLOCKS // 2 + fate["dropped"])
        torn = [block for block in blocks if len({*block}) > 1]
        self.assertTrue(torn)
        for block in torn:
            for at in range(0, disk.BLOCK, disk.SECTOR):
                self.assertEqual(len({*block[at:at + disk.SECTOR]}), 1, "a sector is never torn")

    def test_parts_of_blocks(self):
        opened, client = self.open()
        client.ask(disk.WRITE, disk.BLOCK - disk.SECTOR, b"x" * (2 * disk.SECTOR))
        client.ask(disk.FLUSH)
        self.assertEqual(client.ask(disk.READ, disk.BLOCK - disk.SECTOR, size=2 * disk.SECTOR), b"x" * (2 * disk.SECTOR))
        self.assertEqual(client.ask(disk.READ, BLOCKS * disk.BLOCK, size=disk.SECTOR), disk.EINVAL)
        client.socket.close()
        opened.cut(random.Random(1))
        self.assertEqual(b"".join(self.blocks()).count(b"x"), 2 * disk.SECTOR)

    def test_a_flush_behind_the_cut_is_not_done(self):
        opened, client = self.open()
        opened.stop_after(2)
        client.ask(disk.WRITE, 0, b"x" * disk.BLOCK)
        self.assertFalse(opened.has_stopped.is_set())
        client.socket.sendall(struct.pack(">IHHQQI", disk.REQUEST_MAGIC, 0, disk.FLUSH, 7, 0, 0))
        self.assertTrue(opened.has_stopped.wait(20))
        client.socket.close()
        self.assertEqual(opened.cut(random.Random(1))["unflushed"], 1)

    def test_a_lying_disk(self):
        opened, client = self.open(is_lying=True)
        for number in range(BLOCKS):
            client.ask(disk.WRITE, number * disk.BLOCK, b"x" * disk.BLOCK)
        self.assertEqual(client.ask(disk.FLUSH), 0)
        client.socket.close()
        self.assertEqual(opened.cut(random.Random(1))["unflushed"], BLOCKS)
        self.assertIn(bytes(disk.BLOCK), self.blocks())


if __name__ == "__main__":
    unittest.main(verbosity=2)
