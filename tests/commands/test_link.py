"""`bitreid link`: pairs of two galleries, as Python finds them."""

from pathlib import Path

import pytest
from pyarrow import parquet

from bitreid.encoding.files import load_encoded
from bitreid.gallery import open_gallery
from tests.commands.words import Capture, N, codes_of, done, refusal


@pytest.fixture
def places(tmp_path: Path, capsys: Capture) -> tuple[Path, Path]:
    for name, seed in (("a", 0), ("b", 1)):
        codes_of(tmp_path / f"{name}.npz", folder=name, seed=seed)
        done("gallery", "create", tmp_path / f"{name}.gallery", "--bits", 64, "--attributes", "hat,bag,top=red")
        done("gallery", "add", tmp_path / f"{name}.gallery", tmp_path / f"{name}.npz")
    capsys.readouterr()
    return tmp_path / "a.gallery", tmp_path / "b.gallery"


def test_pairs_are_the_hits_of_searches(places: tuple[Path, Path], tmp_path: Path, capsys: Capture) -> None:
    """Each item of the one gallery searched for in the other has the same hits, with the same filter."""
    out = tmp_path / "pairs"
    words = ("link", *places, "--where", "camera != 0", "--where-right", "camera = 1", "--max-distance", 32)
    done(*words, "--out", out, "--threads", 1)
    rows = [row for path in sorted(out.glob("*.parquet")) for row in parquet.read_table(path).to_pylist()]
    found = {(row["left_text"], row["right_text"], row["distance"]) for row in rows}
    with open_gallery(places[1], read_only=True) as right:
        encoded = load_encoded(tmp_path / "a.npz")
        kept = [i for i in range(N) if i % 3]
        hits = right.search(encoded.codes, 100, where="camera = 1", max_distance=32)
        expected = {(str(encoded.paths[i]), hit.id, hit.distance) for i in kept for hit in hits[i]}
    assert found == expected
    assert 0 < len(found) < 8 * 4
    assert capsys.readouterr().out == f"{len(found)} pairs of 8 and 4 items, at most 32 bits apart: {out}\n"
    done(*words, "--out", out)
    assert capsys.readouterr().out.startswith(f"{len(found)} pairs of 8 and 4 items")
    assert "name another folder" in refusal(capsys, "link", *places, "--max-distance", 3, "--out", out)


def test_what_cannot_be_linked(places: tuple[Path, Path], tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "pairs"
    assert "say --max-distance" in refusal(capsys, "link", *places, "--out", out)
    assert "expected a gallery" in refusal(capsys, "link", places[0], tmp_path / "none", "--out", out)
    done("gallery", "create", tmp_path / "c.gallery", "--bits", 128)
    assert "of the same model" in refusal(
        capsys, "link", places[0], tmp_path / "c.gallery", "--max-distance", 3, "--out", out
    )
    assert not out.exists()
