"""``python -m hw.prove BUILD_DIR``."""

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main())
