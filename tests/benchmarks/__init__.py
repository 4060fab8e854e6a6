"""How long the steps of the package take, and what they hold, beside other tools on the same data.

One command runs all of it, see `__main__`; `NOTES.md` tells what was tried and measured.
"""
