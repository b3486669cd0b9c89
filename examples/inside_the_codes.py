"""Look inside the codes: which bits fire for a backpack?

    python examples/inside_the_codes.py
    python examples/inside_the_codes.py --attribute upper_colour=red --people 60

Nobody told the model which bit is to mean what. Yet bits that tell people apart must say how people differ, so some of
them go with a piece of clothing. They are found on half of the people and looked at on the other half, since among a
thousand bits a few would seem to fit by chance.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from bitreid import Encoder, unpack
from bitreid.arrays import Bools, Floats
from bitreid.data.labels import read_attributes_as
from bitreid.data.parsers import parse
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.encoding.files import encode_manifest

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--out", type=Path, default=Path("inside"), help="a new folder")
parser.add_argument("--attribute", default="backpack")
parser.add_argument("--people", type=int, default=60)
parser.add_argument("--bits", type=int, default=8, help="how many bits to show")
arguments = parser.parse_args()

# People of another seed than those whom the model `drawn` learned from.
people = arguments.out / "people"
settings = DrawnSettings(n_train=1, n_test=arguments.people, n_cameras=3, n_distractors=0, n_junk=0, seed=16)
draw_people(people, settings)
encoder = Encoder.open("drawn")
pictures = parse(people).split("gallery")
encoded = encode_manifest(encoder, pictures)
bits = unpack(encoded.codes).astype(np.float64)  # (pictures, bits), 0 or 1

schema = encoder.card.attributes
assert schema is not None, "drawn knows attributes"
if arguments.attribute not in schema.names:
    parser.error(f"expected --attribute among {', '.join(schema.names)}, got {arguments.attribute!r}")
labels = read_attributes_as(people / "attributes_test.csv", schema).labels_of(encoded.pids)
has = labels[:, schema.names.index(arguments.attribute)] == 1  # (pictures,)


def correlations(rows: Bools) -> Floats:
    """Return the correlation of each bit with the attribute among some pictures; 0 where either never changes."""
    x, y = bits[rows] - bits[rows].mean(axis=0), has[rows] - has[rows].mean()
    size = np.sqrt((x**2).sum(axis=0) * (y**2).sum())
    return np.asarray((x * y[:, None]).sum(axis=0) / np.where(size > 0, size, np.inf))


first_half = encoded.pids % 2 == 0
found, checked = correlations(first_half), correlations(~first_half)
best = np.argsort(-np.abs(found), kind="stable")[: arguments.bits]
part_of = [part.name for part in encoder.card.parts for _ in range(part.n_bits)]

print(f"{len(bits)} pictures of {arguments.people} people, {has.mean():.0%} with {arguments.attribute}")
print("  bit  part      correlation  on the other people  fires with  without")
for bit in best.tolist():
    share, without = bits[has, bit].mean(), bits[~has, bit].mean()
    print(
        f"{bit:5}  {part_of[bit]:8}  {found[bit]:+11.2f}  {checked[bit]:+19.2f}  {share:10.0%}  {without:7.0%}",
    )

# What the model was told to say of clothing is in the attribute code instead, a bit for each attribute.
assert encoded.attribute_codes is not None
in_code = [name for name, kept in zip(schema.names, schema.in_code, strict=True) if kept]
if arguments.attribute in in_code:
    told = unpack(encoded.attribute_codes)[:, in_code.index(arguments.attribute)]
    print(f"the attribute code says {arguments.attribute!r} of {(told == has).mean():.0%} of the pictures rightly")

# A column for each bit that was found, a row for each picture: those with the attribute above the grey line.
order = np.argsort(~has, kind="stable")
fires = np.where(found[best] > 0, bits[:, best], 1 - bits[:, best])[order] > 0.5
colours = np.where(fires[..., None], np.array([32, 90, 167], np.uint8), np.array([238, 238, 238], np.uint8))
line = np.full((1, len(best), 3), 128, np.uint8)
n_with = int(has.sum())
Image.fromarray(np.concatenate([colours[:n_with], line, colours[n_with:]])).resize(
    (24 * len(best), 4 * (len(bits) + 1)), Image.Resampling.NEAREST
).save(arguments.out / "bits.png")
print(f"a picture of them: {arguments.out / 'bits.png'}, those with {arguments.attribute} above the grey line")
