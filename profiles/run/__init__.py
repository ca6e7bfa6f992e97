"""`profile run`: every configuration of a grid in a process of its own."""
