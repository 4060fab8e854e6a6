"""Carry out an approved plan: the only part of the package that sends corrections."""

from sippet_reconcile.apply.applying import apply_plan

__all__ = ["apply_plan"]
