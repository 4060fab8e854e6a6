"""The README's picture of a dry run is one of today's report.

To make it anew: pytest tests/browser/test_picture.py --update-picture
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sippet_reconcile.report import DryRunReport

PICTURE = Path(__file__).parents[2] / "notebooks" / "images" / "dry_run.png"
LAST = "Why the records are wrong"
KEY = b"sippet-report"
WIDTH = 1200


@pytest.fixture(scope="module")
def html(walk: Any) -> str:
    """Return the dry run of the sample month, the same on whatever day and port it is made."""
    facts = walk.plan.dry_run().facts
    plan_id = hashlib.sha256(
        facts.changes.drop(columns="started_at").to_csv(index=False).encode()
    ).hexdigest()
    plan = {
        **facts.plan, "plan_id": plan_id, "short_id": plan_id[:12], "api_url": "https://api.example.com",
        "created_at": pd.Timestamp("2026-11-02T09:00:00Z"),
    }  # fmt: skip
    return DryRunReport.from_facts(
        dataclasses.replace(facts, plan=plan, approvals=facts.approvals.head(0))
    ).html()


def digest_of(html: str) -> str:
    """Return the digest of what the picture shows: the style, and all from the top to the chart of the causes."""
    style = "".join(re.findall(r"<style>.*?</style>", html, re.DOTALL))
    top = html[html.index("<main>") : html.index("</figure>", html.index(f"<h2>{LAST}"))]
    return hashlib.sha256(f"{style}{top}".encode()).hexdigest()


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Return the parts of a PNG file, each with its kind."""
    at = 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length


def with_text(png: bytes, text: str) -> bytes:
    """Return a PNG file with a text in it, ahead of its end."""
    body = b"tEXt" + KEY + b"\0" + text.encode("latin-1")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:-12] + chunk + png[-12:]


def test_the_picture_is_of_the_report_as_it_is(html: str, pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("--update-picture"):
        pytest.skip("the picture is being made anew")
    told = dict(data.split(b"\0", 1) for kind, data in chunks(PICTURE.read_bytes()) if kind == b"tEXt")
    assert told.get(KEY, b"").decode() == digest_of(html), (
        f"{PICTURE.name} shows an older report; make it anew and look at it: "
        "pytest tests/browser/test_picture.py --update-picture"
    )
    assert PICTURE.stat().st_size < 300_000


def test_the_picture_can_be_taken(
    html: str, tmp_path: Path, open_report: Callable[..., Any], pytestconfig: pytest.Config
) -> None:
    Image = pytest.importorskip("PIL.Image", reason="Pillow comes with matplotlib, of the extra `dev`")  # noqa: N806
    file = tmp_path / "dry_run.html"
    file.write_text(html, encoding="utf-8")
    report = open_report(file, width=WIDTH, color_scheme="light", device_scale_factor=1.5)
    box = report.section(LAST).locator("figure").first.bounding_box()
    height = box["y"] + box["height"]
    assert 600 < height < 2_000
    png = report.page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
    smaller = io.BytesIO()
    Image.open(io.BytesIO(png)).quantize(96, dither=Image.Dither.NONE).save(smaller, "png", optimize=True)
    png = with_text(smaller.getvalue(), digest_of(html))
    assert list(chunks(png))[-2:] == [(b"tEXt", KEY + b"\0" + digest_of(html).encode()), (b"IEND", b"")]
    if pytestconfig.getoption("--update-picture"):
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_bytes(png)
