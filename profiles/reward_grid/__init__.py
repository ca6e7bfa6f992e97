"""`profile reward-grid`: policy levels times reward levels on the same solutions."""
