"""Damage to the files of a source: bytes, cells of tables, values of JSON, rows of databases, names of files."""

import csv
import io
import json
import sqlite3

VALUES = (
    *("", " ", "../secret.jpg", "../../secret.jpg", "/etc/passwd", "..\\secret.jpg"),
    *("C:\\Windows\\a.jpg", "a.jpg/../..", "."),
    *("-1", "0", "1e400", "-1e400", "nan", "NaN", "inf", "99999999999999999999", "0x10", "1,5", "½", "١٢", "0.1;0.2"),
    *("31/02/2024", "3/4/2021", "13/4/2021", "0000-00-00", "9999-12-31T23:59:60", "2024-05-04T10:00:00+99:00", "1e9"),
    *("2024-05-04 25:61:00", "04-Mai-2024", "2024-05-04T10:00:00Z", "24:00", "41°30'12\"N", "91"),
    *("181", "76,25", "EPSG:0"),
    *("=1+1", "@SUM(A1)", "'", '"', "\0", "a\nb", "a\r\nb", "\ufeff", "\u202e", "é", "e\u0301"),
    *("🐆", "x" * 5000, "____"),
    *("[", "[20, 20]", "[20, 20, -5, 1e99]", "1 2 3 4", "0.1,0.2,0.3,0.4", "5,5,0,0", "null"),
    *("None", "true", "left;right"),
    *("LF", "left flank", "Rechts", "unknown", "NONE", "CON", "nul.jpg", "a" * 300 + ".jpg"),
    *("naryn/", "//", "~", "$HOME"),
)  # fmt: skip
THINGS = (None, True, False, [], {}, [[]], {"": None}, -1, 0, 10**30, 1e308, float("inf"), float("nan"), [1], ["a", 2])


def mutated(name, content, chance):
    """Return the damaged content of a file. chance: a random.Random. A file of an unknown kind has damaged bytes."""
    kind = name.rpartition(".")[2].lower()
    way = {"csv": table, "json": document, "ddb": database, "sqlite3": database}.get(kind)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        content = damaged(content, chance) if way is None or chance.random() < 0.35 else way(content, chance)
    return content


def damaged(content, chance):
    """Return content with bytes changed, cut off, taken out, repeated or written in another encoding."""
    at, to = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    kind = chance.randrange(8)
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content[:at] + content[to:]
    if kind == 2:
        return content[:to] + content[at:]
    if kind == 3:
        return content[:at] + bytes(chance.randrange(256) for _ in range(4)) + content[at + 4 :]
    if kind == 4:
        return content[:at] + chance.choice(VALUES).encode() + content[at:]
    if kind == 5:
        return content.decode("utf-8", "replace").encode(chance.choice(("utf-16", "utf-8-sig", "utf-32", "utf-7")))
    if kind == 6:
        return b"" if chance.random() < 0.3 else content.replace(b"\n", chance.choice((b"\r\n", b"\r", b"\n\n")))
    return content.replace(
        *chance.choice([(b"1", b"-1e400"), (b'"', b""), (b",", b";"), (b"jpg", b"../x"), (b"0", b"\0"), (b"/", b"\\")])
    )


def table(content, chance):
    """Return a csv file with a cell, a heading, a column or a row changed; damaged bytes if it is no table."""
    try:
        text = content.decode("utf-8-sig")
        separator = ";" if ";" in text.partition("\n")[0] else ","
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except (ValueError, csv.Error):
        rows = []
    if not rows or not rows[0]:
        return damaged(content, chance)
    row = chance.choice(rows)
    column = chance.randrange(len(rows[0]))
    kind = chance.randrange(8)
    if kind < 4 and row:
        row[chance.randrange(len(row))] = chance.choice(VALUES)
    elif kind == 4:
        rows = [[cell for n, cell in enumerate(each) if n != column] for each in rows]
    elif kind == 5:
        rows.insert(chance.randrange(len(rows) + 1), list(row))
    elif kind == 6:
        rows = [[*each, *each[column : column + 1]] for each in rows]
    else:
        row[:] = row[: chance.randrange(len(row) + 1)] + ["more"] * chance.randrange(3)
    out = io.StringIO()
    csv.writer(out, delimiter=chance.choice((separator, separator, ";", "\t"))).writerows(rows)
    return out.getvalue().encode("utf-8", "surrogatepass")


def document(content, chance):
    """Return a JSON file with a value replaced, taken out or repeated; damaged bytes if it is no JSON."""
    try:
        top = json.loads(content)
    except (ValueError, RecursionError):
        return damaged(content, chance)
    places = []
    waiting = [top]
    while waiting:
        at = waiting.pop()
        keys = list(at) if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else ()
        places += [(at, key) for key in keys]
        waiting += [at[key] for key in keys if isinstance(at[key], dict | list)]
    if not places:
        return damaged(content, chance)
    at, key = chance.choice(places)
    kind = chance.randrange(6)
    if kind < 3:
        at[key] = chance.choice(VALUES) if chance.random() < 0.6 else chance.choice(THINGS)
    elif kind == 3:
        del at[key]
    elif kind == 4 and isinstance(at, list):
        at.append(at[key])
    else:
        other, name = chance.choice(places)
        at[key] = json.loads(json.dumps(other.get(name) if isinstance(other, dict) else other[name : name + 1]))
    return json.dumps(top).encode()


def database(content, chance):
    """Return an SQLite file with a cell changed, or a table or column gone; damaged bytes if it is no database."""
    memory = sqlite3.connect(":memory:")
    try:
        memory.deserialize(content)
        names = [name for (name,) in memory.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        name = chance.choice(names)
        columns = [row[1] for row in memory.execute(f'PRAGMA table_info("{name}")')]
        column, kind = chance.choice(columns), chance.randrange(8)
        if kind < 5:
            value = chance.choice((*VALUES, None, -1, 0, 1, 2**62, 1e300, b"\xff\x00"))
            memory.execute(f'UPDATE "{name}" SET "{column}" = ? WHERE rowid = ?', (value, chance.choice((1, 2))))
        elif kind == 5:
            memory.execute(f'DROP TABLE "{name}"')
        elif kind == 6:
            memory.execute(f'ALTER TABLE "{name}" DROP COLUMN "{column}"')
        else:
            memory.execute(f'INSERT INTO "{name}" SELECT * FROM "{name}"')
        memory.commit()
        return memory.serialize()
    except (sqlite3.Error, IndexError, MemoryError, ValueError):  # MemoryError: an empty file; ValueError: no UTF-8
        return damaged(content, chance)
    finally:
        memory.close()


def renamed(path, chance):
    """Rename a photo, or put something else in its place. Return what puts it back."""
    content = path.read_bytes()
    kind = chance.randrange(6)
    path.unlink()
    if kind == 0:
        return lambda: path.write_bytes(content)
    if kind == 1:
        path.mkdir()
        return lambda: (path.rmdir(), path.write_bytes(content))
    if kind == 2:
        path.symlink_to(chance.choice(("nowhere.jpg", path.name, "/etc/passwd", "..")))
    elif kind == 3:
        path.write_bytes(damaged(content, chance))
    elif kind == 4:
        path.write_bytes(chance.choice((b"", b"no photo", content[:100], b"\xff\xd8\xff\xe0" + bytes(50))))
    else:
        names = (
            "A.JPG",
            "ä.jpg",
            "a\u0308.jpg",
            "a b.jpg",
            "=a.jpg",
            "a\nb.jpg",
            "\udcff.jpg",
            "a,b.jpg",
            "-x.jpg",
            "'.jpg",
        )
        other = path.with_name(chance.choice(names))
        if other.exists():
            path.write_bytes(content)
            return lambda: None
        other.write_bytes(content)
        return lambda: (other.unlink(), path.write_bytes(content))
    return lambda: (path.unlink(), path.write_bytes(content))
