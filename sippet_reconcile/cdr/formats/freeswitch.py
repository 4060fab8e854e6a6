"""FreeSWITCH ``mod_cdr_csv``: the shipped ``example`` template, one row per leg, no header, local time.

The template escapes nothing, so a quote in a caller's name breaks a row. Answered is
what has an answer stamp: half of the unanswered calls end with NORMAL_CLEARING.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.causes import FREESWITCH
from sippet_reconcile.cdr.freeswitch_links import relink
from sippet_reconcile.cdr.judge import by_cells
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sippet_reconcile.cdr.tables import Fields

__all__ = ["FORMATS"]

EXAMPLE: Final = (
    "caller_id_name",
    "caller_id_number",
    "destination_number",
    "context",
    "start_stamp",
    "answer_stamp",
    "end_stamp",
    "duration",
    "billsec",
    "hangup_cause",
    "uuid",
    "bleg_uuid",
    "accountcode",
    "read_codec",
    "write_codec",
)
"""Columns of the ``example`` template, which the vanilla configuration uses."""

LAYOUTS: Final = {
    len(EXAMPLE): EXAMPLE,
    len(EXAMPLE) + 2: (*EXAMPLE, "sip_user_agent", "sip_p_rtp_stat"),  # the ``linksys`` template
}

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_CAUSE: Final = re.compile(r"[A-Z][A-Z_]{3,}")


def _layouts(_: Sample) -> Mapping[int, tuple[str, ...]]:
    return LAYOUTS


def recognise(sample: Sample) -> Evidence:
    """Judge by where the uuid, the seconds and the cause stand; a bad start is the row's own problem."""
    if {column_key(name) for name in EXAMPLE} <= sample.names:
        return Evidence(1.0, ("the first row names the columns of the example template",))

    def fits(row: Sequence[str]) -> bool:
        cause = row[9].strip()
        return (
            _UUID.fullmatch(row[10].strip()) is not None
            and row[7].strip().isdigit()
            and row[8].strip().isdigit()
            and (not cause or _CAUSE.fullmatch(cause) is not None)
        )

    where = "a uuid stands in column 11, a hangup cause in 10, seconds in 8 and 9"
    return by_cells(sample, LAYOUTS, fits, columns="15 or 17", what=where)


def interpret(fields: Fields, _: Options) -> Record:
    """Give the columns of the template their meaning."""
    fields.prepare(EXAMPLE[1:13])
    uuid, account, context = fields["uuid"], fields["accountcode"], fields["context"]
    to_number, cause = fields["destination_number"], fields["hangup_cause"]
    unanswered = np.asarray(fields["answer_stamp"].is_null())
    public = pc.fill_null(pc.equal(context, "public"), fill_value=False)
    to_voicemail = np.asarray(pc.fill_null(pc.equal(to_number, "voicemail"), fill_value=False))
    lost_race = np.asarray(pc.fill_null(pc.equal(cause, "LOSE_RACE"), fill_value=False))
    return Record(
        started=fields["start_stamp"],
        answered=fields["answer_stamp"],
        ended=fields["end_stamp"],
        total=fields["duration"],
        billable=fields["billsec"],
        leg_id=uuid,
        call_key=uuid,
        linked_id=pc.coalesce(fields["bleg_uuid"], uuid),
        direction=pc.if_else(public, pa.scalar("inbound", uuid.type), pa.scalar(None, uuid.type)),
        from_number=fields["caller_id_number"],
        to_number=to_number,
        sip_username=account,
        word=cause,
        cause=cause,
        calls_out=~np.asarray(public),
        # A call that rings out into a mailbox leaves a second, unanswered leg to "voicemail".
        is_helper=lost_race | (to_voicemail & unanswered & np.asarray(account.is_null())),
    )


FORMATS: Final = (
    CdrFormat(
        name="freeswitch",
        title="FreeSWITCH mod_cdr_csv, example template",
        names={column_key(name): name for name in LAYOUTS[17]},
        statuses=FREESWITCH,
        recognise=recognise,
        interpret=interpret,
        layouts=_layouts,
        aliases=("mod-cdr-csv",),
        relink=relink,
        row_by_row=True,
    ),
)
