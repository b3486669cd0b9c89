"""Files of tensors, `.pt`: as PyTorch loads them without running a program in them."""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitreid.arrays import AnyArray
from bitreid.errors import DataError
from bitreid.text import brief, shown

_MOST_RECORDS = 10_000


def load_tensors(path: Path, most_bytes: int) -> dict[str, Any]:
    """Return the tensors and lists in a `.pt` file by name; a tensor alone is called `features`.

    `DataError` for a file that is no dict of tensors and lists, that holds anything else than weights-only loading
    allows, or more than so many bytes; and for the format of PyTorch before 1.6, whose sizes nobody can check before.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(
            f"expected a file of torch.save, of PyTorch 1.6 or newer, at {path}, got something else; save it again, or "
            "as .npy with numpy.save"
        ) from error
    n_bytes = sum(record.file_size for record in records)
    if len(records) > _MOST_RECORDS or n_bytes > most_bytes:
        raise DataError(
            f"expected at most {most_bytes} bytes in {path}, got {n_bytes} in {len(records)}; split the file"
        )
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise DataError(f"expected {path} as torch.save wrote it, got a compressed archive; save it again")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    # PyTorch raises many kinds of errors for files that are damaged or something else; its advice is to trust them.
    except Exception as error:
        raise DataError(
            f"expected tensors, lists and texts in {path}, got what may run a program, or a damaged file; save "
            "{'features': tensor, 'pids': list, 'camids': list, 'paths': list} instead"
        ) from error
    named = {"features": found} if isinstance(found, torch.Tensor) else found
    if not isinstance(named, Mapping) or not all(isinstance(name, str) for name in named):
        raise DataError(f"expected a tensor, or a dict of tensors and lists, in {path}, got a {type(found).__name__}")
    return {name: _plain(path, name, value, most_bytes) for name, value in named.items()}


def _plain(path: Path, name: str, value: Any, most_bytes: int) -> AnyArray | list[Any]:
    """Return a tensor as an array, and a list of numbers or texts as it is."""
    if isinstance(value, torch.Tensor):
        # A view may be far larger than what it is a view of.
        if value.layout != torch.strided or math.prod(value.shape) * value.element_size() > most_bytes:
            raise DataError(
                f"expected dense tensors of at most {most_bytes} bytes in {path}, got others; save it again"
            )
        array: AnyArray = (value.float() if value.dtype == torch.bfloat16 else value).detach().resolve_conj().numpy()
        return array
    if isinstance(value, list | tuple) and all(isinstance(each, int | float | str) for each in value):
        return list(value)
    if isinstance(value, list | tuple) and all(isinstance(each, torch.Tensor) and each.numel() == 1 for each in value):
        return [each.item() for each in value]
    if isinstance(value, int | float | str):
        return np.atleast_1d(value)
    raise DataError(
        f"expected tensors, or lists of numbers or texts, in {path}, got {shown(name)}: {brief(type(value).__name__)}"
    )
