"""CDR-Stats: what it exports and imports, under a header of 25 names, and the older import file without one.

A row is one call. With a header there is a start in local time (``starting_date``), the
whole time (``duration``) and the billable one (``billsec``), from which answer and end
follow. Without one there are 16 columns, set apart by a comma and a space: start, answer
and end as epochs (FreeSWITCH writes microseconds), an answer of 0 for none. ``callid``, or
``uuid``, is the switch's own id of the call; the cause is a number of ITU-T Q.850. The
direction is 1 for inbound, 2 for outbound and 0 for not defined. The last column of the
wide file is JSON, whose quotes not every writer doubles.

The columns are those of CDR-Stats' "CDR Manual Import / Export" and of its import form; the
directions those of its model ``CALL_DIRECTION``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from sippet_reconcile.cdr.families.causes import FREESWITCH, Q850
from sippet_reconcile.cdr.families.judge import by_cells, by_names, is_seconds
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key, status_word
from sippet_reconcile.normalize import map_distinct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sippet_reconcile.cdr.tables import Fields

__all__ = ["FORMATS"]

WIDE: Final = (
    "switch", "cdr_source_type", "callid", "caller_id_number", "caller_id_name", "destination_number", "dialcode",
    "state", "channel", "starting_date", "duration", "billsec", "progresssec", "answersec", "waitsec",
    "hangup_cause_id", "hangup_cause", "direction", "country_code", "accountcode", "buy_rate", "buy_cost", "sell_rate",
    "sell_cost", "extradata",
)  # fmt: skip
"""The columns under a header."""

NARROW: Final = (
    "caller_id_number", "caller_id_name", "destination_number", "duration", "billsec", "hangup_cause_id", "direction",
    "uuid", "remote_media_ip", "start_uepoch", "answer_uepoch", "end_uepoch", "mduration", "billmsec", "read_codec",
    "write_codec",
)  # fmt: skip
"""The columns without one."""

_WIDTHS: Final = range(len(NARROW), len(NARROW) + 4)  # as split where quotes are hidden
_NEEDED: Final = ("switch", "cdr_source_type", "callid", "starting_date", "billsec", "hangup_cause_id")

DIRECTIONS: Final = {"1": "inbound", "2": "outbound", "INBOUND": "inbound", "OUTBOUND": "outbound"}

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_EPOCH: Final = re.compile(r"0|[1-3]\d{9}(?:\d{3}|\d{6})?")

_FIELD: Final = r'(?:"[^"]*"(?:"[^"]*")*|[^",\n]*)'
_BEFORE: Final = rf"(?:{_FIELD},){{{len(WIDE) - 1}}}"
_SPACED: Final = (r', +"((?:[^"]|"")*)" *(,|\n?\z)', r',"\1"\2')
_REPAIRS: Final = (
    # A last column that is JSON, quoted or not, is set between marks, its quotes are doubled, and it is quoted.
    (rf'\A({_BEFORE})"?(\{{[^\x1f]*\}})"?(\n?)\z', "\x1f\\1\x1f\\2\x1f\\3"),
    (r'(\A[^\x1f](?s:.*)|\A\x1f[^\x1f]*\x1f)|(")', r"\1\2\2"),
    (r"\A\x1f([^\x1f]*)\x1f([^\x1f]*)\x1f", r'\1"\2"'),
    # A quote behind a comma and a space opens a value all the same. Twice, as neighbours share a comma.
    (r'\A +"((?:[^"]|"")*)" *,', r'"\1",'),
    _SPACED,
    _SPACED,
)


def _layouts(_: Sample) -> Mapping[int, tuple[str, ...]]:
    return {len(NARROW): NARROW}


def recognise(sample: Sample) -> Evidence:
    """Judge by the names, or by where the id, the direction, the seconds and the epochs stand."""
    named = by_names(sample, _NEEDED)
    if named.score > 0:
        return named

    def fits(row: Sequence[str]) -> bool:
        # From the right, as a comma in a name that a space hides the quotes of makes a row wider.
        total, talk, _, direction, uuid, _, *epochs = (cell.strip(' "') for cell in row[-13:-4])
        return (
            _UUID.fullmatch(uuid) is not None
            and (not direction or status_word(direction) in DIRECTIONS)
            and is_seconds(total)
            and is_seconds(talk)
            and all(map(_EPOCH.fullmatch, epochs))
        )

    where = "a uuid stands in column 8, seconds in 4 and 5, epochs in 10 to 12"
    return by_cells(sample, _WIDTHS, fits, columns="16", what=where)


def interpret(fields: Fields, _: Options) -> Record:
    """Give the columns of either file their meaning."""
    fields.prepare(fields.raw.columns)
    by_epoch = "start_uepoch" in fields
    uuid = pc.coalesce(fields["callid"], fields["uuid"])
    cause = pc.coalesce(fields["hangup_cause_id"], fields["hangup_cause"])
    return Record(
        started=pc.coalesce(fields["start_uepoch"], fields["starting_date"]),
        answered=fields["answer_uepoch"] if by_epoch else None,
        ended=fields["end_uepoch"] if by_epoch else None,
        total=fields["duration"],
        billable=fields["billsec"],
        leg_id=uuid,
        call_key=uuid,
        linked_id=uuid,
        direction=map_distinct(fields["direction"], lambda word: DIRECTIONS.get(status_word(word))),
        from_number=fields["caller_id_number"],
        to_number=fields["destination_number"],
        word=cause,
        cause=cause,
        derive_missing=not by_epoch,
    )


FORMATS: Final = (
    CdrFormat(
        name="cdr-stats",
        title="CDR-Stats import file",
        names={column_key(name): name for name in (*WIDE, *NARROW)},
        statuses={**FREESWITCH, **Q850},
        recognise=recognise,
        interpret=interpret,
        layouts=_layouts,
        repairs=_REPAIRS,
        row_by_row=True,
    ),
)
