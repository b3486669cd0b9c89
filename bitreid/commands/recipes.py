"""`bitreid recipes`: the recipes that bitreid ships, and every setting of a recipe."""

import argparse

HELP = "list the recipes that bitreid ships, and every setting that a recipe can have"
EXAMPLES = ("bitreid recipes", "bitreid recipes drawn_tiny")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid recipes`."""
    parser.add_argument(
        "recipe", nargs="?", metavar="RECIPE", help="a recipe's file or name: show its values instead of the defaults"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show the recipes and the settings, each with its value and its meaning."""
    from bitreid.commands.console import console_of, recipes_table, settings_table
    from bitreid.training.recipe import load_recipe, settings, shipped_recipes

    console = console_of()
    if arguments.recipe is None:
        console.print(recipes_table({path.stem: load_recipe(str(path)) for path in shipped_recipes()}))
        console.print(settings_table("settings, changed with --set NAME=VALUE", "default", settings()))
    else:
        recipe = load_recipe(arguments.recipe)
        console.print(settings_table(recipe.name, "value", settings(recipe)))
    return 0
