"""One module per group of cases; each has a `GROUP`."""
