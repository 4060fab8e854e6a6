"""The OpenAPI document of the sandbox: what a client may learn about calls from it.

Input: the members of the enums; output: a document shaped as the real generator's, with
the body of the PATCH described in place, so that statuses and patchable attributes can be
read from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sippet_reconcile.sandbox.negotiation import JSON_API

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["openapi_document"]


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _attributes(statuses: Sequence[str], directions: Sequence[str]) -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "call_source": text,
        "call_uuid": text,
        "conversation_id": _nullable({"type": "string", "format": "uuid"}),
        "direction": {"type": "string", "enum": list(directions)},
        "duration_seconds": _nullable({"type": "integer"}),
        "ended_at": _nullable({}),
        "from_number": text,
        "sip_username": _nullable(text),
        "started_at": _nullable({}),
        "status": _nullable({"type": "string", "enum": list(statuses)}),
        "to_number": text,
    }


def openapi_document(*, url: str, statuses: Sequence[str], directions: Sequence[str]) -> dict[str, Any]:
    """Return the document.

    Examples
    --------
    >>> document = openapi_document(url="http://x", statuses=("completed",), directions=("inbound",))
    >>> body = document["paths"]["/api/calls/{id}"]["patch"]["requestBody"]["content"]
    >>> data = body["application/vnd.api+json"]["schema"]["properties"]["data"]["properties"]
    >>> data["attributes"]["properties"]["status"]
    {'enum': ['completed'], 'type': 'string'}
    """
    patch_attributes = {
        "call_source": {"type": "string"},
        "duration_seconds": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "ended_at": {},
        "status": {"enum": list(statuses), "type": "string"},
    }
    patch_body = {
        "additionalProperties": False,
        "properties": {
            "data": {
                "additionalProperties": False,
                "properties": {
                    "attributes": {
                        "additionalProperties": False,
                        "properties": patch_attributes,
                        "type": "object",
                    },
                    "id": {"type": "string"},
                    "relationships": {"additionalProperties": False, "properties": {}, "type": "object"},
                    "type": {"enum": ["Call"]},
                },
                "required": ["id"],
                "type": "object",
            }
        },
        "required": ["data"],
        "type": "object",
    }
    call = {
        "additionalProperties": False,
        "description": 'A "Resource object" representing a Call',
        "properties": {
            "attributes": {"properties": _attributes(statuses, directions), "type": "object"},
            "id": {"type": "string"},
            "relationships": {"properties": {"conversation": {}, "organisation": {}}, "type": "object"},
            "type": {"type": "string"},
        },
        "required": ["id", "type"],
        "type": "object",
    }
    one = {"properties": {"data": {"$ref": "#/components/schemas/Call"}}}
    many = {"properties": {"data": {"items": {"$ref": "#/components/schemas/Call"}, "type": "array"}}}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Sandbox of the calls API", "version": "1.0"},
        "servers": [{"url": url}],
        "components": {
            "schemas": {"Call": call},
            "securitySchemes": {
                "api_key": {"in": "header", "name": "x-api-key", "type": "apiKey"},
                "bearerAuth": {"scheme": "bearer", "type": "http"},
            },
        },
        "paths": {
            "/api/calls": {
                "get": {
                    "operationId": "list_calls",
                    "parameters": [
                        {"in": "query", "name": "filter", "required": False, "style": "deepObject"},
                        {"in": "query", "name": "sort", "required": False},
                        {"in": "query", "name": "fields", "required": False, "style": "deepObject"},
                    ],
                    "responses": {"200": {"content": {JSON_API: {"schema": many}}, "description": "Calls"}},
                }
            },
            "/api/calls/{id}": {
                "patch": {
                    "operationId": "update_call",
                    "parameters": [
                        {"in": "path", "name": "id", "required": True, "schema": {"type": "string"}}
                    ],
                    "requestBody": {
                        "content": {JSON_API: {"schema": patch_body}},
                        "description": "Request body for the /calls/:id operation on Call resource",
                        "required": True,
                    },
                    "responses": {"200": {"content": {JSON_API: {"schema": one}}, "description": "The call"}},
                }
            },
        },
        "security": [{"bearerAuth": []}, {"api_key": []}],
    }
