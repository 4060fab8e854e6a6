"""From one file, many, or one too large for memory to legs: read at once, in pieces or in batches, and put together."""
