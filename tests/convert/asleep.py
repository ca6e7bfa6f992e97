"""A child that says nothing."""

import time

time.sleep(60)
