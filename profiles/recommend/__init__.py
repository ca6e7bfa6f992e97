"""`profile recommend`: one measured row to use, under limits."""
