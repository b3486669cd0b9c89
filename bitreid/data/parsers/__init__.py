"""Parsers: each turns a data set on disk into a `Manifest`."""

from bitreid.data.parsers.layouts import parse, parse_folder

__all__ = ["parse", "parse_folder"]
