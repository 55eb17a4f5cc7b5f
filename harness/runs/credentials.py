"""Passwords, tokens and keys: hidden in what is recorded, found in what could be sent."""

from __future__ import annotations

import os
import re

_SECRET_NAME = r"(?:passw(?:or)?d|pwd|token|secret|api[_-]?key|access[_-]?key|signature|credential)s?"
_SECRET = re.compile(rf"(?i)({_SECRET_NAME}[\"']?(?:\s*[=:]\s*(?=[\"'])|=))(\"[^\"\n]*\"|'[^'\n]*'|[^\s&\"',;)]+)")
_LITERAL_SECRET = re.compile(rf"(?i){_SECRET_NAME}[\"']?\s*[=:]\s*[\"'][^\"'\n]+[\"']|\w+://[^/\s:@]+:[^/\s@]+@")
_ENVIRONMENT = re.compile(r"(?i)^(?!(?:old)?pwd$).*(?:passw|pwd|token|secret|key|credential)")  # PWD is a folder
_SHORTEST_SECRET = 8


def mask_credentials(text: str) -> str:
    """Return a text with its secrets as `***`.

    These are the user and password of any URL, the value of whatever is called a password, token or the like, and the
    values of environment variables so called. A password may hold any character but a space, also those that a URL
    should not have there: too much is hidden then.
    """
    for value in _secrets():
        text = text.replace(value, "***")
    return _SECRET.sub(r"\1***", re.sub(r"\b(\w+://)\S*@", r"\1***@", text))


def holds_credential(text: str) -> bool:
    """Tell whether a program has a password or the like in it.

    That is a literal, a part of a URL, or the value of an environment variable that is called so.
    """
    return bool(_LITERAL_SECRET.search(text)) or any(value in text for value in _secrets())


def _secrets() -> list[str]:
    """Return the values of environment variables that are called like a password or the like."""
    return [value for name, value in os.environ.items() if _ENVIRONMENT.search(name) and len(value) >= _SHORTEST_SECRET]
