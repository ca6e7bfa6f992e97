"""`python -m convert` is `convert`."""

import sys

from convert.cli import main

sys.exit(main())
