"""What a run keeps on disk: configurations, records, processes, the folder itself."""
