"""The clinic of the end-to-end tests, behind its deployment."""

from tests.e2e.conftest import clinic

__all__ = ["clinic"]
