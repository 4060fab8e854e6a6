"""From printed dates to instants: how they are written, whether the day comes first, and by which clock."""
