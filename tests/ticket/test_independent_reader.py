"""The independent reader against known answers, and against tickets that the library writes. Status 0: passed.
`test_independent_reader.py [TICKET]...` reads those tickets as well, as does $TOMBOLA_TEST_TICKET; where TICKET.json
lies beside one, it must hold the same content. Samples come from the program test_ticket in $TOMBOLA_BUILD_ROOT."""

import glob
import json
import math
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import independent_reader as reader

TICKETS = []

EXAMPLE = bytes.fromhex("""
    544F4D424F4C411A 010000000000 B200000000000000 0101 2A00000000000000
    0200 0A0061637469766174696F6E 040072656C75 07006E6574776F726B 07006578616D706C65
    01000000 090066632E776569676874 020400000005000000 02 01000000 9BE8213F 591830F9C7564C12
    0600000000000000 0600000000000000 B106030053F9
    00000000 01000000 09006E6F726D2E6D65616E 080062666C6F61743136 02000000803F00BF 7BEE042B47FCD321
    """)


def single(pattern):
    return struct.unpack("<f", struct.pack("<I", pattern))[0]


class KnownAnswers(unittest.TestCase):
    def test_crc64(self):
        self.assertEqual(reader.crc64(b"123456789"), 0x995DC9BBDF1939FA)

    def test_philox(self):
        """The known answers of Random123, the authors' library."""
        ones = 0xFFFFFFFF
        self.assertEqual(reader.philox((0, 0, 0, 0), 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8))
        self.assertEqual(reader.philox((ones,) * 4, 2 ** 64 - 1), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD))
        self.assertEqual(reader.philox((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), 0x299F31D0A4093822),
                         (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1))

    def test_log(self):
        for m in range(1, 2 ** 24, 99990):
            t = m / 2 ** 25
            self.assertLessEqual(abs(reader.log(t) - math.log(t)), 4e-16 * abs(math.log(t)))

    def test_quantile(self):
        """Against another implementation, and against the distribution function itself."""
        normal = statistics.NormalDist()
        for m in [*range(-2 ** 24 + 1, 2 ** 24, 9998), -14260635, -14260633, -1, 1, 14260633, 14260635, 2 ** 24 - 1]:
            z, expected = reader.quantile(m), normal.inv_cdf(0.5 + m / 2 ** 25)
            self.assertLessEqual(abs(z - expected), 1e-15 * abs(expected))
            p = 0.5 - abs(m) / 2 ** 25
            self.assertLessEqual(abs(0.5 * math.erfc(abs(z) / math.sqrt(2)) - p), 1e-14 * p)

    def test_weights(self):
        seed, stream_id = 0x0123456789ABCDEF, 7
        for init, scale, first, last, hashed in (
                (0, 0x3DB329A5, [0xBCAE6AB0, 0xBD75E9AC, 0xBD4AF8F4, 0xBDA14241], 0xBD953614, 0x444CBF6E43A40D28),
                (1, 0x3D4EE116, [0x3D4EE116, 0x3D4EE116, 0x3D4EE116, 0x3D4EE116], 0x3D4EE116, 0x2CF11841FBF860FF),
                (2, 0x3D4EE116, [0xBC803B52, 0xBD506BE1, 0xBD220341, 0xBDAA2D80], 0xBD8EE2A0, 0x51B752CB8D191DDA),
                (3, 0x3D985DF4, [0xBC9454B4, 0xBD512249, 0xBD2C9DA5, 0xBD89240E], 0xBD7DCA4E, 0x3F34E864A1D585C8)):
            arguments = (seed, stream_id, init, single(scale))
            self.assertEqual(reader.weights(*arguments, 0, 4), first)
            self.assertEqual(reader.weights(*arguments, 2 ** 34 - 1, 1), [last])
            self.assertEqual(reader.hash_weights(*arguments, 100003), hashed)

    def test_masks(self):
        for n, threshold, crc in ((24, 2 ** 30, reader.crc64(bytes.fromhex("164A12000000"))),
                                  (100, 2 ** 29, reader.crc64(bytes.fromhex("E11D331BB93E1C95"))),
                                  (65535, 2 ** 28, 0x8AD528B4097CC711), (65536, 2 ** 31, 0xFF800CDB43630695),
                                  (70001, 2 ** 27, 0x55ACF338F4928FF1), (1048577, 2 ** 26, 0x4FEB9171ACD3F881)):
            mask = [w < threshold for w in reader.words(5, 3, 0, n)]
            code = reader.encode_mask(mask)
            self.assertEqual(reader.crc64(code), crc)
            self.assertEqual(reader.decode_mask(code, n, sum(mask)), mask)

    def test_example(self):
        ticket = reader.read(EXAMPLE)
        self.assertEqual((ticket["version"], ticket["seed"]), ([1, 0, 0], 42))
        self.assertEqual(ticket["properties"], {"activation": "relu", "network": "example"})
        (layer,) = ticket["layers"]
        self.assertEqual((layer["name"], layer["shape"], layer["init"], layer["id"]), ("fc.weight", [4, 5], 2, 1))
        self.assertEqual([i for i, bit in enumerate(layer["mask"]) if bit], [0, 3, 7, 8, 14, 19])
        self.assertEqual(reader.hash_weights(42, 1, 2, layer["scale"], 20), layer["hash"])
        self.assertEqual(ticket["units"], [])
        self.assertEqual(ticket["statistics"],
                         [{"name": "norm.mean", "format": "bfloat16", "values": [0x3F80, 0xBF00]}])

    def test_damaged(self):
        for size in range(len(EXAMPLE)):
            self.assertRaises(reader.Refused, reader.read, EXAMPLE[:size])
        self.assertRaises(reader.Refused, reader.read, EXAMPLE + b"\0")
        for bit in range(8 * len(EXAMPLE)):
            altered = bytearray(EXAMPLE)
            altered[bit // 8] ^= 1 << bit % 8
            self.assertRaises(reader.Refused, reader.read, bytes(altered))


class Tickets(unittest.TestCase):
    def compare(self, path):
        with open(path, "rb") as file:
            found = reader.summary(file.read())
        for layer in found["layers"]:
            self.assertEqual(layer["drawn_hash"], layer["hash"], path + ": " + layer["name"])
        if os.path.exists(path + ".json"):
            with open(path + ".json", encoding="ascii") as file:
                self.assertEqual(found, json.load(file), path)

    def test_samples(self):
        """Tickets with every initialisation, one and eight states and constant masks, written by the library now."""
        program = os.path.join(os.environ.get("TOMBOLA_BUILD_ROOT", ""), "tests", "test_ticket")
        if not os.path.exists(program):
            self.skipTest("no " + program)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([program, "--test-case=ticket: samples for the independent reader"], check=True,
                           stdout=subprocess.DEVNULL, env={**os.environ, "TOMBOLA_TEST_SAMPLES": folder})
            samples = sorted(glob.glob(os.path.join(folder, "*.tombola")))
            self.assertEqual(len(samples), 2)
            for path in samples:
                self.assertTrue(os.path.exists(path + ".json"))
                self.compare(path)

    def test_given(self):
        for path in TICKETS:
            self.compare(path)


if __name__ == "__main__":
    TICKETS += sys.argv[1:]
    if os.environ.get("TOMBOLA_TEST_TICKET"):
        TICKETS.append(os.environ["TOMBOLA_TEST_TICKET"])
    unittest.main(argv=sys.argv[:1])
