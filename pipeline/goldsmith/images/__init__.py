"""Images that others made: looked at before anything opens them, fetched, and copied."""
