"""`bitreid serve`: the service over HTTP."""

import argparse
import re
from pathlib import Path

HELP = "answer over HTTP: searches, additions, decisions, and a page for people"
EXAMPLES = (
    "bitreid serve",
    "bitreid serve --gallery people.gallery --model runs/people/artifact --port 8000",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid serve`."""
    from bitreid.commands.options import add_bits, add_threads
    from bitreid.encoding.encoder import ENGINES

    parser.add_argument("--gallery", metavar="PLACE", help="what is searched (default: an empty one, in memory)")
    parser.add_argument(
        "--model",
        default="drawn",
        metavar="MODEL",
        help="encodes pictures (default: %(default)s, which comes with bitreid)",
    )
    add_bits(parser)
    parser.add_argument("--flip", action=argparse.BooleanOptionalAction, help="see `bitreid encode`")
    parser.add_argument("--engine", choices=ENGINES, help="what runs the model (default: onnx where the model has it)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port, 0 for a free one (default: %(default)s)")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="who may do what; see `bitreid keys`")
    parser.add_argument(
        "--keep-pictures", type=Path, metavar="DIR", help="keep a thumbnail of each item in this folder"
    )
    parser.add_argument(
        "--grace",
        dest="grace_s",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="how long requests under way may still take when the service is told to stop (default: %(default)s)",
    )
    parser.add_argument("--max-body", type=size_of, metavar="SIZE", help="largest request, such as 16M (default: 16M)")
    parser.add_argument("--max-pixels", type=int, metavar="N", help="largest picture, in pixels (default: 33,554,432)")
    parser.add_argument(
        "--rate",
        type=float,
        metavar="N",
        help="most requests a second of each key (default: 100; without keys there is no limit)",
    )
    parser.add_argument("--decoders", type=int, metavar="N", help="processes that decode pictures (default: 2)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    add_threads(parser)


def size_of(text: str) -> int:
    """Return the bytes that a size such as `16M`, `512K` or `1000000` means."""
    size = re.fullmatch(r"([0-9]{1,12})([KMG]?)", text.upper())
    if size is None:
        raise argparse.ArgumentTypeError(f"expected a size such as 16M, 512K or 1000000, got {text!r}")
    return int(size[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[size[2]]


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    from bitreid.commands.console import console_of, say
    from bitreid.gallery.opening import hidden
    from bitreid.service.running import listen, serve
    from bitreid.service.settings import ServiceSettings

    given = {name: value for name, value in vars(arguments).items() if name != "command" and value is not None}
    settings = ServiceSettings(**given)
    console = console_of()
    what = "an empty gallery in memory" if settings.gallery is None else hidden(settings.gallery)
    with listen(settings) as listening:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        say(console, f"{what}, model {settings.model}: http://{host}:{listening.getsockname()[1]}")
        serve(settings, listening)
    return 0
