"""Twin of `bitreid.evaluation`: every order of every tie, one after another, each scored by counting down the list.

For small galleries only. Nothing here knows a formula for ties: expectations are averages over lists of orders.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product
from statistics import fmean

RIGHT, WRONG, OUT = "right", "wrong", "out"


@dataclass(frozen=True)
class Result:
    """CMC at ranks 1 to n, AP and INP of one query, or their means."""

    cmc: tuple[float, ...]
    ap: float
    inp: float


def verdicts(pid: int, camid: int, gallery_pids: Sequence[int], gallery_camids: Sequence[int]) -> list[str]:
    """What each gallery row is for a query, by Market-1501's rules."""
    found = []
    for gallery_pid, gallery_camid in zip(gallery_pids, gallery_camids, strict=True):
        if gallery_pid in (-1, -2):
            found.append(OUT)
        elif gallery_pid == pid and pid > 0:
            found.append(OUT if gallery_camid == camid and camid != -2 else RIGHT)
        else:
            found.append(WRONG)
    return found


def tied(rows: Sequence[int], distances: Sequence[float]) -> list[list[int]]:
    """The rows in groups of equal distance, nearest group first."""
    return [[row for row in rows if distances[row] == value] for value in sorted({distances[row] for row in rows})]


def orders(rows: Sequence[int], distances: Sequence[float]) -> Iterator[list[int]]:
    """Every order of the rows that their distances allow."""
    for choice in product(*(permutations(group) for group in tied(rows, distances))):
        yield [row for group in choice for row in group]


def score(order: Sequence[int], verdict: Sequence[str], n_matches: int, n_ranks: int) -> Result:
    """The scores of one order, of which rows that are out are struck first."""
    answers = [verdict[row] == RIGHT for row in order if verdict[row] != OUT]
    hits, precisions = 0, []
    for rank, answer in enumerate(answers, 1):
        if answer:
            hits += 1
            precisions.append(hits / rank)
    cmc = tuple(float(any(answers[:rank])) for rank in range(1, n_ranks + 1))
    inp = 0.0
    if hits == n_matches:
        last = max(rank for rank, answer in enumerate(answers, 1) if answer)
        inp = n_matches / last
    return Result(cmc, sum(precisions) / n_matches, inp)


def mean(results: Sequence[Result]) -> Result:
    return Result(
        tuple(fmean(column) for column in zip(*(result.cmc for result in results), strict=True)),
        fmean(result.ap for result in results),
        fmean(result.inp for result in results),
    )


def one_query(distances: Sequence[float], verdict: Sequence[str], n_ranks: int) -> tuple[Result, Result, Result] | None:
    """The expected, best and worst scores of a query over every order, or None without a match."""
    n_matches = list(verdict).count(RIGHT)
    if not n_matches:
        return None
    rows = [row for row in range(len(distances)) if verdict[row] != OUT]
    results = [score(order, verdict, n_matches, n_ranks) for order in orders(rows, distances)]
    columns = list(zip(*(result.cmc for result in results), strict=True))
    aps, inps = [result.ap for result in results], [result.inp for result in results]
    best = Result(tuple(max(column) for column in columns), max(aps), max(inps))
    worst = Result(tuple(min(column) for column in columns), min(aps), min(inps))
    return mean(results), best, worst


def single_shot_galleries(verdict: Sequence[str], gallery_pids: Sequence[int]) -> Iterator[list[int]]:
    """Every gallery of one row of each person who has one, and of all distractors; rows that are out are in none."""
    people = [
        [row for row, p in enumerate(gallery_pids) if p == pid and verdict[row] != OUT] for pid in {*gallery_pids}
    ]
    people = [rows for rows in people if rows and gallery_pids[rows[0]] > 0]
    distractors = [row for row, pid in enumerate(gallery_pids) if pid == 0]
    for choice in product(*people):
        yield [*choice, *distractors]


def single_shots(
    distances: Sequence[float], verdict: Sequence[str], gallery_pids: Sequence[int], n_ranks: int
) -> list[tuple[Result, Result, Result]]:
    """The expected, best and worst scores of a query in every gallery of one row a person; empty without a match."""
    found = []
    for rows in single_shot_galleries(verdict, gallery_pids):
        result = one_query([distances[row] for row in rows], [verdict[row] for row in rows], n_ranks)
        if result is not None:
            found.append(result)
    return found


def items(labels: Sequence[object]) -> list[list[int]]:
    """The rows of equal labels, by first row; a row labelled None is by itself."""
    found: list[list[int]] = []
    for row, label in enumerate(labels):
        for rows in found:
            if label is not None and labels[rows[0]] == label:
                rows.append(row)
                break
        else:
            found.append([row])
    return found


def mean_feature(features: Sequence[Sequence[float]]) -> list[float]:
    return [fmean(column) for column in zip(*features, strict=True)]


def majority(codes: Sequence[Sequence[bool]]) -> list[bool]:
    """Each bit as most of the codes have it, False if as many have it as have not."""
    return [list(column).count(True) > list(column).count(False) for column in zip(*codes, strict=True)]


def short_lists(distances: Sequence[float], w: int) -> Iterator[list[int]]:
    """Every choice of w rows that stage 1 may keep, each as likely as the others."""
    certain: list[int] = []
    for group in tied(range(len(distances)), distances):
        if len(certain) + len(group) > w:
            for drawn in combinations(group, w - len(certain)):
                yield [*certain, *drawn]
            return
        certain += group
    yield certain


def one_afr_query(
    short: Sequence[float], long: Sequence[float], verdict: Sequence[str], w: int, n_ranks: int
) -> tuple[Result, float] | None:
    """The expected scores of a two-stage search and the share of matches kept, or None without a match."""
    n_matches = list(verdict).count(RIGHT)
    if not n_matches:
        return None
    results, kept = [], []
    for rows in short_lists(short, w):
        kept.append(sum(verdict[row] == RIGHT for row in rows) / n_matches)
        left = [row for row in rows if verdict[row] != OUT]
        results.append(mean([score(order, verdict, n_matches, n_ranks) for order in orders(left, long)]))
    return mean(results), fmean(kept)


def cosine_distance(a: Sequence[float], b: Sequence[float]) -> float:
    """1 - cosine, to six places; 1 if either is all zeros."""
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    lengths = sum(x * x for x in a) ** 0.5 * sum(y * y for y in b) ** 0.5
    return round(1 - dot / lengths, 6) if lengths else 1.0
