"""Picture files of kinds that Pillow does not write, made by hand from the formats' specifications."""

import struct
import zlib

import numpy as np


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_png(path, values, colour_type, bits, *, before=b"", behind=b""):
    """Write a PNG of 8 or 16 bits, [H, W, bands]; other chunks may stand before and behind its pixels."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(f">u{bits // 8}").tobytes() for row in values)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    body = header + before + chunk(b"IDAT", zlib.compress(rows)) + behind + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def write_bare_png(path, height, width):
    """Write a black PNG of 1 bit in few bytes, of whatever size."""
    packer, row = zlib.compressobj(9), bytes(1 + -(-width // 8))
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", packed) + chunk(b"IEND", b""))


def write_tiff(path, values, *, photometric, bits=None, extra=(), number=1, more=(), pages=1):
    """Write an uncompressed little-endian TIFF, [H, W, bands], each page with the same pixels; `more` are short tags.

    With `bits` below 8, values are packed into bytes, each row from a byte of its own.
    """
    height, width, bands = values.shape
    bits = bits or values.dtype.itemsize * 8
    if bits < 8:
        text = ["".join(f"{value:0{bits}b}" for value in row.ravel()) for row in values]
        data = b"".join(
            int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8), "big") for row in text
        )
    else:
        data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    content = bytearray(b"II*\0" + struct.pack("<I", 8))
    for page in range(pages):
        tags = {256: [width], 257: [height], 258: [bits] * bands, 259: [1], 262: [photometric], 277: [bands]}
        tags |= {278: [height], 339: [number] * bands, **({338: list(extra)} if extra else {}), **dict(more)}
        tags |= {273: None, 279: None}
        start = len(content)
        after = start + 2 + 12 * len(tags) + 4
        entries, tail = b"", b""
        for tag, listed in sorted(tags.items()):
            if tag in (273, 279):
                continue
            packed = struct.pack(f"<{len(listed)}H", *listed)
            if len(packed) > 4:
                tail_at, tail = after + len(tail), tail + packed
                packed = struct.pack("<I", tail_at)
            entries += struct.pack("<HHI", tag, 3, len(listed)) + packed.ljust(4, b"\0")
        data_at = after + len(tail)
        entries += struct.pack("<HHII", 273, 4, 1, data_at) + struct.pack("<HHII", 279, 4, 1, len(data))
        ordered = b"".join(sorted((entries[k : k + 12] for k in range(0, len(entries), 12)), key=_tag_of))
        following = data_at + len(data) if page + 1 < pages else 0
        content += struct.pack("<H", len(tags)) + ordered + struct.pack("<I", following) + tail + data
    path.write_bytes(bytes(content))


def _tag_of(entry: bytes) -> int:
    return struct.unpack("<H", entry[:2])[0]


def exif_of(orientation: int) -> bytes:
    """Return EXIF data with an orientation alone."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def noise(*shape, dtype=np.uint8, seed=0):
    high = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, high, shape, dtype, endpoint=True)
