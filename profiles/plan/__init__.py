"""`profile plan`: what fits a card, from shapes alone."""
