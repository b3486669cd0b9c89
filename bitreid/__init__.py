"""bitreid finds the same person across cameras with learned binary codes.

The public names in `__all__` are loaded when they are first asked for, so that importing bitreid loads nothing else.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bitreid.artifact import Artifact, Card, InputSpec, fingerprint, load_artifact, save_artifact
    from bitreid.codes import Codes, Part, hamming_distances, pack, unpack
    from bitreid.data.attributes import AttributeSchema, AttributeTable
    from bitreid.data.manifest import Manifest
    from bitreid.encoding.encoder import Encoded, Encoder
    from bitreid.errors import BitreidError
    from bitreid.evaluation import (
        bootstrap,
        compare,
        evaluate_afr,
        evaluate_lengths,
        evaluate_ranking,
        identify,
        rerank_k_reciprocal,
        verify,
    )
    from bitreid.gallery import (
        Contract,
        Filter,
        Gallery,
        GalleryItem,
        Hit,
        Hits,
        Items,
        create_gallery,
        open_gallery,
        parse_filter,
    )
    from bitreid.hamming import Matches, Ranking, rescore, search_exact, search_range, search_two_stage
    from bitreid.open_set import OpenSet
    from bitreid.service.client import Client
    from bitreid.training.load import load_encoder
    from bitreid.training.recipe import load_recipe
    from bitreid.training.run import train
    from bitreid.training.task import task_from
else:
    # Hidden from type checkers, which would otherwise take any name for one of ours.
    _MODULES = {
        "bitreid.artifact": ("Artifact", "Card", "InputSpec", "fingerprint", "load_artifact", "save_artifact"),
        "bitreid.codes": ("Codes", "Part", "hamming_distances", "pack", "unpack"),
        "bitreid.data.attributes": ("AttributeSchema", "AttributeTable"),
        "bitreid.data.manifest": ("Manifest",),
        "bitreid.encoding.encoder": ("Encoded", "Encoder"),
        "bitreid.errors": ("BitreidError",),
        "bitreid.evaluation": (
            "bootstrap",
            "compare",
            "evaluate_afr",
            "evaluate_lengths",
            "evaluate_ranking",
            "identify",
            "rerank_k_reciprocal",
            "verify",
        ),
        "bitreid.gallery": (
            "Contract",
            "Filter",
            "Gallery",
            "GalleryItem",
            "Hit",
            "Hits",
            "Items",
            "create_gallery",
            "open_gallery",
            "parse_filter",
        ),
        "bitreid.hamming": ("Matches", "Ranking", "rescore", "search_exact", "search_range", "search_two_stage"),
        "bitreid.open_set": ("OpenSet",),
        "bitreid.service.client": ("Client",),
        "bitreid.training.load": ("load_encoder",),
        "bitreid.training.recipe": ("load_recipe",),
        "bitreid.training.run": ("train",),
        "bitreid.training.task": ("task_from",),
    }

    def __getattr__(name: str) -> object:
        import importlib

        for module, names in _MODULES.items():
            if name in names:
                value = getattr(importlib.import_module(module), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module 'bitreid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Artifact",
    "AttributeSchema",
    "AttributeTable",
    "BitreidError",
    "Card",
    "Client",
    "Codes",
    "Contract",
    "Encoded",
    "Encoder",
    "Filter",
    "Gallery",
    "GalleryItem",
    "Hit",
    "Hits",
    "InputSpec",
    "Items",
    "Manifest",
    "Matches",
    "OpenSet",
    "Part",
    "Ranking",
    "bootstrap",
    "compare",
    "create_gallery",
    "evaluate_afr",
    "evaluate_lengths",
    "evaluate_ranking",
    "fingerprint",
    "hamming_distances",
    "identify",
    "load_artifact",
    "load_encoder",
    "load_recipe",
    "open_gallery",
    "pack",
    "parse_filter",
    "rerank_k_reciprocal",
    "rescore",
    "save_artifact",
    "search_exact",
    "search_range",
    "search_two_stage",
    "task_from",
    "train",
    "unpack",
    "verify",
]
