"""`serve`: an OpenAI-compatible server whose requests choose method, width and thinking."""
