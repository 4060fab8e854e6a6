"""How long does reading a folder of small JSON or XML records take, beside merely parsing the same files?

A switch that posts a record per leg leaves one file of some 9 kB for each.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from tests.benchmarks.case import Case, Group

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.case import Found, Step

__all__ = ["GROUP"]

FIRST = 1_790_845_200  # 2026-10-01 09:00:00 UTC
N_OTHERS = 130  # variables that nobody reads make up most of a record


def leg(place: int, dice: random.Random) -> dict[str, Any]:
    """Return the record of an invented leg as FreeSWITCH writes it; numbers are those reserved for fiction."""
    ring, talk = dice.randint(1, 20), dice.choice([0, dice.randint(1, 600)])
    start = FIRST + place * 7
    answer, end = (start + ring if talk else 0), start + ring + talk
    uuid = f"8c1f3c52-{dice.randrange(1 << 16):04x}-4000-8000-{place:012x}"
    caller, called = f"+1415555{dice.randint(100, 199):04d}", f"+4420794600{dice.randint(10, 99)}"
    stamps = {
        f"{name}_stamp": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))
        for name, at in (("start", start), ("answer", answer), ("end", end))
        if at
    }
    epochs = {f"{name}_epoch": str(at) for name, at in (("start", start), ("answer", answer), ("end", end))}
    micros = {
        name.replace("epoch", "uepoch"): f"{at}250000" if at != "0" else "0" for name, at in epochs.items()
    }
    variables = {
        "direction": "inbound", "uuid": uuid, "call_uuid": uuid, "sip_from_user": caller, "sip_to_user": called,
        "channel_name": f"sofia/external/{caller}@192.0.2.7", "sip_call_id": f"{uuid}@192.0.2.7", **stamps, **epochs,
        **micros, "duration": str(ring + talk), "billsec": str(talk), "mduration": str((ring + talk) * 1000),
        "billmsec": str(talk * 1000), "hangup_cause": "NORMAL_CLEARING" if talk else "NO_ANSWER",
        **{f"rtp_audio_statistic_number_{n}": f"{dice.random() * 1e5:.2f} of <{place}@192.0.2.7>" for n in range(N_OTHERS)},
    }  # fmt: skip
    profile = {
        "caller_id_number": caller, "ani": caller, "destination_number": called, "uuid": uuid, "source": "mod_sofia",
        "context": "public", "chan_name": f"sofia/external/{caller}@192.0.2.7",
    }  # fmt: skip
    times = {
        "created_time": f"{start}250000",
        "answered_time": micros["answer_uepoch"],
        "hangup_time": f"{end}250000",
    }
    return {
        "core-uuid": "8c1f3c52-0000-4000-8000-000000000001",
        "switchname": "pbx",
        "channel_data": {"state": "CS_REPORTING", "direction": "inbound", "state_number": "11"},
        "variables": {name: quote(value, safe="/,()") for name, value in variables.items()},
        "app_log": {
            "applications": [{"app_name": "bridge", "app_data": "user/1001", "app_stamp": f"{start}300000"}]
        },
        "callflow": [{"profile_index": "1", "caller_profile": profile, "times": times}],
    }


def as_json(record: dict[str, Any]) -> str:
    return json.dumps(record)


def as_xml(record: dict[str, Any]) -> str:
    def element(name: str, value: Any) -> str:
        if isinstance(value, list):
            return "".join(element(name, item) for item in value)
        inside = (
            "".join(element(*item) for item in value.items()) if isinstance(value, dict) else escape(value)
        )
        return f"<{name}>{inside}</{name}>\n"

    return f"<?xml version='1.0'?>\n{element('cdr', record)}"


def make(folder: Path, n: int, _cache: Path) -> None:
    """Write each leg once as JSON and once as XML."""
    dice = random.Random(7)  # noqa: S311 - invented calls, not secrets
    for place in range(n):
        record = leg(place, dice)
        (folder / f"{place:06d}.cdr.json").write_text(as_json(record))
        (folder / f"{place:06d}.cdr.xml").write_text(as_xml(record))


def _json_loads(folder: Path) -> Step:
    return lambda: [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]


def _etree(folder: Path) -> Step:
    return lambda: [ET.fromstring(path.read_bytes()) for path in sorted(folder.glob("*.xml"))]  # noqa: S314 - our own files


def _read_cdr(pattern: str) -> Callable[[Path], Step]:
    def load(folder: Path) -> Step:
        import sippet_reconcile as sr
        from sippet_reconcile.cdr.formats import all_formats

        all_formats()
        return lambda: sr.read_cdr(f"{folder}/{pattern}", progress=lambda *_: None)

    return load


def _rows(result: Any) -> dict[str, int]:
    return {"rows": len(result)}


def _wrong(folder: Path, found: Found) -> list[str]:
    n = len(list(folder.glob("*.json")))
    return [f"{name} read {told['rows']} of {n} files" for name, told in found.items() if told["rows"] != n]


GROUP = Group(
    "folders",
    "Reading a folder of a JSON and an XML file per leg.",
    (
        Case("json.loads", _json_loads, _rows),
        Case("read_cdr on JSON", _read_cdr("*.json"), _rows),
        Case("xml.etree", _etree, _rows),
        Case("read_cdr on XML", _read_cdr("*.xml"), _rows),
    ),
    "json.loads",
    make,
    size=10_000,
    wrong=_wrong,
    unit="files",
)
