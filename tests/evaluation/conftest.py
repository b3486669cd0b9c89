"""One full report and its page, which many tests read."""

import pytest

from bitreid.evaluation.report import Report, render_report
from tests.evaluation.report.cases import Page, full_report


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return full_report(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return render_report(report)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)
