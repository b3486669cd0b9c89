"""Settings of the whole suite: quick property tests, and no test that is quietly left out."""

import pytest
from hypothesis import settings

settings.register_profile("quick", deadline=None, max_examples=40)
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
