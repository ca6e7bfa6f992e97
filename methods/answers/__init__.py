"""Answers: read out of what a model wrote, and compared by value."""
