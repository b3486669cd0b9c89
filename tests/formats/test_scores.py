"""Files of `bitreid evaluate --json` of every format can be compared."""

from bitreid.evaluation.score_files import read_scores
from tests.formats.cases import FORMATS


def test_format_1() -> None:
    scored = read_scores(FORMATS / "scores-1.json")
    assert (scored.name, scored.protocol, scored.n_gallery) == ("query", "market1501", 8)
    assert (scored.pids.tolist(), scored.camids.tolist()) == ([1, 2, 3], [1, 1, 2])
    for scores in (scored.codes, scored.floats):
        assert scores is not None
        assert {name: values.round(4).tolist() for name, values in scores.items()} == {
            "rank-1": [1, 1, 0.5],
            "mAP": [1, 0.9167, 0.75],
            "mINP": [1, 0.8333, 0.75],
        }
