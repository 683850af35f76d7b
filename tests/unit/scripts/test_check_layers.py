#!/usr/bin/env python3
"""Plants includes in an empty tree, and lets scripts/check_layers judge them."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECK_LAYERS = Path(__file__).resolve().parents[3] / "scripts" / "check_layers"

GOOD = [
    ("src/base/bytes.c", '#include "base/bytes.h"'),
    ("src/ring/ring.c", "#include <liburing.h>"),
    ("src/ring/ring.c", '#include "ring/ring.h"\n#include "base/check.h"'),
    ("src/tls/tls_stream.c", '#include "base/bytes.h"\n#include <openssl/ssl.h>'),
    ("src/smtp/smtp_data.c", '#include "smtp/smtp_limits.h"\n#include <string.h>'),
    ("src/audit/audit.c", '#include "spool/spool_reader.h"\n#include "base/ledger.h"'),
    ("src/export/export_mh.c", '#include "spool/spool_reader.h"'),
    ("src/server/worker.c", '#include "server/connection.h"\n#include "ring/ring.h"\n'
                            '#include "spool/spool_writer.h"'),
    ("src/server/connection.c", '#include "ring/ring.h"\n#include "smtp/smtp_session.h"\n'
                                '#include "spool/spool_writer.h"\n#include "tls/tls_stream.h"'),
    ("src/ringsink.c", '#include "server/server.h"\n#include "version.h"'),
    ("src/ringspool.c", '#include "export/export_mh.h"\n#include "audit/audit.h"'),
    ("loadgen/load_client.c", '#include "loadgen/load_plan.h"\n#include "ring/ring.h"'),
    ("loadgen/load_client.c", '#include "load_plan.h"'),
    ("tests/unit/smtp/test_x.c", '#include "spool/spool_writer.h"\n#include "ring/ring.h"'),
    ("bench/floor.c", "#include <liburing.h>"),
]

BAD = [
    ("src/base/bytes.c", '#include "ring/ring.h"'),
    ("src/base/bytes.h", '#include "smtp/smtp_limits.h"'),
    ("src/ring/ring.c", '#include "smtp/smtp_limits.h"'),
    ("src/ring/ring.h", "#include <liburing.h>"),
    ("src/ring/ring.h", "  #  include <liburing.h>"),
    ("src/tls/tls_stream.c", '#include "ring/ring.h"'),
    ("src/tls/tls_stream.c", "#include <liburing.h>"),
    ("src/tls/tls_stream.h", "#include <openssl/ssl.h>"),
    ("src/server/connection.c", "#include <openssl/ssl.h>"),
    ("loadgen/load_client.c", "#include <openssl/rand.h>"),
    ("src/smtp/smtp_data.c", '#include "spool/spool_format.h"'),
    ("src/spool/spool_writer.c", '#include "smtp/smtp_limits.h"'),
    ("src/spool/spool_writer.c", '#include "server/config.h"'),
    ("src/audit/audit.c", '#include "export/export_mh.h"'),
    ("src/export/export_mh.c", '#include "audit/audit.h"'),
    ("src/server/worker.c", "#include <liburing.h>"),
    ("src/server/worker.c", '#include "audit/audit.h"'),
    ("src/server/worker.c", '#include "ring/ring.h"\n#include "smtp/smtp_session.h"\n'
                            '#include "spool/spool_writer.h"'),
    ("src/ringsink.c", '#include "loadgen/load_plan.h"'),
    ("src/unknown/thing.c", "#include <stdio.h>"),
    ("loadgen/load_client.c", '#include "smtp/smtp_limits.h"'),
    ("loadgen/load_client.c", '#include "spool/spool_reader.h"'),
    ("loadgen/load_client.c", "#include <liburing.h>"),
]


def judge(path, text):
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "src").mkdir()
        file = Path(root) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
        return subprocess.run([sys.executable, CHECK_LAYERS, root], capture_output=True, text=True)


class CheckLayersTest(unittest.TestCase):
    def test_what_the_layers_allow_passes(self):
        for path, text in GOOD:
            with self.subTest(path=path, text=text):
                result = judge(path, text)
                self.assertEqual((result.returncode, result.stdout), (0, ""))

    def test_a_planted_violation_is_caught_and_named(self):
        for path, text in BAD:
            with self.subTest(path=path, text=text):
                result = judge(path, text)
                self.assertEqual(result.returncode, 1)
                self.assertTrue(result.stdout.startswith(path + ":"), result.stdout)

    def test_a_wrong_root_is_no_success(self):
        result = subprocess.run([sys.executable, CHECK_LAYERS, "/nonexistent"], capture_output=True)
        self.assertNotEqual(result.returncode, 0)


if __name__ == "__main__":
    unittest.main()
