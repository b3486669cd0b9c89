"""What a model trained on all people takes from its twin, which was trained in the same way with some held out."""

from dataclasses import replace
from pathlib import Path

from bitreid.artifact import Card, fingerprint, load_artifact
from bitreid.errors import SettingsError
from bitreid.training.task import Task

_EQUAL = ("model", "input", "n_bits", "parts", "attributes")


def twin_of(model: Path) -> Card:
    """Return the card of a twin, from the artifact's folder or from that of the run which made it.

    `SettingsError` for one without a calibration, from which there is nothing to take.
    """
    card = load_artifact(model / "artifact" if (model / "artifact" / "card.json").is_file() else model).card
    if card.calibration is None:
        raise SettingsError(
            f"expected a twin that was calibrated on people whom it was not trained on, got {card.name} without; "
            "train one with held_out_identities"
        )
    return card


def as_twin(task: Task, twin: Card) -> Task:
    """Return the task with the twin's bits of attributes: which are rare depends on who trains."""
    if task.schema is None or twin.attributes is None or task.schema.names != twin.attributes.names:
        return task
    return replace(task, schema=twin.attributes)


def with_twin(card: Card, twin: Card) -> Card:
    """Return the card with all that held-out people said of the twin, and a note that it is the twin's.

    That is its scores, the calibration of its distances, its thresholds of attributes and its coarse code.
    `SettingsError` where the models differ in what their codes hold or how pictures are prepared.
    """
    other = [name for name in _EQUAL if getattr(card, name) != getattr(twin, name)]
    if other:
        raise SettingsError(
            f"expected a twin trained in the same way, {twin.name} differs in {' and '.join(other)}; "
            "use the model of the same recipe with people held out"
        )
    left_out = twin.training.get("held_out_identities")
    note = (
        "Trained on all people. Scores, calibration, thresholds of attributes and the coarse code are those of its "
        f"twin {twin.name} ({fingerprint(twin)}), trained in the same way without {left_out} of them."
    )
    return replace(
        card,
        metrics=twin.metrics,
        lengths=twin.lengths,
        calibration=twin.calibration,
        attribute_thresholds=twin.attribute_thresholds,
        coarse=twin.coarse,
        training=card.training | {"twin": {"name": twin.name, "fingerprint": fingerprint(twin)}},
        notes=" ".join(filter(None, [card.notes, note])),
    )
