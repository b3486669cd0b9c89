"""`bitreid gallery`: what each of its commands does."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bitreid.commands.console import progress_of
from bitreid.commands.evaluate import parse_rows, parse_share
from bitreid.commands.gallery_inputs import description, ids_of, like, moment, queries_of, sources_of
from bitreid.data.files import check_outputs, new_file
from bitreid.errors import GalleryError, SettingsError
from bitreid.evaluation.summary import json_values
from bitreid.gallery import (
    Contract,
    Filter,
    Gallery,
    Hit,
    Hits,
    IdIn,
    Not,
    OlderThan,
    PersonIn,
    copy_gallery,
    create_gallery,
    export_parquet,
    import_parquet,
    open_gallery,
    parse_filter,
)
from bitreid.gallery.items import microseconds
from bitreid.gallery.opening import MEMORY

if TYPE_CHECKING:
    from bitreid.gallery.requests import Limit

STDOUT = Path("-")
"""The file of `--json` that is the standard output."""


class Answer(NamedTuple):
    """What a command shows people, and the same as JSON; a JSON document of each entry where there are `lines`."""

    shown: Sequence[str | Table]
    value: Any
    lines: bool = False


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Nothing; does what the command line says and shows the answer."""
    out = None if arguments.json == STDOUT else arguments.json
    inputs = [Path(arguments.place), *getattr(arguments, "inputs", ())]
    check_outputs([out, getattr(arguments, "out", None)], inputs)
    answer = COMMANDS[arguments.action](arguments, console)
    for each in answer.shown:
        console.print(each, soft_wrap=isinstance(each, str))
    documents = answer.value if answer.lines else [answer.value]
    text = "".join(json.dumps(json_values(each), indent=None if answer.lines else 1) + "\n" for each in documents)
    if arguments.json == STDOUT:
        sys.stdout.write(text)
    elif out is not None:
        with new_file(out) as unfinished:
            unfinished.write_text(text, encoding="utf-8")


def _actor(arguments: argparse.Namespace) -> str:
    try:
        return str(arguments.actor or getpass.getuser())
    except (KeyError, OSError):  # a process may run under a number that has no name
        return ""


def _open(arguments: argparse.Namespace, read_only: bool = False) -> Gallery:
    return open_gallery(arguments.place, actor=_actor(arguments), read_only=read_only)


def _create_lasting(place: str, contract: Contract, audited: bool, actor: str) -> Gallery:
    if place == MEMORY:
        raise GalleryError(f"expected a place that lasts, got {MEMORY}; name a file, such as people.gallery")
    return create_gallery(place, contract, audited=audited, actor=actor)


def _filter(gallery: Gallery, where: str | None) -> Filter | None:
    return None if where is None else parse_filter(where, gallery.contract)


def _create(arguments: argparse.Namespace, console: Console) -> Answer:
    if arguments.model is not None:
        from bitreid.artifact import load_artifact

        if arguments.attributes is not None:
            raise SettingsError("expected --attributes with --bits only, got it with --model, which has its own")
        contract = Contract.of(load_artifact(arguments.model).card)
    else:
        contract = Contract(arguments.bits, attributes=tuple(_words(arguments.attributes)))
    with _create_lasting(arguments.place, contract, not arguments.no_audit, _actor(arguments)):
        return Answer([f"gallery of codes of {contract.n_bits} bits: {arguments.place}"], {"place": arguments.place})


def _add(arguments: argparse.Namespace, console: Console) -> Answer:
    with _open(arguments) as gallery:
        keep = bool(gallery.contract.attributes)
        sources = sources_of(arguments.inputs, arguments.model, arguments.id, arguments.time_unit, keep)
        total, done, new = sum(len(source.ids) for source in sources), 0, 0
        with progress_of(console, "adding") as progress:
            for source in sources:
                gallery.contract.check_model(source.model)  # also where all is there already
                for start in range(0, len(source.ids), source.batch):
                    rows = list(range(start, min(start + source.batch, len(source.ids))))
                    done += len(rows)
                    if arguments.upsert:
                        new += gallery.upsert(source.items(rows))
                    else:  # what is there already need not be encoded again
                        there = gallery.get([source.ids[i] for i in rows])
                        rows = [i for i, item in zip(rows, there, strict=True) if item is None]
                        new += gallery.add(source.items(rows)) if rows else 0
                    progress(done, total)
    others = "replaced" if arguments.upsert else "were there already"
    return Answer([f"{new} items added, {total - new} {others}"], {"items": total, "added": new})


def _search(arguments: argparse.Namespace, console: Console) -> Answer:
    n_asked = bool(arguments.inputs) + (arguments.like is not None) + (arguments.attributes is not None)
    if n_asked != 1:
        raise SettingsError(f"expected one of QUERY, --like and --attributes to search for, got {n_asked} of them")
    fpir = parse_share(arguments.fpir)
    with _open(arguments) as gallery:
        where = _filter(gallery, arguments.where)
        if arguments.attributes is not None:
            names, found = [arguments.attributes], [_described(arguments, gallery, where)]
        elif arguments.like is not None:
            id, queries = like(gallery, arguments.like)
            others = Not(IdIn(frozenset([id])))
            where = others if where is None else where & others
        else:
            queries = queries_of(arguments.inputs, arguments.model)
        if arguments.attributes is None:
            w = parse_rows(arguments.w, max(gallery.count(where), 1)) if arguments.w else None
            names = queries.names
            found = gallery.search(
                queries.codes,
                arguments.k,
                w,
                where,
                _words(arguments.parts),
                _limit(arguments.max_distance),
                attribute_codes=queries.attribute_codes if w else None,
                fpir=fpir,
                by=arguments.by,
                person=arguments.person,
                model=queries.model,
            )
    shown: list[str | Table] = []
    for name, hits in zip(names, found, strict=True):
        title = f"{name}: " if len(names) > 1 else ""
        shown.append(f"{title}{_nobody(hits, arguments.by, fpir)}" if hits.nobody else _hits_table(title, hits))
    return Answer(shown, [_hits_json(name, hits) for name, hits in zip(names, found, strict=True)])


def _described(arguments: argparse.Namespace, gallery: Gallery, where: Filter | None) -> Hits:
    """The answer to a search by attributes, which knows few of the options."""
    given = [name for name in ("w", "parts", "max_distance", "person") if getattr(arguments, name) is not None]
    given += ["by"] if arguments.by != "item" else []
    if given:
        option = given[0].replace("_", "-")
        raise SettingsError(f"expected -k and --where at most with --attributes, got --{option}; leave it out")
    return gallery.search_attributes(description(arguments.attributes), arguments.k, where)


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _limit(text: str | None) -> Limit:
    if text is None:
        return "calibrated"
    if text != "none" and not text.isdecimal():
        raise SettingsError(f"expected --max-distance to be a number of bits, or none, got {text!r}")
    return None if text == "none" else int(text)


def _nobody(hits: Hits, by: str, fpir: float) -> str:
    """Why nobody was found."""
    if not hits.n_gallery:
        return "nobody: there is no item to compare with"
    if hits.threshold is None:
        return f"nobody: none of {hits.n_gallery:,} items is of a known {by}"
    if hits.threshold < 0:
        return f"nobody: among {hits.n_gallery:,} items no distance is small enough to be sure (--fpir {fpir:g})"
    return f"nobody: none of {hits.n_gallery:,} items is within {hits.threshold} bits"


def _hits_table(title: str, hits: Hits) -> Table:
    """The hits of a query, nearest first; columns of which nothing is known are left out."""
    cells: dict[str, Callable[[Hit], object]] = {
        "id": lambda hit: hit.id,
        "distance": lambda hit: f"{hit.distance:.2f}".removesuffix(".00"),
        "probability": lambda hit: None if hit.probability is None else f"{hit.probability:.3f}",
        "camera": lambda hit: hit.camera,
        "time": lambda hit: None if hit.time is None else hit.time.isoformat(" ", "seconds"),
        "tracklet": lambda hit: hit.tracklet,
        "person": lambda hit: hit.person,
        "votes": lambda hit: hit.votes if any(each.votes > 1 for each in hits) else None,
    }
    limit = "" if hits.threshold is None else f", at most {hits.threshold} bits"
    table = Table("rank", title=f"{title}{len(hits)} of {hits.n_gallery:,} items{limit}")
    rows = [[cell(hit) for cell in cells.values()] for hit in hits]
    known = [i for i in range(len(cells)) if any(row[i] is not None for row in rows)]
    for i in known:
        table.add_column(list(cells)[i], overflow="fold")
    for rank, row in enumerate(rows, 1):
        table.add_row(str(rank), *("" if row[i] is None else str(row[i]) for i in known))
    return table


def _hits_json(name: str, hits: Hits) -> dict[str, Any]:
    found = [{**hit._asdict(), "time": None if hit.time is None else hit.time.isoformat()} for hit in hits]
    return {"query": name, "n_gallery": hits.n_gallery, "threshold": hits.threshold, "hits": found}


def _delete(arguments: argparse.Namespace, console: Console) -> Answer:
    with _open(arguments) as gallery:
        total, where = gallery.count(), _condition(arguments, gallery)
        n = gallery.count(where)
        if arguments.dry_run:
            return Answer([f"{n} of {total} items would be deleted"], {"deleted": 0, "would_delete": n})
        if n and not arguments.yes and sys.stdin.isatty():
            answer = console.input(f"delete {n} of {total} items? [y/N] ")
            if answer.strip().lower() not in ("y", "yes"):
                return Answer(["nothing was deleted"], {"deleted": 0})
        n = gallery.delete_where(where)
    return Answer([f"{n} of {total} items deleted"], {"deleted": n})


def _condition(arguments: argparse.Namespace, gallery: Gallery) -> Filter:
    """What an item must be to be deleted: all that the command line says."""
    conditions = [] if arguments.where is None else [parse_filter(arguments.where, gallery.contract)]
    if arguments.ids is not None:
        conditions.append(IdIn(frozenset(ids_of(gallery, arguments.ids))))
    if arguments.person is not None:
        conditions.append(PersonIn(frozenset([arguments.person])))
    if arguments.older_than is not None:
        conditions.append(OlderThan(microseconds(moment(arguments.older_than))))
    if not conditions:
        raise SettingsError("expected what to delete (--ids, --person, --older-than or --where), got nothing")
    chosen = conditions[0]
    for condition in conditions[1:]:
        chosen = chosen & condition
    return chosen


def _info(arguments: argparse.Namespace, console: Console) -> Answer:
    with _open(arguments, read_only=True) as gallery:
        info = gallery.info()
    contract = info.contract
    facts: dict[str, object] = {
        "model": f"{contract.name} ({contract.model})" if contract.model else "none: the caller vouches for the codes",
        "identity code": f"{contract.n_bits} bits "
        + ", ".join(f"{part.name} {part.n_bits}" for part in contract.parts),
        "attributes": ", ".join(contract.attributes) or "none",
        "calibrated": "no" if contract.open_set is None else "yes",
        "items": info.n_items,
        "persons": info.n_persons,
        "tracklets": info.n_tracklets,
        "bytes": info.n_bytes,
        **info.details,
    }
    table = Table("fact", title=info.place)
    table.add_column("value", overflow="fold")
    for name, value in facts.items():
        if value is not None:
            table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    return Answer([table], {**asdict(info), "details": dict(info.details)})


def _compact(arguments: argparse.Namespace, console: Console) -> Answer:
    with _open(arguments) as gallery:
        before = gallery.info().n_bytes
        gallery.compact()
        after = gallery.info().n_bytes
    freed = None if before is None or after is None else before - after
    return Answer(["compacted" if freed is None else f"compacted: {freed:,} bytes freed"], {"freed_bytes": freed})


def _repair(arguments: argparse.Namespace, console: Console) -> Answer:
    with _open(arguments) as gallery:
        n = gallery.repair()
    return Answer([f"{n} items mended"], {"mended": n})


def _export(arguments: argparse.Namespace, console: Console) -> Answer:
    with _open(arguments, read_only=True) as gallery, progress_of(console, "exporting") as progress:
        n = export_parquet(gallery, arguments.out, _filter(gallery, arguments.where), progress)
    return Answer([f"{n} items: {arguments.out}"], {"items": n})


def _import(arguments: argparse.Namespace, console: Console) -> Answer:
    with _open(arguments) as gallery, progress_of(console, "importing") as progress:
        n = sum(import_parquet(gallery, file, progress) for file in arguments.inputs)
    return Answer([f"{n} items added"], {"added": n})


def _copy(arguments: argparse.Namespace, console: Console) -> Answer:
    with _open(arguments, read_only=True) as source:
        try:
            target = open_gallery(arguments.to, actor=_actor(arguments))
        except GalleryError as why_not:
            try:
                target = _create_lasting(arguments.to, source.contract, source.audited, _actor(arguments))
            except GalleryError:
                # There is something that cannot be opened, and that is what to tell.
                raise why_not from None
        with target, progress_of(console, "copying") as progress:
            n = copy_gallery(source, target, progress)
            others = source.count() - n
    return Answer([f"{n} items copied, {max(others, 0)} were there already: {arguments.to}"], {"copied": n})


def _backup(arguments: argparse.Namespace, console: Console) -> Answer:
    with _open(arguments) as gallery:
        gallery.backup(arguments.out)
    return Answer([f"backup: {arguments.out}"], {"backup": str(arguments.out)})


def _audit(arguments: argparse.Namespace, console: Console) -> Answer:
    since = None if arguments.since is None else moment(arguments.since)
    with _open(arguments, read_only=True) as gallery:
        entries = [dict(e) for e in gallery.audit() if since is None or datetime.fromisoformat(e["time"]) >= since]
    lines = [f"{e['time']}  {e['actor'] or 'nobody'}  {e['action']}  {e['count']} items" for e in entries]
    return Answer([] if arguments.json else lines, entries, lines=True)


def _decide(arguments: argparse.Namespace, console: Console) -> Answer:
    """Confirm or reject."""
    with _open(arguments) as gallery:
        decide = gallery.confirm if arguments.action == "confirm" else gallery.reject
        n = decide(ids_of(gallery, arguments.ids), arguments.person)
    known = "known to be" if arguments.action == "confirm" else "known not to be"
    return Answer([f"{n} items are now {known} {arguments.person}"], {"items": n})


def _merge(arguments: argparse.Namespace, console: Console) -> Answer:
    with _open(arguments) as gallery:
        n = gallery.merge(arguments.person, arguments.other)
    return Answer([f"{n} items of {arguments.other} are now known to be {arguments.person}"], {"items": n})


def _undo(arguments: argparse.Namespace, console: Console) -> Answer:
    with _open(arguments) as gallery:
        undone = gallery.undo()
    return Answer([f"undone: {undone}" if undone else "there was nothing to undo"], {"undone": undone})


COMMANDS: dict[str, Callable[[argparse.Namespace, Console], Answer]] = {
    "create": _create,
    "add": _add,
    "search": _search,
    "delete": _delete,
    "info": _info,
    "compact": _compact,
    "repair": _repair,
    "export": _export,
    "import": _import,
    "copy": _copy,
    "backup": _backup,
    "audit": _audit,
    "confirm": _decide,
    "reject": _decide,
    "merge": _merge,
    "undo": _undo,
}
