"""An artifact is opened as an engine: branches, KV cache, logits."""
