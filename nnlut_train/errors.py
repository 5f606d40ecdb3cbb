"""The two ways in which a command can end badly."""


class UsageError(ValueError):
    """What the user gave is wrong: one line that says what must be what; exit status 2."""


class StepError(RuntimeError):
    """A step of a command failed: one line that names the step and the cause; exit status 1."""
