"""Galleries that live: items of people are added, searched, filtered and forgotten; see `Gallery`."""

from bitreid.gallery.base import Gallery
from bitreid.gallery.contract import Contract
from bitreid.gallery.filters.text import format_filter, parse_filter
from bitreid.gallery.filters.types import (
    And,
    CameraIn,
    Filter,
    HasAttribute,
    IdIn,
    MetadataIs,
    Not,
    OlderThan,
    Or,
    PersonIn,
    TimeBetween,
    TrackletIn,
)
from bitreid.gallery.items import GalleryItem, Hit, Hits, Items
from bitreid.gallery.opening import create_gallery, open_gallery, open_or_create_gallery, restore_gallery
from bitreid.gallery.requests import Info
from bitreid.gallery.transfer import copy_gallery, export_parquet, import_parquet

__all__ = [
    "And",
    "CameraIn",
    "Contract",
    "Filter",
    "Gallery",
    "GalleryItem",
    "HasAttribute",
    "Hit",
    "Hits",
    "IdIn",
    "Info",
    "Items",
    "MetadataIs",
    "Not",
    "OlderThan",
    "Or",
    "PersonIn",
    "TimeBetween",
    "TrackletIn",
    "copy_gallery",
    "create_gallery",
    "export_parquet",
    "format_filter",
    "import_parquet",
    "open_gallery",
    "open_or_create_gallery",
    "parse_filter",
    "restore_gallery",
]
