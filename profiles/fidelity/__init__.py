"""`profile fidelity`: quantized models against full precision, token by token."""
