"""Learn tables: ``python -m nnlut_train fit``, ``check``, ``compare``; ``evaluate``."""

import sys
from collections.abc import Sequence

from . import checking, cli, compare, evaluate, fitting


def parser() -> cli.ArgumentParser:
    """Return the parser of all commands."""
    parser = cli.ArgumentParser(prog="python -m nnlut_train", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, module in (
        ("fit", fitting),
        ("check", checking),
        ("compare", compare),
        ("evaluate", evaluate),
    ):
        command = commands.add_parser(
            name, help=module.__doc__.splitlines()[0], description=module.__doc__
        )
        module.configure(command)
        command.set_defaults(run=module.run)
    return parser


def _main(argv: Sequence[str] | None) -> None:
    arguments = parser().parse_args(argv)
    arguments.run(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return cli.run_main("nnlut_train", _main, argv)


if __name__ == "__main__":
    sys.exit(main())
