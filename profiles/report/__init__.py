"""`profile report`: from stored records to rows, sentences, plots and pages."""
