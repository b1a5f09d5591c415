"""Who may call which route of the HTTP API, as template.yaml says, and how often."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.template.source import RESOURCES, TEMPLATE, branch, of_type


def authorization_of_routes(*conditions: str) -> dict[str, str]:
    """How each route asks who calls, in a stack where these conditions hold and no others."""

    def resolved(value: Any) -> str:
        while isinstance(value, dict):
            condition, yes, no = value["If"]
            value = yes if condition in conditions else no
        return str(value)

    return {
        route["Properties"]["RouteKey"]: resolved(route["Properties"]["AuthorizationType"])
        for route in RESOURCES.values()
        if route["Type"] == "AWS::ApiGatewayV2::Route" and route.get("Condition") in {*conditions, None}
    }


@pytest.mark.parametrize(
    ("conditions", "kinds", "opened"),
    [
        ((), {"AWS_IAM"}, set()),
        (("UseWebhooks",), {"AWS_IAM", "NONE"}, {"POST /webhooks/{name}"}),
        (("UseJwt", "UseJwtToStart"), {"AWS_IAM", "JWT"}, set()),
        # A browser sends no token with the address of a page; pages hold no data.
        (
            ("UseJwt", "UseJwtToRead"),
            {"AWS_IAM", "JWT", "NONE"},
            {"GET /", "GET /docs", "GET /docs/{file}", "GET /openapi.json"},
        ),
    ],
)
def test_no_route_is_open_by_default(conditions: tuple[str, ...], kinds: set[str], opened: set[str]) -> None:
    found = authorization_of_routes(*conditions)
    assert set(found.values()) == kinds
    assert {route for route, kind in found.items() if kind == "NONE"} == opened


def test_every_route_that_starts_runs_has_a_throttle_of_its_own_by_parameters() -> None:
    (stage,) = of_type("AWS::ApiGatewayV2::Stage").values()
    settings = stage["RouteSettings"]
    assert set(settings) == {route for route in authorization_of_routes() if route.startswith("POST ")}
    for found in (*settings.values(), stage["DefaultRouteSettings"]):
        for name in ("ThrottlingRateLimit", "ThrottlingBurstLimit"):
            parameter = TEMPLATE["Parameters"][branch(found[name])["Ref"]]
            assert parameter["MinValue"] >= 1
            assert parameter["Default"] <= parameter["MaxValue"]


def test_pages_of_others_may_not_call_unless_they_are_named() -> None:
    (api,) = of_type("AWS::ApiGatewayV2::Api").values()
    condition, named, nothing = api["CorsConfiguration"]["If"]
    assert (condition, nothing) == ("UseCors", {"Ref": "AWS::NoValue"})
    assert named["AllowOrigins"] == {"Ref": "HttpCorsOrigins"}
    assert "AllowCredentials" not in named
    assert TEMPLATE["Parameters"]["HttpCorsOrigins"]["Default"] == ""


def test_every_condition_that_opens_a_route_is_off_by_default() -> None:
    defaults = {name: parameter.get("Default") for name, parameter in TEMPLATE["Parameters"].items()}
    assert (defaults["Webhooks"], defaults["JwtIssuer"]) == ("disabled", "")
    assert defaults["ReadAuthorization"] == defaults["StartAuthorization"] == "AWS_IAM"
