"""What the project's commands share: how bad input and failed steps reach the user.

A command writes one line on standard error and exits with status 2 where the user's input is
wrong (`UsageError`, which includes a wrong flag), and with status 1 where a step failed
(`StepError`).
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from .errors import StepError, UsageError


class ArgumentParser(argparse.ArgumentParser):
    """A parser whose complaints are one line, without the usage text in front of them.

    Raises
    ------
    UsageError
        From ``parse_args``, where argparse would print its usage and exit.
    """

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError` with argparse's own message."""
        raise UsageError(message)


def run_main(
    prog: str,
    main: Callable[[Sequence[str] | None], None],
    argv: Sequence[str] | None = None,
) -> int:
    """Run a command and turn its errors into one line and an exit status.

    Parameters
    ----------
    prog : str
        What the line begins with: the command's name, such as ``hw.synth``.
    main : callable
        The command; it is given `argv`.
    argv : sequence of str, optional
        Arguments without the program's name; None for those of the process.

    Returns
    -------
    int
        0 where `main` returned, 1 for a `StepError`, 2 for a `UsageError`, 130 for Ctrl-C.
    """
    try:
        main(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away, as `| head` does; nothing is left to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        status, message = 130, "interrupted"
    except UsageError as error:
        status = 2
        message = str(error)
    except StepError as error:
        status = 1
        message = str(error)
    else:
        return 0
    print(f"{prog}: error: {' '.join(message.split())}", file=sys.stderr)
    return status
