"""Filters: which items a search looks at."""
