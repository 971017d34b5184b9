"""Damage to files of any kind: bits, cuts, splices, huge numbers, deep nesting, members of archives."""

import io
import re
import struct
import zipfile
import zlib

from mutations import damaged, mutated

HUGE = (b"1e999", b"-1e999", b"99999999999999999999", b"9" * 5000, b"NaN", b"Infinity", b"-1", b"0", b"1e308", b"0.5")
EDGES = (0, 1, -1, 127, 128, 255, 32767, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**62, 2**63 - 1, -(2**63))
DEEP = ((b"[", b"]"), (b'{"a":', b"}"), (b"(", b")"))


def spoiled(name, content, others, chance):
    """Return damaged content of a file. others: contents of other files of its kind. chance: a random.Random."""
    ways = [bits, bits, bits, cut, splice, numbers, edges, fill, deep, text]
    if content[:4] == b"PK\x03\x04":
        ways += [member] * 8
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        ways += [chunks] * 4
    for _ in range(chance.choice((1, 1, 1, 1, 2, 3))):
        way = chance.choice(ways)
        content = way(name, content, others, chance) if content else chance.choice(others)
    return content


def bits(_, content, __, chance):
    """Flip one to eight bits, most of them near the beginning, where formats say what they are."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        most = len(changed) if chance.random() < 0.5 else min(len(changed), 512)
        changed[chance.randrange(most)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(_, content, __, chance):
    """Cut off the end, the beginning or a part."""
    at, to = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return chance.choice((content[:at], content[at:], content[:at] + content[to:], content[: max(len(content) - 1, 0)]))


def splice(_, content, others, chance):
    """Put a part of another file, or of this one, into it."""
    other = chance.choice((content, *others)) or b"\0"
    at, to = sorted(chance.randrange(len(other) + 1) for _ in range(2))
    place = chance.randrange(len(content) + 1)
    after = place if chance.random() < 0.5 else min(place + to - at, len(content))
    return (content[:place] + other[at : min(to, at + 100_000)] + content[after:])[:2_000_000]


def numbers(_, content, __, chance):
    """Put a huge or impossible number in the place of one that is written in digits."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content[:200_000]))
    if not found:
        return content
    one = chance.choice(found)
    return content[: one.start()] + chance.choice(HUGE) + content[one.end() :]


def edges(_, content, __, chance):
    """Put a number at the edge of its range in the place of one, two, four or eight bytes."""
    size, kind = chance.choice(((1, "b"), (2, "h"), (4, "i"), (8, "q")))
    number = chance.choice(EDGES) % (1 << (8 * size))
    packed = struct.pack(chance.choice("<>") + kind.upper(), number)
    most = len(content) if chance.random() < 0.5 else min(len(content), 512)
    at = chance.randrange(most)
    return content[:at] + packed + content[at + size :]


def fill(_, content, __, chance):
    """Fill a part with zeros, ones or noise, as a disk does that lost a block."""
    at = chance.randrange(len(content))
    size = min(chance.choice((1, 16, 512, 4096)), len(content) - at)
    return content[:at] + chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size))) + content[at + size :]


def deep(_, content, __, chance):
    """Put thousands of brackets into it, closed or not."""
    one, other = chance.choice(DEEP)
    many = chance.choice((100, 2000, 100_000))
    nested = one * many + (other * many if chance.random() < 0.7 else b"")
    values = list(re.finditer(rb'(?<=[:,\[(])\s*("[^"]*"|-?[\d.]+)', content[:200_000]))
    if values and chance.random() < 0.7:
        value = chance.choice(values)
        return content[: value.start()] + nested + content[value.end() :]
    return nested if chance.random() < 0.5 else content + nested


def text(name, content, _, chance):
    """Change it as the importers' fuzzer does: a cell, a value of JSON, a row of a database."""
    if chance.random() < 0.2 or name.endswith((".jpg", ".h5", ".npy")):
        return damaged(content, chance)
    known = {".sqlite": "a.sqlite3", ".jsonl": "a.json"}
    return mutated(known.get(name[name.rfind(".") :], name), content, chance)


def member(name, content, others, chance):
    """Damage a member of an archive, whose checksum then fits again."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            held = [(each, archive.read(each)) for each in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, zlib.error, EOFError):
        return bits(name, content, others, chance)
    if not held:
        return content
    which = chance.randrange(len(held))
    way = chance.choice((bits, bits, edges, numbers, cut, fill, deep))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (each, inside) in enumerate(held):
            if number == which and inside:
                inside = way(each, inside, [other for _, other in held], chance)
            archive.writestr(zipfile.ZipInfo(each), inside)
    return made.getvalue()


def chunks(_, content, __, chance):
    """Damage a chunk of a PNG file, whose checksum then fits again."""
    place, found = 8, []
    while place + 12 <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        if place + 12 + length > len(content):
            break
        found.append((place, length))
        place += 12 + length
    if not found:
        return content
    place, length = chance.choice(found)
    inside = bytearray(content[place + 4 : place + 8 + length])
    inside[chance.randrange(len(inside))] = chance.choice((0, 1, 255, chance.randrange(256)))
    return (
        content[: place + 4] + bytes(inside) + struct.pack(">I", zlib.crc32(inside)) + content[place + 8 + length + 4 :]
    )
