"""A method spends an engine's tokens on a problem and returns an answer."""
