"""`profile latency`: how fast a model reads and writes, and what the device could do."""
