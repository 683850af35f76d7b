#!/usr/bin/env python3
"""The floors of bench/ and their client: they say what they claim, and send what loadgen sends."""
import json
import os
import re
import socket
import subprocess
import time
import unittest

import harness
from harness import BUILD, LOADGEN, Server, free_port, run

FLOORS = ("floor", "floor_epoll")
CLIENT = os.path.join(BUILD, "bench", "floor_client")
PART_OF_A_SECOND = "0.3s"


class Floor:
    def __init__(self, name):
        self.port = free_port()
        self.process = subprocess.Popen([os.path.join(BUILD, "bench", name), str(self.port)], stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError(f"{name} does not listen")

    def stop(self):
        """How many messages it counted, and of how many octets."""
        self.process.terminate()
        _, said = self.process.communicate(timeout=20)
        return tuple(map(int, re.search(r"(\d+) messages of (\d+) octets", said).groups()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()


def load(port, *options):
    result = run(LOADGEN, "-q", "-o", "-", *options, f"127.0.0.1:{port}")
    return json.loads(result.stdout)["totals"]


def client(port, *options):
    result = run(CLIENT, "-d", PART_OF_A_SECOND, *options, port)
    if result.returncode != 0:
        raise AssertionError(f"floor_client: {result.returncode} {result.stderr}")
    return json.loads(result.stdout)


class FloorTest(unittest.TestCase):
    def test_answers_and_counts_every_message(self):
        for name in FLOORS:
            for mode in ("off", "group", "stream"):
                with self.subTest(floor=name, mode=mode), Floor(name) as floor:
                    totals = load(floor.port, "-c", "7", "-n", "500", "-l", "3k", "--pipelining", mode)
                    self.assertEqual(totals["accepted"], 500)
                    self.assertEqual(floor.stop()[0], 500)

    def test_ends_connections_at_quit(self):
        for name in FLOORS:
            with self.subTest(floor=name), Floor(name) as floor:
                totals = load(floor.port, "-c", "5", "-n", "200", "-k", "1", "-l", "1k")
                self.assertEqual(totals["accepted"], 200)

    def test_takes_what_is_larger_than_its_room(self):
        for name in FLOORS:
            with self.subTest(floor=name), Floor(name) as floor:
                totals = load(floor.port, "-c", "3", "-n", "20", "-l", "2m", "--pipelining", "stream")
                self.assertEqual(totals["accepted"], 20)
                count, octets = floor.stop()
                self.assertEqual(count, 20)
                self.assertGreater(octets, 2000000)

    def test_refuses_to_guess_a_length(self):
        for name in FLOORS:
            with self.subTest(floor=name), Floor(name) as floor:
                load(floor.port, "-c", "1", "-n", "3", "-l", "1k")
                run(LOADGEN, "-q", "-c", "1", "-n", "1", "-l", "1500", "--timeout", "5s", f"127.0.0.1:{floor.port}")
                self.assertEqual(floor.process.wait(20), 1)


class ClientTest(unittest.TestCase):
    def test_sends_as_many_octets_as_loadgen(self):
        for length in ("1k", "100k"):
            with self.subTest(length=length):
                with Floor("floor") as floor:
                    load(floor.port, "-c", "1", "-n", "2", "-l", length, "--seed", "1")
                    of_loadgen = floor.stop()[1]
                with Floor("floor") as floor:
                    result = client(floor.port, "-c", "2", "-l", length)
                    self.assertEqual(result["octets_per_message"], of_loadgen)
                    self.assertEqual(floor.stop()[1], of_loadgen)

    def test_counts_what_the_server_counted(self):
        for mode in ("off", "group", "stream"):
            with self.subTest(mode=mode), Floor("floor_epoll") as floor:
                result = client(floor.port, "-c", "9", "-m", mode)
                counted = floor.stop()[0]
                self.assertGreater(result["messages"], 0)
                # What was in progress at the end: one message a connection.
                self.assertLessEqual(result["messages"], counted)
                self.assertGreaterEqual(result["messages"], counted - 9)

    def test_its_messages_are_mail(self):
        for options in (("-m", "stream"), ("-m", "bdat", "-w", "8"), ("-m", "off")):
            with self.subTest(options=options), Server() as server:
                result = client(server.port, "-c", "3", *options)
                server.stop()
                stored = server.totals()["messages answered 250"]
                self.assertGreater(result["messages"], 0)
                self.assertLessEqual(result["messages"], stored)
                self.assertGreaterEqual(result["messages"], stored - 3 * 8)

    def test_a_refusal_is_no_reply_to_count(self):
        with Server("--no-service") as server:
            result = run(CLIENT, "-d", PART_OF_A_SECOND, "-c", "1", server.port)
            self.assertIn("refused", result.stderr)
            self.assertEqual(result.returncode, 1)

    def test_says_when_the_server_hangs_up(self):
        with Server("--stop-after", "100") as server:
            result = run(CLIENT, "-d", "20s", "-c", "1", server.port)
            self.assertIn("floor_client: connection 0: ", result.stderr)
            self.assertEqual(result.returncode, 1)


if __name__ == "__main__":
    harness.main()
