"""Errors as strangers see them: by kind, and without what only an operator may know."""

import sqlite3

import pytest

from bitreid import errors
from bitreid.errors import BitreidError, GalleryBusy, GalleryDamaged, GalleryUnreachable, ServiceError
from bitreid.service.kinds import error_of, kind_of
from bitreid.service.problems import problem_of

KINDS = sorted(
    (each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, BitreidError)),
    key=lambda kind: kind.__name__,
)

OTHERS = (errors.PictureError, errors.VideoEnded, ServiceError)  # made of more than a message


@pytest.mark.parametrize("kind", [each for each in KINDS if each not in OTHERS])
def test_the_client_raises_what_the_service_tells(kind: type[BitreidError]) -> None:
    problem = problem_of(kind("/srv/people.gallery: expected this, got that"))
    assert 400 <= problem.status < 600
    assert ("/srv" in problem.message) == (problem.status < 500)
    if problem.kind != "internal":
        told = error_of(problem.status, bytes(problem.response().body))
        assert type(told) is kind
        assert problem.kind == kind_of(kind)


@pytest.mark.parametrize("kind", [GalleryBusy, GalleryUnreachable])
def test_what_may_work_later_says_when(kind: type[BitreidError]) -> None:
    assert problem_of(kind("busy")).response().headers["retry-after"] == "2"


def test_a_full_disk_is_told_from_a_server_that_is_gone() -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorname = "SQLITE_FULL"
    error = GalleryUnreachable("/srv/people.gallery: expected room on the disk, got a full one")
    error.__cause__ = full
    problem = problem_of(error)
    assert (problem.status, problem.kind) == (507, "disk_full")
    assert "/srv" not in problem.message


def test_damage_is_an_error_of_the_service(caplog: pytest.LogCaptureFixture) -> None:
    assert problem_of(GalleryDamaged("/srv/people.gallery: damaged")).kind == "internal"
    assert "/srv/people.gallery" in caplog.text
