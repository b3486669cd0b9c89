"""The arguments of `bitreid gallery`."""

import argparse
from pathlib import Path


def add_gallery_commands(parser: argparse.ArgumentParser) -> None:
    """Nothing; `parser` then has a command of its own for all that can be done with a gallery, told as `action`."""
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="action")

    def add(name: str, help: str) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(name, help=help, description=help)
        sub.add_argument("place", metavar="PLACE", help="a file such as people.gallery, or milvus://HOST:PORT/NAME")
        sub.add_argument("--actor", metavar="NAME", help="who does this, for the audit log (default: the login name)")
        sub.add_argument(
            "--json", type=Path, metavar="FILE", help="write the answer (-: print it; what else is said goes to stderr)"
        )
        return sub

    create = add("create", "make an empty gallery")
    codes = create.add_mutually_exclusive_group(required=True)
    codes.add_argument("--model", type=Path, metavar="ARTIFACT", help="the model whose codes it will hold")
    codes.add_argument("--bits", type=int, metavar="N", help="length of codes that you vouch for, without a model")
    create.add_argument("--attributes", metavar="A,B,C", help="with --bits: names of the bits of attribute codes")
    create.add_argument("--no-audit", action="store_true", help="keep no log of additions, searches and deletions")

    _add_adding(add("add", "add pictures or codes; those that are there already are left as they are"))
    _add_searching(add("search", "find a person, or who looks like a description"))

    delete = add("delete", "forget the items that meet all conditions given")
    delete.add_argument("--ids", nargs="+", metavar="ID")
    delete.add_argument("--person", metavar="NAME", help="items known to show this person")
    delete.add_argument(
        "--older-than",
        metavar="AGE",
        help="30d, 12h, 2w, or before a time such as 2026-01-31 (of addition, if unknown)",
    )
    _add_where(delete)
    delete.add_argument("--dry-run", action="store_true", help="only say how many would go")
    delete.add_argument("--yes", action="store_true", help="do not ask, where a terminal could answer")

    add("info", "what a gallery is and holds")
    add("compact", "take the bytes of what was deleted out of the gallery's files")
    add("repair", "mend what a process that died left half-written on a Milvus server; nobody else may write meanwhile")

    export = add("export", "write items to a Parquet file")
    export.add_argument("out", type=Path, metavar="FILE.parquet")
    _add_where(export)

    import_ = add("import", "add the items of files that export wrote; those that are there stay as they are")
    import_.add_argument("inputs", type=Path, nargs="+", metavar="FILE.parquet")

    copy = add("copy", "bring all items to another gallery, which is made if there is none; stopped, it goes on")
    copy.add_argument("to", metavar="TO", help="the place of the other gallery")

    backup = add("backup", "write a copy of a gallery while it is used")
    backup.add_argument("out", type=Path, metavar="FILE")

    audit = add("audit", "what was done, oldest first; --json has one line an entry")
    audit.add_argument("--since", metavar="AGE", help="30d, 12h, 2w, or from a time such as 2026-01-31 on")

    for name, help in (
        ("confirm", "say that items, and those of their tracklets, show a person"),
        ("reject", "say that items, and those of their tracklets, do not show a person"),
    ):
        decide = add(name, help)
        decide.add_argument("person", metavar="PERSON")
        decide.add_argument("ids", nargs="+", metavar="ID")
    merge = add("merge", "say that two persons are one")
    merge.add_argument("person", metavar="PERSON", help="who stays")
    merge.add_argument("other", metavar="OTHER", help="who is the same")
    add("undo", "take the last of confirm, reject and merge back")


def _add_adding(add: argparse.ArgumentParser) -> None:
    add.add_argument(
        "inputs", type=Path, nargs="+", metavar="FILE", help="codes (.npz, of encode); pictures, folders, a CSV"
    )
    add.add_argument("--model", type=Path, metavar="ARTIFACT", help="encodes pictures")
    add.add_argument(
        "--id",
        choices=["path", "name", "number"],
        default="path",
        help="what an item is called: its picture's path as given, the file's name without ending, or 0, 1, 2 in the "
        "order of the files (default %(default)s)",
    )
    add.add_argument(
        "--time-unit",
        choices=["s", "ms", "us"],
        help="a CSV's times count so from 1970 on (default: they are left out)",
    )
    add.add_argument("--upsert", action="store_true", help="replace items that are there already")


def _add_searching(search: argparse.ArgumentParser) -> None:
    search.add_argument(
        "inputs",
        type=Path,
        nargs="*",
        metavar="QUERY",
        help="codes (.npz): each row a query; or pictures of one person, with --model: one query",
    )
    search.add_argument("--model", type=Path, metavar="ARTIFACT", help="encodes pictures")
    search.add_argument("--like", metavar="ID", help="an item of the gallery instead, which is left out itself")
    search.add_argument(
        "--attributes", metavar="TEXT", help="a description instead, e.g. 'backpack, upper_colour=red, not hat'"
    )
    search.add_argument("-k", type=int, default=10, help="hits to show (default %(default)s)")
    search.add_argument(
        "--w", help="two-stage search: items that stage 1 keeps, e.g. 100 or 1%% (default: exact search)"
    )
    _add_where(search)
    search.add_argument("--parts", metavar="A,B", help="only these parts of the body count")
    search.add_argument(
        "--max-distance", metavar="N", help="bits, or none (default: calibrated for as many items, where the model is)"
    )
    search.add_argument("--fpir", default="1%", help="searches for somebody absent that may be answered (default 1%%)")
    search.add_argument(
        "--by", choices=["item", "tracklet", "person"], default="item", help="what hits are (default %(default)s)"
    )
    search.add_argument("--person", metavar="NAME", help="who is asked for: items rejected as NAME are left out")


def _add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--where",
        metavar="FILTER",
        help="e.g. 'camera in (1, 2) and time >= 2026-01-01 and not hat' (docs/galleries.md)",
    )
