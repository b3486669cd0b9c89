"""`bitreid models`: the models that come with bitreid, and those in folders."""

import argparse
from pathlib import Path

HELP = "list the models that come with bitreid, which commands take by name, and those in folders"
EXAMPLES = ("bitreid models", "bitreid models models runs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid models`."""
    parser.add_argument(
        "folders", type=Path, nargs="*", metavar="FOLDER", help="also list the models below this folder"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show each model in a line; one that cannot be read is told."""
    from rich.table import Table

    from bitreid.artifact import load_card
    from bitreid.artifact.shipped import shipped_models
    from bitreid.commands.console import console_of, say, show
    from bitreid.errors import ArtifactError, SettingsError

    console = console_of()
    for folder in arguments.folders:
        if not folder.is_dir():
            raise SettingsError(f"expected a folder to look for models in, got {folder}, which is none")
    below = sorted({card.parent for folder in arguments.folders for card in folder.rglob("card.json")})
    named = shipped_models() | {str(folder): folder for folder in below}
    table = Table("model", "bits", "input", "mAP", "engines", "licence")
    code = 0
    for name, folder in named.items():
        try:
            card = load_card(folder)
        except ArtifactError as error:
            say(console, str(error))
            code = 1
            continue
        score = card.metrics.get("val_mAP")
        table.add_row(
            name,
            "/".join(map(str, card.code_lengths)),
            f"{card.input.height}x{card.input.width}",
            "" if score is None else f"{100 * score:.1f}",
            ", ".join(card.engines) or "torch",
            card.licence,
        )
    if table.row_count:
        show(console, table)
    else:
        say(console, "no models; `bitreid train` makes one")
    return code
