"""From what a person names to bytes: files found, unpacked within limits, cut into pieces, in UTF-8."""
