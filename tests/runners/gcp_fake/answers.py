"""Errors as Google's services answer them."""

from __future__ import annotations

from typing import Any

STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
}


class Answer(Exception):
    """An error that the service answers."""

    def __init__(self, code: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.body: dict[str, Any] = {
            "error": {
                "code": code,
                "message": message,
                "errors": [{"message": message, "domain": "global", "reason": reason or "backendError"}],
                "status": STATUS.get(code, "UNAVAILABLE"),
            }
        }


def not_found(name: str) -> Answer:
    return Answer(404, f"The resource '{name}' was not found", "notFound")


def denied(permission: str, name: str) -> Answer:
    return Answer(403, f"Required '{permission}' permission for '{name}'", "forbidden")
