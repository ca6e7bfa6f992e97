"""`profile merge`: the shards of a run put together again."""
