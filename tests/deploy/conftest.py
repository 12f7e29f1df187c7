"""The clinic of the end-to-end tests, now behind what is deployed before it."""

from tests.e2e.conftest import clinic

__all__ = ["clinic"]
