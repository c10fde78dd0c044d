"""The OpenAPI schema is what the server does: schemathesis makes requests from it, right and wrong ones, always the same."""

from __future__ import annotations

import warnings

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase

from serve.conftest import Served

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.checks import load_all_checks
    from schemathesis.specs.openapi import checks

load_all_checks()

EXAMPLES = 40
OPERATIONS = {  # statuses that are seen of each; /events never ends
    "POST /points": {200, 400, 422},
    "GET /detections": {404, 422},
    "GET /incidents": {200, 422},
    "GET /series": {200, 422},
    "GET /health": {200},
    "GET /metrics": {200},
}
CHECKS = (
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_requests_are_answered_as_the_schema_says(served: Served, operation: str) -> None:
    config = schemathesis.Config.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": ["4XX"]}}})
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{served.port}/openapi.json", config=config)
    method, path = operation.split()
    requests, statuses = schema[path][method], set[int]()

    @hypothesis.seed(1)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @hypothesis.given(case=requests.as_strategy() | requests.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE))
    def ask(case: schemathesis.Case) -> None:
        answer = case.call()
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=[*CHECKS])

    ask()
    assert statuses >= OPERATIONS[operation]
