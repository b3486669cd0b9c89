"""`bitreid gallery create`, `info`, `compact`, `cluster`, `repair` and `audit`: a gallery as a whole."""

import argparse
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bitreid.codes import part_sizes
from bitreid.commands.gallery.action import (
    Action,
    Answer,
    actor_of,
    moment_of,
    no_arguments,
    open_place,
    words_of,
    writing_shown,
)
from bitreid.errors import BadRequest, SettingsError, WrongModel
from bitreid.evaluation.calibration.files import read_calibration
from bitreid.gallery import Contract, Gallery, create_gallery
from bitreid.gallery.base import FPIR
from bitreid.gallery.opening import MEMORY, hidden
from bitreid.open_set import OpenSet


def _creation(create: argparse.ArgumentParser) -> None:
    create.add_argument("--model", type=Path, metavar="MODEL", help="the model whose codes it will hold")
    create.add_argument(
        "--bits",
        dest="n_bits",
        type=int,
        metavar="N",
        help="length of its codes: with --model one that the model was trained to be cut to (default: the whole); "
        "without a model, that of codes that you vouch for",
    )
    create.add_argument("--attributes", metavar="A,B,C", help="without a model: names of the bits of attribute codes")
    create.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE.json",
        help="what `bitreid calibrate --out` wrote (default: the model's)",
    )
    create.add_argument("--no-audit", action="store_true", help="keep no log of additions, searches and deletions")


def create_lasting(place: str, contract: Contract, audited: bool, actor: str) -> Gallery:
    """Create a gallery that outlives this process; `BadRequest` for a place in memory."""
    if place == MEMORY:
        raise BadRequest(f"expected a place that lasts, got {MEMORY}; name a file, such as people.gallery")
    return create_gallery(place, contract, audited=audited, actor=actor)


def _create(arguments: argparse.Namespace, console: Console) -> Answer:
    if arguments.model is not None:
        from bitreid.artifact import load_card
        from bitreid.artifact.shipped import folder_of

        if arguments.attributes is not None:
            raise SettingsError("expected --attributes without --model, got it with a model, which has its own")
        contract = Contract.of(load_card(folder_of(arguments.model)), arguments.n_bits)
    elif arguments.n_bits is None:
        raise SettingsError("expected --model MODEL, or --bits N for codes that you vouch for, got neither")
    else:
        contract = Contract(arguments.n_bits, attributes=words_of(arguments.attributes))
    if arguments.calibration is not None:
        contract = replace(contract, open_set=_calibration_for(contract, arguments.calibration))
    place = hidden(arguments.place)
    with create_lasting(arguments.place, contract, not arguments.no_audit, actor_of(arguments)):
        return Answer([f"gallery of codes of {contract.n_bits} bits: {place}"], {"place": place})


def _calibration_for(contract: Contract, file: Path) -> OpenSet:
    """Return the calibration in a file; `WrongModel` if it is about another model than the gallery's, or length."""
    found = read_calibration(file)
    contract.check_model(found.model)
    return found.open_set_of(contract.n_bits)


def _calibration(calibrate: argparse.ArgumentParser) -> None:
    calibrate.add_argument(
        "inputs",
        type=Path,
        nargs=1,
        metavar="FILE.json|MODEL",
        help="what `bitreid calibrate --out` wrote; or the gallery's model, for its calibration and its coarse code",
    )


def _calibrate(arguments: argparse.Namespace, console: Console) -> Answer:
    (source,) = arguments.inputs
    with open_place(arguments) as gallery:
        contract = gallery.contract
        open_set: OpenSet | None
        if source.is_file() or source.suffix == ".json":
            open_set, coarse = _calibration_for(contract, source), None
        else:
            from bitreid.artifact import fingerprint, load_card
            from bitreid.artifact.shipped import folder_of

            card = load_card(folder_of(source))
            contract.check_model(fingerprint(card))
            of_model = Contract.of(card, contract.n_bits)
            open_set, coarse = of_model.open_set, of_model.coarse
        if open_set is None:
            raise WrongModel(
                f"expected a model that was calibrated for codes of {contract.n_bits} bits, got {source}; see "
                "`bitreid calibrate`"
            )
        gallery.calibrate(open_set, coarse)
    thresholds = {n: open_set.threshold(FPIR, n) for n in (1_000, 100_000)}
    found = ", ".join(f"{f'{at} bits' if at >= 0 else 'no distance'} among {n:,} items" for n, at in thresholds.items())
    return Answer([f"calibrated: a hit is certain within {found}"], {"thresholds": thresholds})


def _info(arguments: argparse.Namespace, console: Console) -> Answer:
    with open_place(arguments, read_only=True) as gallery:
        info, about = gallery.info(), gallery.about
    contract, names = info.contract, about.camera_names
    facts: dict[str, object] = {
        "model": f"{contract.name} ({contract.model})" if contract.model else "none: the caller vouches for the codes",
        "identity code": f"{contract.n_bits} bits "
        + ", ".join(f"{name} {n_bits}" for name, n_bits in part_sizes(contract.parts).items()),
        "attributes": ", ".join(contract.attributes) or "none",
        "calibrated": "no" if contract.open_set is None else "yes",
        "first stage": "none"
        if not contract.short_bits
        else f"{contract.short_bits} bits of " + ("attributes" if contract.coarse is None else "the coarse code"),
        "items": info.n_items,
        "cameras with names": ", ".join(f"{number} {name}" for number, name in sorted(names.items())) or None,
        "engines of its codes": ", ".join(sorted(about.engines)) or None,
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
    learned = {"camera_names": dict(names), "engines": sorted(about.engines)}
    return Answer([table], {**asdict(info), "details": dict(info.details), **learned})


def _compact(arguments: argparse.Namespace, console: Console) -> Answer:
    with open_place(arguments) as gallery:
        before = gallery.info().n_bytes
        with writing_shown(gallery, console):
            gallery.compact()
        after = gallery.info().n_bytes
    freed = None if before is None or after is None else before - after
    return Answer(["compacted" if freed is None else f"compacted: {freed:,} bytes freed"], {"freed_bytes": freed})


def _lists(cluster: argparse.ArgumentParser) -> None:
    cluster.add_argument(
        "--lists",
        type=int,
        metavar="N",
        help="lists of each of the server's segments (default: the root of the number of items, at most 1,024)",
    )


def _cluster(arguments: argparse.Namespace, console: Console) -> Answer:
    with open_place(arguments) as gallery, writing_shown(gallery, console):
        n = gallery.cluster(arguments.lists)
    shown = f"{n:,} lists, measured" if n else "nothing to do: a file has clusters already, and few items need none"
    return Answer([shown], {"lists": n})


def _repair(arguments: argparse.Namespace, console: Console) -> Answer:
    with open_place(arguments) as gallery:
        n = gallery.repair()
    return Answer([f"{n} items mended"], {"mended": n})


def _period(audit: argparse.ArgumentParser) -> None:
    audit.add_argument("--since", metavar="AGE", help="30d, 12h, 2w, or from a time such as 2026-01-31 on")
    audit.add_argument(
        "--forget-before", metavar="AGE", help="forget what was logged longer ago than that, or before that time"
    )


def _audit(arguments: argparse.Namespace, console: Console) -> Answer:
    if arguments.forget_before is not None:
        if arguments.since is not None:
            raise SettingsError("expected --since to see the log or --forget-before to cut it, got both")
        with open_place(arguments) as gallery:
            n = gallery.forget_audit(moment_of(arguments.forget_before))
        return Answer([f"{n} entries forgotten"], {"forgotten": n})
    since = None if arguments.since is None else moment_of(arguments.since)
    with open_place(arguments, read_only=True) as gallery:
        entries = [dict(e) for e in gallery.audit() if since is None or datetime.fromisoformat(e["time"]) >= since]
    lines = [f"{e['time']}  {e['actor'] or 'nobody'}  {e['action']}  {e['count']} items" for e in entries]
    return Answer([] if arguments.json else lines, entries, lines=True)


ACTIONS = {
    "create": Action(
        "make an empty gallery",
        _creation,
        _create,
        (
            "bitreid gallery create people.gallery --model runs/people/artifact",
            "bitreid gallery create short.gallery --model runs/nested/artifact --bits 512",
        ),
    ),
    "calibrate": Action(
        "set what distances mean, from pictures of your own cameras, or the coarse code of a model",
        _calibration,
        _calibrate,
        (
            "bitreid gallery calibrate people.gallery mine.calibration.json",
            "bitreid gallery calibrate people.gallery runs/people/artifact",
        ),
    ),
    "info": Action("show what a gallery is and holds", no_arguments, _info, ("bitreid gallery info people.gallery",)),
    "compact": Action(
        "take the bytes of what was deleted out of the gallery's files",
        no_arguments,
        _compact,
        ("bitreid gallery compact people.gallery",),
    ),
    "cluster": Action(
        "make the inverted lists of clustered searches on a Milvus server, once it is filled or has grown much",
        _lists,
        _cluster,
        ("bitreid gallery cluster milvus://localhost:19530/people",),
    ),
    "repair": Action(
        "mend what a process that died left half-written on a Milvus server; nobody else may write meanwhile",
        no_arguments,
        _repair,
        ("bitreid gallery repair milvus://localhost:19530/people",),
    ),
    "audit": Action(
        "show what was done, oldest first, or forget what is older; --json writes a line an entry",
        _period,
        _audit,
        ("bitreid gallery audit people.gallery --since 7d --json audit.jsonl",),
    ),
}
