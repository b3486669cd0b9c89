"""Attribute labels from CSV and `.mat` files."""

from bitreid.data.labels.reading import read_attributes, read_attributes_as

__all__ = ["read_attributes", "read_attributes_as"]
