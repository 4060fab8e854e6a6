"""FreeSWITCH ``mod_json_cdr``: one object per leg, in a file of its own or many in one.

All values are text. Those under ``variables`` are URL-encoded unless the switch was told
otherwise; those of the caller profiles under ``callflow`` never are. ``nan`` stands bare
where a call had no media, which JSON does not know. The same leg may be posted twice.

Flattened into a table, as pandas does it, its columns are called ``variables.uuid`` and so on.

See `sippet_reconcile.cdr.families.channel_variables` for the meaning of the variables, and
``mod_json_cdr.c`` and its sample configuration in FreeSWITCH's source for the rest.
"""

from __future__ import annotations

from typing import Final

from sippet_reconcile.cdr.families.channel_variables import (
    NAMES,
    PATHS,
    STATUSES,
    decoded,
    interpret,
    recognise,
)
from sippet_reconcile.cdr.families.freeswitch_links import relink
from sippet_reconcile.cdr.spec import CdrFormat

__all__ = ["FORMATS"]

FORMATS: Final = (
    CdrFormat(
        name="freeswitch-json",
        title="FreeSWITCH mod_json_cdr",
        names=NAMES,
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        kinds=frozenset({"json", "lines"}),
        paths=PATHS,
        tidy=decoded,
        aliases=("mod-json-cdr",),
        relink=relink,
        row_by_row=True,
    ),
)
