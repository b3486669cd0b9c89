"""The service as an application: what it does when it starts and when it stops."""

import gc

from bitreid.encoding.encoder import Encoder
from tests.service.cases import app_of, empty, serving


def test_what_was_loaded_is_left_out_of_garbage_collections_until_the_end(encoder: Encoder) -> None:
    before = gc.get_freeze_count()
    with serving(app_of(empty(encoder), encoder)):
        assert gc.get_freeze_count() > before + 10_000
    assert gc.get_freeze_count() == 0
