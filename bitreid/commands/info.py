"""`bitreid info`: what a model is, and how this machine searches."""

import argparse

from bitreid.commands.options import add_model

HELP = "show a model's card, and how this machine searches"
EXAMPLES = ("bitreid info", "bitreid info drawn", "bitreid info runs/people/artifact")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid info`."""
    add_model(parser, nargs="?")


def run(arguments: argparse.Namespace) -> int:
    """Show a model's card, if one is named, and which search path runs."""
    from bitreid.artifact import fingerprint, load_card
    from bitreid.artifact.shipped import folder_of
    from bitreid.commands.console import card_table, console_of, say, search_text

    console = console_of()
    if arguments.artifact:
        card = load_card(folder_of(arguments.artifact))
        console.print(card_table(card, fingerprint(card)))
    say(console, f"search: {search_text()}")
    return 0
