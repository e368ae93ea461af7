"""Let `python -m pseudokern` do what the command does."""

import sys

from pseudokern.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
