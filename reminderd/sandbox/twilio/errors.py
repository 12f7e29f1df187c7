"""Errors in Twilio's own shape and words; the codes are those of https://www.twilio.com/docs/api/errors."""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """A request is refused: an HTTP status, a code and a sentence."""

    def __init__(self, code: int, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def body(self) -> Mapping[str, Any]:
        """The JSON that answers the request."""
        return {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }


def bad_parameter(message: str) -> ApiError:
    """A parameter is unknown, or its value is none that is documented."""
    return ApiError(20001, message)


def unauthorised() -> ApiError:
    """The account and its token are not ours."""
    return ApiError(20003, "Authenticate", status=401)


def not_found(path: str) -> ApiError:
    """There is no such resource."""
    return ApiError(20404, f"The requested resource {path} was not found", status=404)


def invalid_number(number: str) -> ApiError:
    """The number to ring can't be rung."""
    return ApiError(21211, f"The phone number you are attempting to call, {number}, is not valid.")


def internal_error() -> ApiError:
    """The request may have been carried out, or not."""
    return ApiError(20500, "An internal server error has occurred", status=500)


def too_many_requests() -> ApiError:
    """The request was not carried out."""
    return ApiError(20429, "Too Many Requests", status=429)


def turned_away(status: int, number: str) -> ApiError:
    """What the generic contract turns away with this status, the way Twilio does."""
    match status:
        case 422:
            return invalid_number(number)
        case 429 | 503:
            return too_many_requests()
        case _:
            return internal_error()


def of_http(status: int, name: str) -> ApiError:
    """What is wrong before anybody has looked at the parameters."""
    return ApiError({404: 20404, 405: 20004, 500: 20500}.get(status, 20001), name, status=status)


def wrong_state(message: str) -> ApiError:
    """The call is beyond what was asked of it."""
    return ApiError(21220, message)
