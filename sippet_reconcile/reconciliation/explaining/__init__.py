"""Why the API has the value it has: named tests over the differing rows."""
