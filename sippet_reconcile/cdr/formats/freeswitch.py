"""FreeSWITCH ``mod_cdr_csv`` and ``mod_cdr_pg_csv``: one row per leg, no header, local time, in any shipped template.

The templates are those of ``cdr_csv.conf.xml``, the one compiled into ``mod_cdr_csv.c``
and that of ``mod_cdr_pg_csv.c``; an account code that is the name of a template chooses it
for that account's own file, so each file is told by its content. ``duration`` is the
total, ``billsec`` the time after the answer, both whole seconds; ``uuid`` is the key of a
leg, and ``bleg_uuid`` or ``signal_bond`` that of the leg it was bridged to. The ``sql``
template writes an INSERT statement for each row. A template of somebody's own is read if
it adds columns behind those of the compiled-in one; they are called ``column 14`` and so
on. Tables with a header of the same names (a copy with names, a database that is fed with
them) may hold them in any order, and epochs, which are UTC, beside the stamps.

The templates escape nothing, so a quote in a caller's name breaks a row; two write a blank
before ``accountcode``, and ``asterisk`` writes ``"Name" <number>`` inside quotes. A
default template that does not exist leaves all rows on one line, each ending in ``;``.
Answered is what has an answer stamp: half of the unanswered calls end with NORMAL_CLEARING.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.causes import FREESWITCH
from sippet_reconcile.cdr.families.freeswitch_links import lost_legs, relink
from sippet_reconcile.cdr.families.judge import by_cells
from sippet_reconcile.cdr.families.texts import equals
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key
from sippet_reconcile.cdr.tables import flags

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from sippet_reconcile.cdr.tables import Fields

__all__ = ["FORMATS"]

DEFAULT: Final = (
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
)
"""Columns of the template that is compiled in, and of ``sql``; all but two others begin with them."""

EXAMPLE: Final = (*DEFAULT, "read_codec", "write_codec")
"""Columns of the ``example`` template, which the vanilla configuration uses."""

ASTERISK: Final = (
    "accountcode",
    "caller_id_number",
    "destination_number",
    "context",
    "caller_id",
    "channel_name",
    "bridge_channel",
    "last_app",
    "last_arg",
    "start_stamp",
    "answer_stamp",
    "end_stamp",
    "duration",
    "billsec",
    "hangup_cause",
    "amaflags",
    "uuid",
    "userfield",
)
"""Columns of the ``asterisk`` template, and of the one that stands in for a template that does not exist."""

OPENCDRRATE: Final = (
    "uuid",
    "signal_bond",
    "direction",
    "ani",
    "destination_number",
    "answer_stamp",
    "end_stamp",
    "billsec",
    "accountcode",
    "userfield",
    "network_addr",
    "original_caller_id_name",
    "sip_gateway_name",
)
"""Columns of the ``opencdrrate`` template: neither a start nor a cause."""

LAYOUTS: Final = {
    len(EXAMPLE): EXAMPLE,
    len(DEFAULT): DEFAULT,
    len(EXAMPLE) + 1: ("local_ip_v4", *EXAMPLE),  # mod_cdr_pg_csv
    len(EXAMPLE) + 2: (*EXAMPLE, "sip_user_agent", "sip_p_rtp_stat"),  # linksys
    len(ASTERISK): ASTERISK,
    len(EXAMPLE) + 5: (*EXAMPLE, "sip_user_agent", "call_clientcode", "sip_rtp_rxstat", "sip_rtp_txstat", "sofia_record_file"),  # snom
}  # fmt: skip

_WITH_ADDRESS: Final = len(EXAMPLE) + 1

STARTED: Final = ("start_epoch", "start_uepoch", "start_stamp")
ANSWERED: Final = ("answer_epoch", "answer_uepoch", "answer_stamp")
ENDED: Final = ("end_epoch", "end_uepoch", "end_stamp")
"""Columns of each time, the surest first."""

_LINKS: Final = ("bleg_uuid", "signal_bond", "bridge_uuid")
_READ: Final = frozenset(
    {*STARTED, *ANSWERED, *ENDED, *_LINKS, *DEFAULT[1:], "ani", "direction", "sip_gateway_name"}
)
_NAMES: Final = {
    **{column_key(name): name for names in (*LAYOUTS.values(), OPENCDRRATE) for name in names},
    **{column_key(name): name for name in _READ},
    # The table that the sources give as an example for MySQL.
    **{f"{what}timestamp": f"{what}_stamp" for what in ("start", "answer", "end")},
}
_TELLING: Final = (
    {"uuid", "billsec", "hangup_cause", "destination_number"},
    {"uuid", "signal_bond", "ani", "billsec"},
)

_HEX: Final = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_UUID: Final = re.compile(_HEX)
_CAUSE: Final = re.compile(r"[A-Z][A-Z_0-9]{3,}")
_ADDRESS: Final = re.compile(r"\s*[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*\s*")
_LAST_OF_JOINED: Final = rf'"{_HEX}","[^"\n]*";'
_JOINED: Final = re.compile(rf"({_LAST_OF_JOINED})[ \t]*\n?".encode())

REPAIRS: Final = (
    (rf'("{_HEX}","[0-9A-Fa-f-]*"), "', r'\1,"'),  # default and snom: the blank before "accountcode"
    (r',""([^"\n]*)" <([^">\n]*)>",', r',"""\1"" <\2>",'),  # asterisk: "Name" <number> inside quotes
)


def _template(row: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that a row may have; two templates have equally many, and own ones add to the usual."""
    if len(row) == len(OPENCDRRATE) and _UUID.fullmatch(row[0].strip()):
        return OPENCDRRATE
    further = (f"column {place}" for place in range(len(DEFAULT) + 1, len(row) + 1))
    return LAYOUTS.get(len(row)) or (*DEFAULT, *further)


def _fits(row: Sequence[str]) -> bool:
    """Tell whether uuid, seconds and hangup cause stand where the template of that width has them."""
    if len(row) < len(DEFAULT):
        return False
    cells = dict(zip(_template(row), map(str.strip, row), strict=True))
    if _UUID.fullmatch(cells["uuid"]) is None or not cells["billsec"].isdigit():
        return False
    if "direction" in cells:
        return cells["direction"] in {"inbound", "outbound"}
    cause = cells["hangup_cause"]
    return cells["duration"].isdigit() and (not cause or _CAUSE.fullmatch(cause) is not None)


def _may_fit(row: Sequence[str]) -> bool:
    """Tell whether a row is one if somebody says so; other systems write as many fields as some templates have."""
    if len(row) in {len(EXAMPLE), len(DEFAULT)}:
        return True
    return len(row) in LAYOUTS and _UUID.fullmatch(row[_template(row).index("uuid")].strip()) is not None


def _own_widths(sample: Sample) -> set[int]:
    """Return the width of a template of somebody's own, which most rows have: the usual columns, then further ones."""
    widths = [len(row) for row in sample.rows if len(row) not in LAYOUTS and _fits(row)]
    usual = max(sorted(set(widths)), key=widths.count, default=0)
    return {usual} if 2 * widths.count(usual) > len(sample.rows) else set()


def _is_joined(sample: Sample) -> bool:
    """Tell whether rows stand on one line, each with a semicolon at its end."""
    return '";' in sample.text and re.search(_LAST_OF_JOINED, sample.text) is not None


def _layouts(sample: Sample) -> Mapping[int, tuple[str, ...]]:
    """Return the columns by width, those of most rows first."""
    if _is_joined(sample):
        return {len(ASTERISK): ASTERISK, **LAYOUTS}
    widths = LAYOUTS.keys() | _own_widths(sample)
    known = [_template(row) for row in sample.rows if len(row) in widths]
    if not known:
        return LAYOUTS
    usual = max(dict.fromkeys(known), key=known.count)
    layouts = {len(usual): usual, **LAYOUTS}
    addresses = (len(row) == _WITH_ADDRESS and _ADDRESS.fullmatch(row[0]) for row in sample.rows)
    if len(usual) != _WITH_ADDRESS and not any(addresses):
        del layouts[_WITH_ADDRESS]  # a name with a quote and a comma in it makes one field more, too
    if OPENCDRRATE in known and known.count(OPENCDRRATE) >= known.count(DEFAULT):
        layouts[len(OPENCDRRATE)] = OPENCDRRATE
    else:
        layouts[len(DEFAULT)] = DEFAULT
    return layouts


def _one_line_each(sample: Sample) -> Callable[[bytes], bytes] | None:
    """Return what puts the rows that one line holds on lines of their own, where there are such lines."""
    return _parted if _is_joined(sample) else None


def _parted(data: bytes) -> bytes:
    return _JOINED.sub(lambda found: found[1][:-1] + b"\n", data)


def recognise(sample: Sample) -> Evidence:
    """Judge by where the uuid, the seconds and the cause stand; a bad start is the row's own problem."""
    named = {_NAMES.get(name, name) for name in sample.names}
    if any(telling <= named for telling in _TELLING) and any(name in named for name in (*STARTED, *ENDED)):
        return Evidence(1.0, ("the first row names the columns of a FreeSWITCH CDR",))
    if _is_joined(sample):
        what = "rows of the asterisk template stand on one line, each with a semicolon at its end"
        return Evidence(1.0, (what,), is_possible=True)

    known = LAYOUTS.keys() | _own_widths(sample)
    widths = sorted({len(row) for row in sample.rows} & known) or sorted(known)
    where = "uuid, seconds and hangup cause stand where a template of mod_cdr_csv has them"
    evidence = by_cells(sample, known, _fits, columns=" or ".join(map(str, widths)), what=where)
    return replace(evidence, is_possible=0 < len(sample.rows) <= 2 * sum(map(_may_fit, sample.rows)))


def first_of(fields: Fields, names: Sequence[str]) -> Any:
    """Return the values of the first of several columns that has one; None where there is no such column."""
    found = [fields[name] for name in names if name in fields]
    if not found:
        return None
    return found[0] if len(found) == 1 or not found[0].null_count else pc.coalesce(*found)


def _helpers(fields: Fields, cause: Any, to_number: Any, account: Any) -> NDArray[np.bool_]:
    """Mark the legs that rang and lost, and the second leg of a call that rings out into a mailbox."""
    suspects = equals(to_number, "voicemail") & flags(account.is_null())
    return lost_legs(suspects, cause, first_of(fields, ANSWERED), fields["billsec"])


def _direction(fields: Fields, public: Any, text: Any) -> Any:
    """Return the direction of the call where a leg tells it.

    The direction of a leg is that towards the switch: a user's call out has an inbound leg
    and maybe an outbound one. Only a leg out through a gateway tells that of the call.
    """
    nothing, outbound = pa.scalar(None, text), pa.scalar("outbound", text)
    rest = nothing
    if "direction" in fields and "sip_gateway_name" in fields:
        leaves = pc.and_(pc.equal(fields["direction"], "outbound"), fields["sip_gateway_name"].is_valid())
        rest = pc.if_else(pc.fill_null(leaves, fill_value=False), outbound, nothing)
    return pc.if_else(public, pa.scalar("inbound", text), rest)


def interpret(fields: Fields, _: Options) -> Record:
    """Give the columns their meaning, whatever the template."""
    fields.prepare(name for name in fields.raw.columns if name in _READ)
    uuid, account, context = fields["uuid"], fields["accountcode"], fields["context"]
    to_number, cause = fields["destination_number"], fields["hangup_cause"]
    caller = first_of(fields, ("caller_id_number", "ani"))
    started = first_of(fields, STARTED)
    public = pc.fill_null(pc.equal(context, "public"), fill_value=False)
    return Record(
        started=pa.nulls(len(fields), uuid.type) if started is None else started,
        answered=first_of(fields, ANSWERED),
        ended=first_of(fields, ENDED),
        total=first_of(fields, ("duration",)),
        billable=first_of(fields, ("billsec",)),
        leg_id=uuid,
        call_key=uuid,
        linked_id=pc.coalesce(*(fields[name] for name in _LINKS if name in fields), uuid),
        direction=_direction(fields, public, uuid.type),
        from_number=caller,
        to_number=to_number,
        sip_username=account,
        word=cause,
        cause=cause,
        # Without a context nobody knows who called.
        calls_out=flags(context.is_valid()) & ~flags(public),
        is_helper=_helpers(fields, cause, to_number, account),
        # The opencdrrate template has no start: such rows are matched by their key alone.
        start_required=started is not None,
    )


FORMATS: Final = (
    CdrFormat(
        name="freeswitch",
        title="FreeSWITCH mod_cdr_csv",
        names=_NAMES,
        statuses=FREESWITCH,
        recognise=recognise,
        interpret=interpret,
        kinds=frozenset({"lines", "sql"}),
        layouts=_layouts,
        repairs=REPAIRS,
        one_line_each=_one_line_each,
        aliases=("mod-cdr-csv", "mod-cdr-pg-csv"),
        relink=relink,
        row_by_row=True,
    ),
)
