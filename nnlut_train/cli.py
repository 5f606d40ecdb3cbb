"""What the project's commands share: how bad input and failed steps reach the user.

A command writes one line on standard error and exits with status 2 where the user's input is
wrong (`UsageError`, which includes a wrong flag), and with status 1 where a step failed
(`StepError`), the system refused something or memory ran out. A signal ends it with 128 and the
signal's number; what was temporary is deleted then, too.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from . import interrupt, scratch
from .errors import StepError, UsageError

#: Characters of a message at most: what it quotes may be of any length.
LONGEST = 2000


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
        0 where `main` returned, 1 for a `StepError`, 2 for a `UsageError`, 130 for Ctrl-C, 143 for
        SIGTERM.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name need not be text that the terminal can show.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with interrupt.guard(), scratch.command():
            main(argv)
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away, as `| head` does; nothing is left to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except interrupt.Interrupted as error:
        status, message = 128 + error.args[0], "interrupted"
    except KeyboardInterrupt:
        status, message = 130, "interrupted"
    except UsageError as error:
        status = 2
        message = str(error)
    except StepError as error:
        status = 1
        message = str(error)
    except MemoryError:
        status, message = 1, "there is not enough memory"
    except OSError as error:
        status, message = 1, " ".join(filter(None, (error.strerror, str(error.filename or ""))))
        message = message or str(error)
    else:
        return 0
    print(f"{prog}: error: {_line(message)}", file=sys.stderr)
    return status


def _line(message: str) -> str:
    """Return a message as one line of bounded length that cannot steer the terminal."""
    line = " ".join(message.split())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
