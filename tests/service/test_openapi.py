"""The service does what its OpenAPI description says, whatever is sent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from bitreid.encoding.encoder import Encoder
from bitreid.gallery import Items
from bitreid.service.app import create_app
from bitreid.service.settings import ServiceSettings
from tests.service.cases import app_of, empty, serving

DESCRIPTION = create_app(ServiceSettings()).openapi()


@pytest.fixture(scope="module")
def address(encoder: Encoder, pictures: list[Path]) -> Iterator[str]:
    """A service over a gallery with some items."""
    gallery = empty(encoder)
    encoded = encoder.encode_files(pictures)
    ids = [17, "a", *range(len(pictures) - 2)]
    gallery.add(Items.of(ids, encoded.codes, encoded.attribute_codes, cameras=[1] * len(ids), model=encoder.model))
    with serving(app_of(gallery, encoder)) as found:
        yield found


API = schemathesis.openapi.from_dict(DESCRIPTION)
API.config.phases.update(phases=["examples", "fuzzing"])  # `schemathesis run` has more, and takes a minute


# What a filter, an attribute or a code must be is no schema's, so that requests that fit one may still be refused.
@API.parametrize()
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_described(case: Any, address: str) -> None:
    case.call_and_validate(address, excluded_checks=[schemathesis.checks.CHECKS.get_one("positive_data_acceptance")])


def test_the_description_is_whole() -> None:
    assert DESCRIPTION["paths"].keys() >= {
        "/v1/search",
        "/v1/search/attributes",
        "/v1/items",
        "/v1/items/{id}",
        "/v1/items/{id}/picture",
        "/v1/items/delete",
        "/v1/persons/confirm",
        "/v1/persons/reject",
        "/v1/persons/merge",
        "/v1/persons/undo",
        "/v1/encode",
        "/v1/info",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    for path, operations in DESCRIPTION["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], (method, path)
            assert "422" not in operation["responses"]
            content = operation.get("requestBody", {}).get("content", {})
            assert all("example" in each for kind, each in content.items() if kind == "application/json"), (
                method,
                path,
            )
    assert "HTTPValidationError" not in DESCRIPTION["components"]["schemas"]
