"""Containers opened and closed again with right checksums, so that what is in them is reached."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable

from mutating import Mutate, Rng, mutate_bytes, mutate_json, mutate_message, varint

from jslim.host.crc32c import crc32c, mask


def png_chunks(mutate: Mutate) -> Mutate:
    """A chunk of a PNG changed, with its length and checksum right; of IDAT, what is packed."""

    def change(rng: Rng, content: bytes) -> bytes:
        chunks, at = [], 8
        while at < len(content):
            length = int.from_bytes(content[at : at + 4], "big")
            chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
            at += 12 + length
        at = rng.randrange(len(chunks))
        name, data = chunks[at]
        if name == b"IDAT" and rng.random() < 0.5:
            data = zlib.compress(mutate(rng, zlib.decompress(data)))
        elif rng.random() < 0.2:
            name = rng.choice(
                (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"zTXt", b"acTL")
            )
        else:
            data = mutate(rng, data)
        chunks[at] = (name, data)
        parts = [content[:8]]
        for name, data in chunks:
            crc = zlib.crc32(name + data)
            parts.append(struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc))
        return b"".join(parts)

    return change


def zip_member(mutate: Mutate, name: str | None = None) -> Mutate:
    """A member of a zip file changed, with its sizes and checksum right."""

    def change(rng: Rng, content: bytes) -> bytes:
        if not zipfile.is_zipfile(io.BytesIO(content)):
            return mutate(rng, content)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(info, archive.read(info)) for info in archive.infolist()]
        chosen = rng.choice(
            [i for i, (info, _) in enumerate(members) if name in (None, info.filename)]
        )
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for at, (info, data) in enumerate(members):
                data = mutate(rng, data) if at == chosen else data
                archive.writestr(info.filename, data, info.compress_type)
        return out.getvalue()

    return change


def tar_header(rng: Rng, content: bytes) -> bytes:
    """A field of the header of a member changed, with its checksum right."""
    held = bytearray(content)
    starts = [at for at in range(0, len(held) - 512, 512) if held[at + 257 : at + 262] == b"ustar"]
    at = rng.choice(starts)
    header = held[at : at + 512]
    place, size = rng.choice(
        ((0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8))
    )
    changed = mutate_bytes(rng, bytes(header[place : place + size]))
    header[place : place + size] = changed[:size].ljust(size, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    held[at : at + 512] = header
    return bytes(held)


def tfrecord(mutate: Mutate) -> Mutate:
    """A record of a TFRecord file changed, with its length and checksums right."""

    def change(rng: Rng, content: bytes) -> bytes:
        records, at = [], 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 8], "little")
            records.append(content[at + 12 : at + 12 + length])
            at += 16 + length
        at = rng.randrange(len(records))
        records[at] = mutate(rng, records[at])
        return b"".join(map(framed, records))

    return change


def framed(record: bytes) -> bytes:
    length = struct.pack("<Q", len(record))
    checksums = (struct.pack("<I", mask(crc32c(part))) for part in (length, record))
    return length + next(checksums) + record + next(checksums)


def tfrecord_length(rng: Rng, content: bytes) -> bytes:
    """The length of the first record changed, with its checksum right."""
    length = struct.pack("<Q", rng.choice((0, 1 << 20, 1 << 40, (1 << 63) + 1, (1 << 64) - 1, 12)))
    return length + struct.pack("<I", mask(crc32c(length))) + content[12:]


def packed(
    unpack: Callable[[bytes], bytes], pack: Callable[[bytes], bytes], mutate: Mutate
) -> Mutate:
    """What is packed changed, and packed again."""
    return lambda rng, content: pack(mutate(rng, unpack(content)))


def safetensors(rng: Rng, content: bytes) -> bytes:
    """The header changed, and its length right; at times with bytes to the end of what it says."""
    length = int.from_bytes(content[:8], "little")
    mutate = mutate_json if rng.random() < 0.8 else mutate_bytes
    header = mutate(rng, content[8 : 8 + length])
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


def meta(rng: Rng, content: bytes) -> bytes:
    """The body of meta.json changed, with a right checksum."""
    body = mutate_json(rng, json.dumps(json.loads(content)["body"]).encode())
    try:
        crc = zlib.crc32(json.dumps(json.loads(body), sort_keys=True).encode())
    except (RecursionError, ValueError):
        crc = 0
    return b'{"crc32": %d, "body": %s}' % (crc, body)


def snappy(data: bytes) -> bytes:
    """Snappy's format, of literals alone."""
    parts = [data[at : at + 60] for at in range(0, len(data), 60)]
    return varint(len(data)) + b"".join(bytes([len(part) - 1 << 2]) + part for part in parts)


def write_table(
    items: list[tuple[bytes, bytes]], change_block: Callable[[bytes], bytes], chosen: int, kind: int
) -> bytes:
    """A table of TensorFlow in one block; one of its three blocks changed, checksums right."""
    out = bytearray()

    def write(entries: list[tuple[bytes, bytes]], number: int) -> bytes:
        block = b"".join(
            varint(0) + varint(len(key)) + varint(len(value)) + key + value
            for key, value in entries
        )
        block += struct.pack("<II", 0, 1)
        if number == chosen and kind == 1:
            block = change_block(snappy(block))
        elif number == chosen:
            block = change_block(block)
        trailer = block + bytes([kind if number == chosen else 0])
        handle = varint(len(out)) + varint(len(block))
        out.extend(trailer + struct.pack("<I", mask(crc32c(trailer))))
        return handle

    index = [(items[-1][0] + b"\xff", write(items, 0))]
    footer = write([], 1)
    footer += write(index, 2)
    out.extend(footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57))
    return bytes(out)


def table(items: list[tuple[bytes, bytes]]) -> Mutate:
    """A table of these keys and values with one of them, or a block, changed."""

    def change(rng: Rng, content: bytes) -> bytes:
        held = list(items)
        if rng.random() < 0.6:
            at = rng.randrange(len(held))
            key, value = held[at]
            if rng.random() < 0.15:
                key = mutate_bytes(rng, key)
            else:
                value = mutate_message(rng, value)
            held[at] = (key, value)
            if rng.random() < 0.1:
                held.insert(at, (key, value))
            return write_table(held, lambda block: block, 3, 0)
        kind = rng.choice((0, 0, 0, 1, 1, 2))
        return write_table(held, lambda b: mutate_bytes(rng, b), rng.choice((0, 0, 2)), kind)

    return change
