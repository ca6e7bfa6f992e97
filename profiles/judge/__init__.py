"""`profile judge fit`: a judge on the policy's own states, fitted to its own answers."""
