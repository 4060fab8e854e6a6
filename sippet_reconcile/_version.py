"""The version of the package; written into every audit record."""

__version__ = "0.1.0"
