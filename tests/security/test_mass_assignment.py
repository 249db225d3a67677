"""What nobody asked for is not taken: every JSON body of the native API, from OpenAPI."""

import pytest

from tests.acceptance.conftest import Api, api  # noqa: F401 - a fixture
from tests.security.test_tenant_matrix import Operation

#: What a caller would like to say of themselves, of the model's server, or of a row's columns.
WANTED = ["tenant_id", "role", "scopes", "user_id", "owner_id", "id", "api_base", "is_admin", "x"]
#: What is not refused for anything else, where the schema's own examples are.
BODIES = {"upload_document": {"url": "https://example.com/a.pdf"}}


@pytest.fixture(scope="module")
def operations(api: Api) -> list[Operation]:  # noqa: F811
    """The routes that read JSON; the OpenAI dialect ignores what it does not know."""
    with api.client("") as stranger:
        schema = stranger.get("/openapi.json").json()
    return [
        Operation(method, path, said, schema)
        for path, methods in schema["paths"].items()
        for method, said in methods.items()
        if "application/json" in said.get("requestBody", {}).get("content", {})
        and not path.startswith("/v1/")
    ]


def test_no_route_takes_a_field_it_does_not_name(api: Api, operations: list[Operation]) -> None:  # noqa: F811
    assert len(operations) > 15
    with api.client() as client:
        for operation in operations:
            body = BODIES.get(operation.said["operationId"]) or operation.body().get("json", {})
            for name in sorted(set(WANTED) - set(operation.known_fields())):
                path = operation.path.replace("{", "").replace("}", "")
                reply = client.request(operation.method, path, json={**body, name: "owner"})
                assert reply.status_code == 422, (operation, name, reply.text)
                assert name in {one["field"] for one in reply.json()["errors"]}, operation
