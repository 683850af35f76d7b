"""Reads the text of an HdrHistogram (V2, compressed, Base64), as loadgen and ringspool write it."""
import base64
import struct
import zlib

COOKIE = 0x1C849303
COMPRESSED_COOKIE = 0x1C849304
COOKIE_BASE = ~0xF0


def numbers(octets):
    """ZigZag LEB128, at most nine octets each."""
    value = shift = 0
    for octet in octets:
        if shift == 56:
            value |= octet << 56
            is_last = True
        else:
            value |= (octet & 0x7F) << shift
            is_last = octet < 0x80
        shift += 7
        if is_last:
            yield value >> 1 ^ -(value & 1)
            value = shift = 0


def shape(octets):
    """Sub-bucket count and unit, as bits, and the encoded counts."""
    cookie, size, _, digits, lowest = struct.unpack(">IIIIQ", octets[:24])
    if cookie & COOKIE_BASE != COOKIE:
        raise ValueError("no HdrHistogram")
    return (2 * 10 ** digits - 1).bit_length(), max(lowest, 1).bit_length() - 1, octets[40:40 + size]


def decode(text):
    """[(lowest value, highest value, count)] of every slot that counted anything, in order."""
    octets = base64.b64decode(text)
    cookie, size = struct.unpack(">II", octets[:8])
    if cookie & COOKIE_BASE != COMPRESSED_COOKIE:
        raise ValueError("no compressed HdrHistogram")
    bits, unit, counts = shape(zlib.decompress(octets[8:8 + size]))
    found = []
    index = 0
    for number in numbers(counts):
        if number < 0:  # a run of zeros
            index -= number
            continue
        if number:
            bucket = (index >> (bits - 1)) - 1
            sub = (index & ((1 << (bits - 1)) - 1)) + (1 << (bits - 1))
            if bucket < 0:
                bucket, sub = 0, index
            low = sub << (bucket + unit)
            found.append((low, low + (1 << (bucket + unit)) - 1, number))
        index += 1
    return found


def rows(slots, count):
    """`count` rows of [upper bound, count], the bounds a constant factor apart. What is below a thousandth of the most is in
    the first: a few values near nothing would else take all rows."""
    if not slots:
        return []
    most = max(slots[-1][1], 2)
    least = max(slots[0][0], most / 1000, 1)
    step = (most / least) ** (1 / count)
    bounds = [least * step ** (number + 1) for number in range(count)]
    bounds[-1] = most
    found = [[bound, 0] for bound in bounds]
    for low, high, number in slots:
        middle = (low + high) / 2
        place = next((index for index, bound in enumerate(bounds) if middle <= bound), count - 1)
        found[place][1] += number
    return found
