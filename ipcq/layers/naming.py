"""Which errors a layer is told to look at."""

from __future__ import annotations

__all__ = ["errors_of"]


def errors_of(
    name: str, errors: type[BaseException] | tuple[type[BaseException], ...]
) -> tuple[type[BaseException], ...]:
    """Those that were given, one or several; `TypeError`, which names the argument, for anything else."""
    found = errors if isinstance(errors, tuple) else (errors,)
    for each in found:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise TypeError(
                f"{name}={errors!r} must be a class of errors, or a tuple of such:"
                f" {name}=(OSError, TimeoutError)"
            )
    return found
