"""Where the two sides of a matched call differ, and what of it could be written."""
