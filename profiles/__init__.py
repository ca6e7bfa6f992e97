"""A profile measures what an answer cost and what quantization changed."""
