"""A trained run as a file that other programs run."""

from typing import TYPE_CHECKING

from harness.moved import former_names

if not TYPE_CHECKING:  # a type checker knows today's names alone
    __getattr__ = former_names(__name__)
