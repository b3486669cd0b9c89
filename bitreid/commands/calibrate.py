"""`bitreid calibrate`: what a model's distances mean."""

import argparse
from pathlib import Path

from bitreid.commands.options import add_model, add_pattern

HELP = "fit thresholds, probabilities and the coarse code on people whom the model was not trained on"
EXAMPLES = (
    "bitreid calibrate runs/people/artifact --data people",
    "bitreid calibrate runs/people/artifact --data people --attributes people/attributes_train.csv",
    "bitreid calibrate drawn --own mine.csv --out mine.calibration.json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid calibrate`."""
    add_model(parser, "its card is written anew; with --out it stays as it is")
    people = parser.add_mutually_exclusive_group(required=True)
    people.add_argument(
        "--data", type=Path, help="the data set that the model was trained on: the people whom training held out"
    )
    people.add_argument(
        "--own",
        type=Path,
        metavar="DATA",
        help="labelled pictures of your own cameras, a folder or table as for training, of people whom the model was "
        "NOT trained on: the queries and gallery of a data set that has them, else all; a hundred people say more "
        "than ten",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.json",
        help="write the calibration to this file, for `bitreid gallery calibrate`, and leave the card as it is",
    )
    parser.add_argument(
        "--attributes",
        type=Path,
        metavar="FILE",
        help="labels of the training data (with --data): fit a threshold for each attribute, too",
    )
    add_pattern(parser)


def run(arguments: argparse.Namespace) -> int:
    """Calibrate a model, and say at which distances it calls two pictures the same person."""
    from dataclasses import replace

    import numpy as np

    from bitreid.artifact import load_artifact, save_artifact
    from bitreid.artifact.shipped import own_folder_of
    from bitreid.commands.console import calibration_text, console_of, progress_of, recall_text, say, thresholds_text
    from bitreid.commands.options import encoder_of
    from bitreid.data.files import check_outputs
    from bitreid.data.labels import read_attributes_as
    from bitreid.data.parsers import parse
    from bitreid.data.samplers import held_out_pictures
    from bitreid.encoding.calibrating import MOST_OTHERS, calibrated_on, spaced
    from bitreid.errors import SettingsError
    from bitreid.evaluation.calibration.files import write_calibration

    source: Path = arguments.data or arguments.own
    check_outputs([arguments.out], [source])
    if arguments.attributes and (arguments.own or arguments.out):
        raise SettingsError("expected --attributes with --data and without --out, got another; leave it out")
    folder = None if arguments.out else own_folder_of(arguments.artifact)
    console = console_of()
    encoder = encoder_of(arguments.artifact, arguments)
    data = parse(source, arguments.pattern, None if arguments.pattern is None else "train")
    others = None
    if arguments.data:
        people = held_out_pictures(data, encoder.card.training)
        train = data.split("train")
        train = train.rows((train.pids > 0) & ~np.isin(train.pids, people.pids))
        others = train.take(spaced(len(train), MOST_OTHERS))
    else:
        known = data.pids > 0
        tests = known & np.array([split != "train" for split in data.splits], np.bool_)
        people = data.rows(tests if tests.any() else known)
    with progress_of(console, "encoding") as progress:
        encoded = encoder.encode_files(people.paths, progress)
        searched = None if others is None else encoder.encode_files(others.paths, progress)
    card = encoder.card
    if arguments.attributes:
        if card.attributes is None or encoded.attributes is None:
            raise SettingsError(f"expected a model with attributes, {card.name} has none; leave --attributes out")
        from bitreid.training.validation import with_attribute_thresholds

        table = read_attributes_as(arguments.attributes, card.attributes, data.identities())
        labels = table.labels_of(people.pids), table.labels_of(train.pids)
        card = with_attribute_thresholds(card, encoded.attributes, *labels, people.pids)
    training = {name: value for name, value in card.training.items() if name != "calibrated_on"}
    training |= {"calibrated_on": source.resolve().name} if arguments.own else {}
    card = calibrated_on(replace(card, training=training), encoded, people, searched)
    assert card.calibration is not None, "it was just fitted"
    if folder is None:
        write_calibration(arguments.out, card)
    else:
        card = save_artifact(folder, card, load_artifact(folder).weights).card
    assert card.calibration is not None
    say(console, f"calibrated on {calibration_text(card)}")
    say(console, f"same person within {thresholds_text(card.calibration.open_set)}")
    if card.coarse is not None and not arguments.out:  # which has the calibration alone
        say(console, f"matches kept by coarse code: {recall_text(card.coarse)}")
    if arguments.out:
        say(console, f"calibration: {arguments.out}")
    return 0
