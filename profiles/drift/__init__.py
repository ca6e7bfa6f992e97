"""`profile drift`: what quantization does to a thinker."""
