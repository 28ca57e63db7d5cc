"""`python -m relay`, the same as `relay`."""

import sys

from relay.console.main import main

if __name__ == "__main__":
    sys.exit(main())
