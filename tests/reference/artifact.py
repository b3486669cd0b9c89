"""What an artifact's files say, read by hand."""

import hashlib
import json
import struct
from typing import Any

ZEROS = "0" * 64


def tensors(data: bytes) -> dict[str, tuple[str, list[int], bytes]]:
    """Type, shape and raw bytes of each tensor of a safetensors file: a length, a JSON header, then the numbers."""
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    return {
        name: (entry["dtype"], entry["shape"], body[entry["data_offsets"][0] : entry["data_offsets"][1]])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def sealed(body: dict[str, Any]) -> bytes:
    """A card file of `body` whose own checksum is right, whatever else is wrong with it."""
    content = {key: value for key, value in body.items() if key != "card_sha256"}
    zeroed = json.dumps({**content, "card_sha256": ZEROS}, indent=2) + "\n"
    return zeroed.replace(
        f'"card_sha256": "{ZEROS}"', f'"card_sha256": "{hashlib.sha256(zeroed.encode()).hexdigest()}"'
    ).encode()
