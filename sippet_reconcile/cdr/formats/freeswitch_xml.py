"""FreeSWITCH ``mod_xml_cdr``: one ``cdr`` element per leg, in a file of its own or many in one.

Values under ``variables`` are URL-encoded, those of the caller profiles are not; white
space may stand around any of them. A variable that the switch holds as a list is an
element that stands there several times. What a file is called says nothing: the ``a_``
before it is a setting.

See `sippet_reconcile.cdr.families.channel_variables` for the meaning of the variables, and
``mod_xml_cdr.c`` and ``switch_ivr_generate_xml_cdr`` in FreeSWITCH's source for the rest.
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
        name="freeswitch-xml",
        title="FreeSWITCH mod_xml_cdr",
        names=NAMES,
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        kinds=frozenset({"xml"}),
        paths=PATHS,
        tidy=decoded,
        aliases=("mod-xml-cdr",),
        relink=relink,
        row_by_row=True,
    ),
)
