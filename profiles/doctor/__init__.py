"""`profile doctor`: what works on this machine, and what mends the rest."""
