"""Statements that change the items of a gallery's file, within a transaction."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from bitreid.gallery.items import Id, Items, check_same_id, key_of
from bitreid.gallery.sqlite.file import chunks, damaged
from bitreid.gallery.sqlite.rows import SEARCHED, Widths, id_of, is_sound, with_person


def seqs_of(writer: sqlite3.Connection, batch: Items, path: Path) -> dict[int, int]:
    """Return the sequence numbers of the items of a batch that are there, by key."""
    ids = dict(zip(batch.keys().tolist(), batch.ids, strict=True))
    found = {}
    for keys in chunks(list(ids)):
        marks = ",".join("?" * len(keys))
        for seq, key, text in writer.execute(f"SELECT seq, key, id FROM items WHERE key IN ({marks})", keys):
            if key not in ids:
                raise damaged(path, "a list of ids that is not that of the items")
            check_same_id(ids[key], id_of(key, text))
            found[key] = seq
    return found


def chosen_of(writer: sqlite3.Connection, ids: Sequence[Id]) -> dict[int, Id]:
    """Return ids by sequence number, of those that are there."""
    wanted = {key_of(id): id for id in ids}
    found = {}
    for keys in chunks(list(wanted)):
        marks = ",".join("?" * len(keys))
        for seq, key, text in writer.execute(f"SELECT seq, key, id FROM items WHERE key IN ({marks})", keys):
            if wanted.get(key) == id_of(key, text):
                found[seq] = wanted[key]
    return found


def delete_seqs(writer: sqlite3.Connection, seqs: Sequence[int]) -> None:
    """Delete the items of these sequence numbers, and say so in the list of changes."""
    for statement in ("DELETE FROM items WHERE seq = ?", "INSERT INTO changes (seq) VALUES (?)"):
        writer.executemany(statement, ((seq,) for seq in seqs))


def assign(writer: sqlite3.Connection, persons: Mapping[Id, str | None], widths: Widths) -> None:
    """Say who the items of these ids show, and say so in the list of changes."""
    found = chosen_of(writer, list(persons))
    for seqs in chunks(list(found)):
        marks = ",".join("?" * len(seqs))
        rows = writer.execute(f"SELECT {SEARCHED} FROM items WHERE seq IN ({marks})", seqs).fetchall()
        writer.executemany(
            "UPDATE items SET checksum = ?, person = ? WHERE seq = ?",
            [with_person(row, persons[found[row[0]]]) for row in rows if is_sound(row, widths)],
        )
    writer.executemany("INSERT INTO changes (seq) VALUES (?)", ((seq,) for seq in found))
