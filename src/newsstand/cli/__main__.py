"""`python -m newsstand.cli`."""

import sys

from newsstand.cli import main

sys.exit(main())
