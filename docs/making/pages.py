"""Pages of the site that are made of files elsewhere in the repository, an MkDocs hook: none is typed twice."""

import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from bitreid.artifact import Card, fingerprint, load_card
from bitreid.commands.console import card_facts

ROOT = Path(__file__).parents[2]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the model cards, the examples, the changelog and how we work to the pages."""
    pages = {
        "models.md": model_cards(),
        "examples.md": examples(),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("](docs/", "]("),
        "contributing.md": (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
    }
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def examples() -> str:
    """Return a page with the table of examples, and each of them below it."""
    table = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    programs = (
        f"\n## {path.name}\n\n```python\n{path.read_text(encoding='utf-8')}```\n"
        for path in (ROOT / "examples" / name for name in re.findall(r"\]\((\w+\.py)\)", table))
    )
    return re.sub(r"\]\((\w+)\.py\)", r"](#\1py)", table) + "".join(programs)


def model_cards() -> str:
    """Return a page with the card of each model of the repository, the one that comes with bitreid first."""
    folders = [
        *sorted((ROOT / "bitreid" / "shipped").glob("*/card.json")),
        *sorted((ROOT / "models").glob("*/card.json")),
    ]
    return "\n".join(
        [
            "# Model cards",
            "",
            "Made of each model's `card.json`; `bitreid info MODEL` shows the same. Look at the licence first. "
            "Scores that begin with `val_` are of training identities that were held out; those on test people are "
            "under [results](results.md).",
            "",
            *(line for path in folders for line in card_section(load_card(path.parent), path.parent)),
        ]
    )


def card_section(card: Card, folder: Path) -> Iterator[str]:
    """Yield the lines of a model's section."""
    yield f"## {card.name}"
    yield ""
    yield f"`{folder.relative_to(ROOT)}`"
    yield ""
    yield "| fact | value |"
    yield "| --- | --- |"
    for name, value in card_facts(card, fingerprint(card)).items():
        yield f"| {name} | {value.replace('|', chr(92) + '|')} |"
    if card.attributes:
        attributes = ", ".join(
            f"{name}" if kept else f"{name} (trained, not in the code)"
            for name, kept in zip(card.attributes.names, card.attributes.in_code, strict=True)
        )
        yield f"| attributes | {attributes} |"
    yield ""
