"""Which CDR call and which call of the API are the same: legs become calls, and calls find each other."""
