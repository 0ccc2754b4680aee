"""A reader of ticket files that shares no code with the library: written from docs/ticket-format.md alone, with
Python's standard library alone. `python3 independent_reader.py FILE` prints what a ticket holds, as JSON."""

import json
import math
import struct
import sys


class Refused(Exception):
    """The bytes are not an intact ticket."""


def check(holds, message):
    if not holds:
        raise Refused(message)


# Checksum

def _crc_table():
    table = []
    for byte in range(256):
        c = byte
        for _ in range(8):
            c = (c >> 1) ^ (0xC96C5795D7870F42 if c & 1 else 0)
        table.append(c)
    return table


_TABLE = _crc_table()


def crc64(data):
    c = 0xFFFFFFFFFFFFFFFF
    for byte in data:
        c = _TABLE[(c ^ byte) & 0xFF] ^ (c >> 8)
    return c ^ 0xFFFFFFFFFFFFFFFF


# Random words

def philox(counter, key):
    c0, c1, c2, c3 = counter
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p0 = 0xD2511F53 * c0
        p1 = 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & 0xFFFFFFFF, (p0 >> 32) ^ c3 ^ k1, p0 & 0xFFFFFFFF
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def words(seed, stream_id, first, count):
    block, skip = divmod(first, 4)
    found = []
    while len(found) < skip + count:
        found.extend(philox((block, stream_id, 0, 0), seed))
        block += 1
    return found[skip:skip + count]


# Weights

A = [2.5090809287301226727e+3, 3.3430575583588128105e+4, 6.7265770927008700853e+4, 4.5921953931549871457e+4,
     1.3731693765509461125e+4, 1.9715909503065514427e+3, 1.3314166789178437745e+2, 3.3871328727963666080e+0]
B = [5.2264952788528545610e+3, 2.8729085735721942674e+4, 3.9307895800092710610e+4, 2.1213794301586595867e+4,
     5.3941960214247511077e+3, 6.8718700749205790830e+2, 4.2313330701600911252e+1, 1.0]
C = [7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e+0,
     3.64784832476320460504e+0, 5.76949722146069140550e+0, 4.63033784615654529590e+0, 1.42343711074968357734e+0]
D = [1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940e+0, 2.05319162663775882187e+0, 1.0]
ARTANH = [1 / 19, 1 / 17, 1 / 15, 1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3]


def horner(coefficients, x):
    total = coefficients[0]
    for c in coefficients[1:]:
        total = total * x + c  # CPython rounds the product: it has no fused multiply-add of its own accord
    return total


def log(t):
    g, e = math.frexp(t)  # 1/2 <= g < 1
    if g < 11 / 16:
        g, e = 2 * g, e - 1
    s = (g - 1) / (g + 1)
    u = s * s
    v = 1 + u * horner(ARTANH, u)
    return e * float.fromhex("0x1.62E42FEFA39EFp-1") + (s + s) * v


def quantile(m):
    q = m / 2.0 ** 25
    if abs(m) <= 14260633:
        r = 0.180625 - q * q
        return (q * horner(A, r)) / horner(B, r)
    r = math.sqrt(-log(0.5 - abs(q))) - 1.6
    return math.copysign(horner(C, r) / horner(D, r), q)


def to_single(x):
    """The bit pattern of the nearest float32."""
    return struct.unpack("<I", struct.pack("<f", x))[0]


def weights(seed, stream_id, initialisation, scale, first, count):
    """Bit patterns of weights first to first + count - 1."""
    found = []
    for w in words(seed, stream_id, first, count):
        m = 2 * (w // 256) + 1 - 2 ** 24
        if initialisation in (0, 3):
            x = m * (scale * 2.0 ** -24)
        elif initialisation == 1:
            x = -scale if w >= 2 ** 31 else scale
        else:
            x = scale * quantile(m)
        found.append(to_single(x))
    return found


def hash_weights(seed, stream_id, initialisation, scale, count):
    patterns = weights(seed, stream_id, initialisation, scale, 0, count)
    return crc64(struct.pack("<%dI" % count, *patterns))


# Mask

def decode_mask(data, n, kept):
    check(0 <= kept <= n, "kept")
    if kept in (0, n):
        check(len(data) == 0, "bytes for a constant mask")
        return [kept == n] * n
    f = min(max((kept * 65536 + n // 2) // n, 1), 65535)
    states = 1 if n < 2 ** 16 else 8 if n < 2 ** 20 else 32
    check(len(data) >= 4 * states and len(data) % 2 == 0, "mask too short or of an odd size")
    x = list(struct.unpack_from("<%dI" % states, data))
    check(all(state >= 65536 for state in x), "state too small")
    position = 4 * states
    mask = []
    for i in range(n):
        j = i % states
        high, low = divmod(x[j], 65536)
        if low < f:
            mask.append(True)
            state = f * high + low
        else:
            mask.append(False)
            state = (65536 - f) * high + low - f
        if state < 65536:
            check(position < len(data), "words missing")
            state = state * 65536 + data[position] + 256 * data[position + 1]
            position += 2
        x[j] = state
    check(all(state == 65536 for state in x), "final state")
    check(position == len(data), "words left over")
    check(sum(mask) == kept, "kept count")
    return mask


def encode_mask(mask):
    n, kept = len(mask), sum(mask)
    if kept in (0, n):
        return b""
    f = min(max((kept * 65536 + n // 2) // n, 1), 65535)
    states = 1 if n < 2 ** 16 else 8 if n < 2 ** 20 else 32
    x = [65536] * states
    found = []
    for i in reversed(range(n)):
        j = i % states
        g, b = (f, 0) if mask[i] else (65536 - f, f)
        if x[j] >= g * 65536:
            found.append(x[j] % 65536)
            x[j] //= 65536
        x[j] = x[j] // g * 65536 + x[j] % g + b
    return struct.pack("<%dI" % states, *x) + struct.pack("<%dH" % len(found), *reversed(found))


# File

class Fields:
    def __init__(self, data):
        self.data, self.position = data, 0

    def bytes(self, count):
        check(count <= len(self.data) - self.position, "truncated")
        part = self.data[self.position:self.position + count]
        self.position += count
        return part

    def number(self, kind):
        return struct.unpack("<" + kind, self.bytes(struct.calcsize("<" + kind)))[0]

    def u8(self):
        return self.number("B")

    def u16(self):
        return self.number("H")

    def u32(self):
        return self.number("I")

    def u64(self):
        return self.number("Q")

    def string(self):
        text = self.bytes(self.u16())
        check(all(0x20 <= byte <= 0x7E for byte in text), "not printable ASCII")
        return text.decode("ascii")

    def name(self):
        text = self.string()
        check(text, "empty name")
        return text

    def mask(self, n):
        kept = self.u64()
        check(kept <= n, "kept")
        return kept, decode_mask(self.bytes(self.u64()), n, kept)


def read(data, limit=2 ** 30):
    """The ticket as a dictionary; the mask of a layer is a list of booleans."""
    fields = Fields(data)
    check(fields.bytes(8) == b"TOMBOLA\x1A", "not a ticket")
    major, minor, patch = fields.u16(), fields.u16(), fields.u16()
    check(major == 1, "unknown major version")
    check(fields.u64() == len(data), "another size")
    check(len(data) >= fields.position + 8, "truncated")
    check(struct.unpack("<Q", data[-8:])[0] == crc64(data[:-8]), "checksum")
    fields.data = data[:-8]
    check(fields.u8() == 1, "unknown generator")
    check(fields.u8() == 1, "unknown coder")
    ticket = {"version": [major, minor, patch], "seed": fields.u64(), "properties": {}, "layers": [], "units": [],
              "statistics": []}
    last = ""
    for _ in range(fields.u16()):
        key, value = fields.name(), fields.string()
        check(key > last, "keys out of order")
        ticket["properties"][key] = value
        last = key
    for _ in range(fields.u32()):
        layer = {"name": fields.name()}
        rank = fields.u8()
        check(1 <= rank <= 6, "rank")
        layer["shape"] = [fields.u32() for _ in range(rank)]
        n = math.prod(layer["shape"])
        check(1 <= n <= limit, "extents")
        limit -= n
        layer["init"] = fields.u8()
        check(layer["init"] <= 3, "unknown initialisation")
        layer["id"] = fields.u32()
        layer["scale"] = fields.number("f")
        check(2.0 ** -64 <= layer["scale"] <= 2.0 ** 64, "scale")
        layer["hash"] = fields.u64()
        layer["kept"], layer["mask"] = fields.mask(n)
        ticket["layers"].append(layer)
    check(ticket["layers"], "no layers")
    for _ in range(fields.u32()):
        units = {"name": fields.name()}
        n = fields.u32()
        check(1 <= n <= limit, "number of units")
        limit -= n
        units["kept"], units["mask"] = fields.mask(n)
        ticket["units"].append(units)
    for _ in range(fields.u32()):
        entry = {"name": fields.name(), "format": fields.string()}
        check(entry["format"] in ("bfloat16", "float16"), "unknown format")
        count = fields.u32()
        entry["values"] = list(struct.unpack("<%dH" % count, fields.bytes(2 * count)))
        ticket["statistics"].append(entry)
    check(fields.position == len(fields.data), "bytes left over")
    for entries, key in ((ticket["layers"] + ticket["units"], "name"), (ticket["layers"], "id"),
                         (ticket["statistics"], "name")):
        check(len({entry[key] for entry in entries}) == len(entries), "duplicate " + key)
    return ticket


def pack_mask(mask):
    """Eight bits to a byte, bit i mod 8 of byte i / 8, in hexadecimal."""
    return sum(1 << i for i, bit in enumerate(mask) if bit).to_bytes((len(mask) + 7) // 8, "little").hex()


def summary(data, regenerate=True):
    """What a comparison needs, ready for JSON: numbers of 64 bits as hexadecimal text."""
    ticket = read(data)
    ticket["seed"] = "%016x" % ticket["seed"]
    for layer in ticket["layers"]:
        n = len(layer["mask"])
        arguments = (int(ticket["seed"], 16), layer["id"], layer["init"], layer["scale"])
        layer["first"] = ["%08x" % word for word in weights(*arguments, 0, min(n, 8))]
        layer["hash"] = "%016x" % layer["hash"]
        layer["scale"] = "%08x" % to_single(layer["scale"])
        if regenerate:
            layer["drawn_hash"] = "%016x" % hash_weights(*arguments, n)
        layer["mask"] = pack_mask(layer["mask"])
    for units in ticket["units"]:
        units["size"] = len(units["mask"])
        units["mask"] = pack_mask(units["mask"])
    return ticket


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        print(json.dumps(summary(file.read()), indent=1))
