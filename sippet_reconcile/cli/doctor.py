"""The command `doctor`: whether everything is here, and whether the API answers."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import click

import sippet_reconcile as sr
from sippet_reconcile.cli.options import as_json
from sippet_reconcile.cli.output import print_json, print_summary
from sippet_reconcile.cli.program import Ended, teach
from sippet_reconcile.cli.words import command_words
from sippet_reconcile.errors import InputError

__all__ = ["doctor_command"]

_PACKAGES = ("pandas", "pyarrow", "httpx", "phonenumbers", "starlette", "uvicorn")
_EXTRAS = {
    "xlsxwriter": "to write workbooks; extra 'excel'",
    "openpyxl": "to read workbooks; extra 'excel'",
    "matplotlib": "for rec.plot and plan.plot; extra 'plots'",
    "ipywidgets": "for progress bars in notebooks; extra 'notebook'",
}


@click.command(
    "doctor",
    short_help="Check this installation, the address, the token and the API.",
    help=teach(
        "Check this installation, and whether the API at SIPPET_API_URL answers to the token in SIPPET_API_TOKEN (or the "
        "key in SIPPET_API_KEY): address, token, and how far the two clocks are apart. Whether you may also write is "
        "answered by the first five calls of a plan: apply --limit 5.",
        never="sends a change, or shows the token",
        example="SIPPET_API_URL=https://api.example.com SIPPET_API_TOKEN=... sippet-reconcile doctor",
    ),
)
@as_json
@click.pass_context
def doctor_command(context: click.Context, /, *, as_json: bool) -> None:
    """Check and print; an API that cannot be read ends with its own code."""
    here = _installation()
    has_url = bool(os.environ.get("SIPPET_API_URL"))
    if not as_json:
        print_summary(here, title="this installation")
    check = None
    if has_url:
        with sr.Client() as client:
            check = client.check()
    if as_json:
        print_json(
            {"installation": here, "api": None if check is None else check.summary() | {"ok": check.ok}}
        )
    elif check is not None:
        said = {name: command_words(v) if isinstance(v, str) else v for name, v in check.summary().items()}
        print_summary(said, title="the API can be read" if check.ok else "the API cannot be used yet")
    if check is None:
        msg = "SIPPET_API_URL is not set, so no API was asked; set it and SIPPET_API_TOKEN, or try: sippet-reconcile demo"
        raise InputError(msg)
    context.exit(Ended.DONE if check.ok else Ended.API)


def _installation() -> dict[str, str]:
    found = {"sippet-reconcile": sr.__version__, "python": platform.python_version()}
    found |= {name: version(name) for name in _PACKAGES}
    for name, use in _EXTRAS.items():
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = f"not installed (only needed {use})"
    for name in ("SIPPET_API_URL", "SIPPET_API_TOKEN", "SIPPET_API_KEY"):
        is_set = bool(os.environ.get(name))
        found[name] = "set" if is_set else "not set"
    return found
