"""A child that begins and then says nothing more."""

import time

print('{"begun": 1}', flush=True)
time.sleep(60)
