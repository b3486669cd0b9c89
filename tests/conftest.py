"""Settings of the whole suite: quick property tests, and no test that is quietly left out; a data set and a model that
many tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

# A change is judged by the same examples each time; `--hypothesis-profile explore` looks for new ones.
settings.register_profile("quick", deadline=None, max_examples=40, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=300)
settings.load_profile("quick")

_LEFT_OUT = ("skipped", "xfailed", "xpassed")


def _counts(config: pytest.Config) -> dict[str, int]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    stats = reporter.stats if reporter else {}
    return {outcome: len(stats.get(outcome, ())) for outcome in (*_LEFT_OUT, "deselected")}


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A test that was skipped or is expected to fail proves nothing, so it fails the run."""
    counts = _counts(session.config)
    if exitstatus == pytest.ExitCode.OK and any(counts[outcome] for outcome in _LEFT_OUT):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    counts = _counts(config)
    terminalreporter.write_line(f"deselected tests (they need what this machine may lack): {counts['deselected']}")
    found = ", ".join(f"{counts[outcome]} {outcome}" for outcome in _LEFT_OUT if counts[outcome])
    if found:
        terminalreporter.write_line(f"FAILED: expected every selected test to run and pass, got {found}", red=True)


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set of drawn people: 24 identities to train on, 6 to find, 3 cameras. Not to be changed."""
    from bitreid.drawn.data_set import DrawnSettings, draw_people

    data = tmp_path_factory.mktemp("drawn") / "people"
    draw_people(data, DrawnSettings(n_train=24, n_test=6, n_cameras=3, n_distractors=6, n_junk=4, height=96, width=32))
    return data


@pytest.fixture(scope="session")
def trained(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that `bitreid train` made of them in a pass: it works and knows little. Not to be changed."""
    from bitreid.commands.main import main

    run = tmp_path_factory.mktemp("trained") / "run"
    changes = ["epochs=1", "warmup_epochs=0", "network.n_bits=128", "held_out_identities=4"]
    changes += ["identities_per_batch=5", "pictures_per_identity=6"]
    command = ["train", "drawn_tiny", "--data", str(people), "--out", str(run)]
    assert main([*command, *(word for change in changes for word in ("--set", change))]) == 0
    return run
