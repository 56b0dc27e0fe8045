# SPDX-License-Identifier: Apache-2.0
"""What a failed call raises: OSError, which Python makes the kind that fits the number, such as FileNotFoundError."""

from __future__ import annotations

import errno

from . import _abi


def failure(error: _abi.Error) -> OSError:
    """Makes the exception of a failed call.

    `filename` stays None: the text names the descriptor already, and there its secrets are hidden.
    """
    return made(error.code, error.message.decode("utf-8", "replace"), error.flags)


def made(code: int, text: str, flags: int = 0) -> OSError:
    """Makes an exception of a code and a text."""
    exception = OSError(code, text)
    exception.retryable = bool(flags & _abi.ERROR_RETRYABLE)  # type: ignore[attr-defined]
    return exception


def is_retryable(error: OSError) -> bool:
    """Whether the same open may succeed later, with nothing changed: what the provider said of this failure."""
    return bool(getattr(error, "retryable", False))


def code_of(exception: BaseException) -> int:
    """The negative code that tells the library of an exception of Python's."""
    number = exception.errno if isinstance(exception, OSError) else None
    return -(number or errno.EIO)
