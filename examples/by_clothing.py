"""Find people by what they wear, without a picture of them.

    python examples/by_clothing.py
    python examples/by_clothing.py --wanted "upper_colour=red, not backpack" --people 60

The model says of each picture which attributes it shows, and the gallery keeps that as a short code. A description is
compared with those codes: the distance is the number of attributes that are expected to be wrong.
"""

import argparse
from pathlib import Path

from bitreid import Contract, Encoder, create_gallery
from bitreid.data.labels import read_attributes_as
from bitreid.data.parsers import parse
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.encoding.files import encode_manifest
from bitreid.gallery.ingest import items_of
from bitreid.gallery.query import description_of

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--out", type=Path, default=Path("clothing"), help="a new folder")
parser.add_argument("--wanted", default="backpack, upper_colour=red, not hat")
parser.add_argument("--people", type=int, default=60)
arguments = parser.parse_args()

people = arguments.out / "people"
settings = DrawnSettings(n_train=1, n_test=arguments.people, n_cameras=3, n_distractors=0, n_junk=0, seed=16)
draw_people(people, settings)
encoder = Encoder.open("drawn")
encoded = encode_manifest(encoder, parse(people).split("gallery"))
schema = encoder.card.attributes
assert schema is not None, "drawn knows attributes"
truth = read_attributes_as(people / "attributes_test.csv", schema)

wanted = description_of(arguments.wanted)  # names of attributes, 1 or, after `not`, 0; any probability does
with create_gallery(arguments.out / "people.gallery", Contract.of(encoder.card)) as gallery:
    gallery.add(items_of(encoded, [path.name for path in encoded.paths], attributes=True))
    hits = gallery.search_attributes(wanted, k=8)
    print(f"{arguments.wanted}: the nearest of {hits.n_gallery} pictures")
    right = {str(name): pid for name, pid in zip((path.name for path in encoded.paths), encoded.pids, strict=True)}
    for hit in hits:
        (labels,) = truth.labels_of(right[str(hit.id)][None])
        wrong = [name for name, value in wanted.items() if labels[schema.names.index(name)] != value]
        print(f"{hit.id}  {hit.distance:g} wrong by its code; in truth: {', '.join(wrong) or 'none'}")

    # A filter asks that attributes are exactly so, and goes with any search, by picture too.
    exact = " and ".join(name if value else f"not {name}" for name, value in wanted.items())
    print(f"{gallery.count(exact)} pictures pass the filter {exact!r}")
