"""Targets of kind ``process``: servers that the bench starts, with what they are given made up for
one run, and ends with it."""

from __future__ import annotations

from .target import bring_up

__all__ = ["bring_up"]
