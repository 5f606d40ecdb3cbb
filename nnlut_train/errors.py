"""The two ways in which a command can end badly, and where in the input it did."""

from collections.abc import Iterator
from contextlib import contextmanager


class UsageError(ValueError):
    """What the user gave is wrong: one line that says what must be what; exit status 2."""


class InfeasibleError(UsageError):
    """An architecture cannot do what is wanted of it; another one may."""


class StepError(RuntimeError):
    """A step of a command failed: one line that names the step and the cause; exit status 1."""


@contextmanager
def where(field: str) -> Iterator[None]:
    """Put the name of a field in front of a message, unless it is there."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{field}: {str(error).removeprefix(f'{field}: ')}") from error
