"""Settings of the whole suite: quick property tests, a thread a process, no test that is quietly left out; and a data
set, a model and a Milvus server that many tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from bitreid.gallery import Contract
    from bitreid.gallery.milvus.gallery import MilvusGallery
    from tests.gallery.milvus.running import Galleries, MilvusServer

# PyTorch's threads wait for each other in busy loops: on cores that other processes use too, several threads are many
# times slower than one. This has to be set before PyTorch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A change is judged by the same examples each time; `--hypothesis-profile explore` looks for new ones.
settings.register_profile("quick", deadline=None, max_examples=40, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=300)
settings.load_profile("quick")

_MILVUS = "milvus"
_LONGEST = (_MILVUS, "tests/training/test_distils.py", "tests/commands/test_train.py")
_LEFT_OUT = ("skipped", "xfailed", "xpassed")
_DESELECTED = pytest.StashKey[int]()
_SERVER = pytest.StashKey["MilvusServer"]()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, and all tests that share a Milvus server.

    What takes longest comes first, so that no process goes on long after the other. Processes are those of pytest-xdist
    (`-n 3 --dist loadgroup --no-loadscope-reorder`); without it the marks mean nothing.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=lambda item: _LONGEST.index(_group(item)) if _group(item) in _LONGEST else len(_LONGEST))


def _group(item: pytest.Item) -> str:
    """Return what the test is kept in one process with: those on Milvus, which their names tell, or its file."""
    return _MILVUS if _MILVUS in item.nodeid.lower() else item.nodeid.partition("::")[0]


@pytest.hookimpl(trylast=True)  # after the fixtures of the test and, where it is the last one, of its file
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the Milvus server after the last test that may want it: it takes a third of a core while nobody asks it."""
    if nextitem is None or (nextitem.path != item.path and _group(nextitem) != _MILVUS):
        server = item.config.stash.get(_SERVER, None)
        if server is not None:
            server.stop()


def pytest_deselected(items: list[pytest.Item]) -> None:
    if items:
        stash = items[0].config.stash
        stash[_DESELECTED] = stash.get(_DESELECTED, 0) + len(items)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over from a process of pytest-xdist how many tests it deselected; all of them deselect the same."""
    node.config.stash[_DESELECTED] = getattr(node, "workeroutput", {}).get("deselected", 0)


def _counts(config: pytest.Config) -> dict[str, int]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    stats = reporter.stats if reporter else {}
    return {outcome: len(stats.get(outcome, ())) for outcome in _LEFT_OUT}


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the run if a test was skipped or is expected to fail: such a test proves nothing."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["deselected"] = session.config.stash.get(_DESELECTED, 0)
    elif exitstatus == pytest.ExitCode.OK and any(_counts(session.config).values()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    deselected = config.stash.get(_DESELECTED, 0)
    terminalreporter.write_line(f"deselected tests (they need what this machine may lack): {deselected}")
    found = ", ".join(f"{count} {outcome}" for outcome, count in _counts(config).items() if count)
    if found:
        terminalreporter.write_line(f"FAILED: expected every selected test to run and pass, got {found}", red=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bits", type=int, default=40, help="how many bits of a gallery's file tests flip (40)")
    parser.addoption("--kills", type=int, default=10, help="how often tests kill the writer of a gallery (10)")
    parser.addoption("--beside", type=float, default=4.0, help="seconds of looking at Milvus beside writers (4)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests of a file."""
    from tests.browser import launched

    with launched() as found:
        yield found


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set of drawn people: 24 identities to train on, 6 to find, 3 cameras. Do not change it."""
    from bitreid.drawn.data_set import DrawnSettings, draw_people

    data = tmp_path_factory.mktemp("drawn") / "people"
    draw_people(data, DrawnSettings(n_train=24, n_test=6, n_cameras=3, n_distractors=6, n_junk=4, height=96, width=32))
    return data


@pytest.fixture(scope="session")
def trained(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of `bitreid train` on `people`, of one pass: its model knows little. Do not change it."""
    from bitreid.commands.main import main

    run = tmp_path_factory.mktemp("trained") / "run"
    changes = ["epochs=1", "warmup_epochs=0", "network.n_bits=128", "held_out_identities=4"]
    changes += ["identities_per_batch=5", "pictures_per_identity=6", "int8=false"]
    command = ["train", "drawn_tiny", "--data", str(people), "--out", str(run)]
    assert main([*command, *(word for change in changes for word in ("--set", change))]) == 0
    return run


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[MilvusServer]:
    """A Milvus server, started when the first test wants it."""
    from tests.gallery.milvus.running import MilvusServer

    with MilvusServer(tmp_path_factory.mktemp("milvus")) as server:
        pytestconfig.stash[_SERVER] = server
        yield server


@pytest.fixture(scope="session")
def milvus_galleries(milvus: MilvusServer) -> Galleries:
    """Galleries on the server, which tests borrow."""
    from tests.gallery.milvus.running import Galleries

    return Galleries(milvus.url)


@pytest.fixture
def create_milvus_gallery(request: pytest.FixtureRequest) -> Iterator[Callable[..., MilvusGallery]]:
    """Makes empty galleries on the server, of the contract of `tests.gallery.cases` by default, and closes them."""
    from tests.gallery.cases import CONTRACT

    with ExitStack() as used:

        def new(contract: Contract = CONTRACT, **settings: Any) -> MilvusGallery:
            galleries: Galleries = request.getfixturevalue("milvus_galleries")
            return used.enter_context(galleries.borrowed(contract, **settings))

        yield new
