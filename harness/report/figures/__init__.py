"""The figures of a report: records of what they show, and how these are drawn as PNG and as HTML."""

from typing import TYPE_CHECKING

from harness.moved import former_names

if not TYPE_CHECKING:  # a type checker knows today's names alone
    __getattr__ = former_names(__name__)
