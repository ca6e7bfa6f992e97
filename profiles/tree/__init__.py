"""`profile tree`: saved searches, and a page to look at them."""
