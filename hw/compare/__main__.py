"""Entry point of ``python -m hw.compare``."""

import sys

from .command import main

sys.exit(main())
