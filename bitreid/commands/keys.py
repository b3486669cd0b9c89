"""`bitreid keys`: who may use the service."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from bitreid.commands.options import ending

HELP = "make, list and revoke keys of the service: who may search, write and administer"
EXAMPLES = (
    "bitreid keys create keys.json anna --scope write --expires 90d",
    "bitreid keys list keys.json",
    "bitreid keys revoke keys.json anna",
)
_ACTIONS = {
    "create": "make a key and show it, once: the file keeps only what recognises it",
    "list": "show who has keys",
    "revoke": "make a key worthless, at once and for good",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid keys`."""
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="action")
    for (action, help), example in zip(_ACTIONS.items(), EXAMPLES, strict=True):
        sub = subparsers.add_parser(action, help=help, description=help, **ending([example]))
        sub.add_argument("keys", type=Path, metavar="KEYS.json", help="the file of `bitreid serve --keys`")
        if action != "list":
            sub.add_argument("name", metavar="NAME", help="who has the key, as the audit log says")
        if action == "create":
            sub.add_argument(
                "--scope",
                choices=("search", "write", "admin"),  # those of service.keys, without loading it for a help
                default="search",
                help="write: also add, delete and decide; admin: also delete by filter (default: search)",
            )
            sub.add_argument("--expires", metavar="AGE", help="in 90d, 12h or 2w, or at a time such as 2027-01-31")


def run(arguments: argparse.Namespace) -> int:
    """Create, list or revoke keys."""
    from rich.table import Table

    from bitreid.commands.console import console_of, say, show
    from bitreid.service.keys import create_key, read_keys, revoke_key

    console = console_of()
    if arguments.action == "create":
        expires = None if arguments.expires is None else _time_to_come(arguments.expires)
        key, token = create_key(arguments.keys, arguments.name, arguments.scope, expires)
        say(console, token)
        say(console_of(stderr=True), f"the key of {key.name}, scope {key.scope}; it is shown only now, so keep it safe")
    elif arguments.action == "revoke":
        key = revoke_key(arguments.keys, arguments.name)
        say(console, f"revoked: {key.name} ({key.id})")
    else:
        now = datetime.now(UTC)
        table = Table("name", "scope", "id", "created", "expires", "state")
        for key in read_keys(arguments.keys):
            state = "revoked" if key.revoked else "good" if key.good_at(now) else "expired"
            table.add_row(key.name, key.scope, key.id, _day(key.created), _day(key.expires), state)
        show(console, table)
    return 0


def _day(time: datetime | None) -> str:
    return "never" if time is None else f"{time:%Y-%m-%d %H:%M}"


def _time_to_come(text: str) -> datetime:
    """Return the time that `90d`, `12h` or `2w` from now, or `2027-01-31` (UTC), means."""
    from bitreid.commands.gallery.action import moment_of

    moment, now = moment_of(text), datetime.now(UTC)
    return moment if "-" in text else now + (now - moment)
