"""Looks at everything that a running daemon leans on, and changes none of it: no call, no write, no secret told."""

from reminderd.doctor.round import rounds

__all__ = ["rounds"]
