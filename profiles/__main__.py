"""`python -m profiles` is `profile`."""

import sys

from profiles.cli import main

sys.exit(main())
