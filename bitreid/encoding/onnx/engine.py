"""The ONNX engine: an exported model, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bitreid.arrays import Floats32, Pixels
from bitreid.artifact import Card
from bitreid.encoding.engine import EngineOutput
from bitreid.encoding.onnx.checking import check_onnx
from bitreid.errors import ArtifactError, SettingsError
from bitreid.hamming.threads import default_threads
from bitreid.text import brief

if TYPE_CHECKING:
    import onnxruntime

CPU = "CPUExecutionProvider"
"""The provider of onnxruntime that is always there."""

PICTURES, FEATURES, CODE, ATTRIBUTES, LOGITS = "pictures", "features", "code", "attributes", "attribute_logits"
"""Input and outputs of an exported model: `(n, H, W, 3) uint8`; `(n, n_bits) float32`; `(n, n_bits / 8) uint8`, the
packed identity code; and `(n, A) float32` each, probabilities of attributes and their logits, in a model with such."""


class OnnxEngine:
    """Runs an exported model; a twin of the torch engine that needs numpy and onnxruntime only."""

    def __init__(
        self,
        model: bytes,
        card: Card,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        batch: int = 16,
    ) -> None:
        """Load a model, which is refused (`ArtifactError`) unless it is what the card says and asks for nothing else.

        `providers` are onnxruntime's, the first choice first (None: the CPU's alone); `threads` are the CPU's (None:
        `default_threads`).
        """
        check_onnx(model)
        self.batch = batch
        self._session = _session(
            model, default_threads() if threads is None else threads, (CPU,) if providers is None else providers
        )
        n_attributes = 0 if card.attributes is None else len(card.attributes)
        inputs = {each.name: (each.type, each.shape[1:]) for each in self._session.get_inputs()}
        outputs = {each.name: (each.type, each.shape[1:]) for each in self._session.get_outputs()}
        expected: dict[str, tuple[str, list[int]]] = {
            FEATURES: ("tensor(float)", [card.n_features]),
            CODE: ("tensor(uint8)", [card.n_bits // 8]),
        }
        if n_attributes:
            expected |= dict.fromkeys((ATTRIBUTES, LOGITS), ("tensor(float)", [n_attributes]))
        if inputs != {PICTURES: ("tensor(uint8)", [card.input.height, card.input.width, 3])} or outputs != expected:
            raise ArtifactError(
                f"expected a model from pictures of {card.input.height}x{card.input.width} to {', '.join(expected)} "
                f"of {card.n_features} bits and {n_attributes} attributes, got {inputs} to {outputs}; export it again"
            )
        self._outputs = list(expected)
        self._n_attributes = n_attributes

    def __call__(self, pictures: Pixels) -> EngineOutput:
        columns = self._all(pictures, [FEATURES, LOGITS] if self._n_attributes else [FEATURES])
        return EngineOutput(columns[0], columns[1] if self._n_attributes else None, None)

    def outputs(self, pictures: Pixels) -> dict[str, Floats32]:
        """Return all that the model gives for pictures, by name."""
        return dict(zip(self._outputs, self._all(pictures, self._outputs), strict=True))

    def _all(self, pictures: Pixels, names: list[str]) -> list[Floats32]:
        batches = [
            self._session.run(names, {PICTURES: np.ascontiguousarray(pictures[start : start + self.batch])})
            for start in range(0, max(len(pictures), 1), self.batch)
        ]
        return [np.concatenate(column) for column in zip(*batches, strict=True)]


def _session(model: bytes, threads: int, providers: Sequence[str]) -> onnxruntime.InferenceSession:
    import onnxruntime

    available = onnxruntime.get_available_providers()
    missing = [name for name in providers if name not in available]
    if missing or not providers:
        raise SettingsError(
            f"expected providers among {', '.join(available)}, got {', '.join(missing) or 'none'}; "
            "another build of onnxruntime may have more"
        )
    if threads < 1:
        raise SettingsError(f"expected one thread or more, got {threads}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised
    # Threads that wait busily would take the processors from those that decode pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=list(providers))
    except Exception as error:  # onnxruntime's errors have no root of their own
        raise ArtifactError(
            f"expected a model that onnxruntime can load, got: {brief(error)}; export it again"
        ) from error
