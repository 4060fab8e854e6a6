"""Whatever happens to a file on its way, it is read honestly or refused: no row lost, none misread, no crash."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr.formats import all_formats, format_named
from sippet_reconcile.cdr.spec import column_key
from sippet_reconcile.schema import LEGS, check_frame

N_SEEDS = 500
N_DEFAULT = 60  # of each of the two kinds of files; the others are slow
GUARD_S = 60
MOST_BYTES = 40_000  # of a real file; its first lines stand for all

# ---------------------------------------------------------------- invented exports


class Call(NamedTuple):
    """One invented call; `talk` is 0 where nobody answered."""

    n: int
    at: int
    ring: int
    talk: int

    def stamp(self, offset: int = 0, between: str = " ") -> str:
        return datetime.fromtimestamp(self.at + offset, UTC).strftime(f"%Y-%m-%d{between}%H:%M:%S")

    @property
    def answer(self) -> str:
        return self.stamp(self.ring) if self.talk else ""

    @property
    def end(self) -> str:
        return self.stamp(self.total)

    @property
    def total(self) -> int:
        return self.ring + self.talk

    @property
    def uuid(self) -> str:
        return f"8c1f3c52-0000-4000-8000-{self.n:012d}"

    @property
    def name(self) -> str:
        return ("Ann", "Zoë, Example", "O'Neil", "Пример")[self.n % 4]

    @property
    def to(self) -> str:
        return f"+44207946{self.n % 1000:04d}"

    @property
    def word(self) -> str:
        return "ANSWERED" if self.talk else ("NO ANSWER", "BUSY", "FAILED")[self.n % 3]

    @property
    def cause(self) -> str:
        return "NORMAL_CLEARING" if self.talk else ("ORIGINATOR_CANCEL", "USER_BUSY", "NO_ANSWER")[self.n % 3]


CALLS = [
    Call(n, 1_790_845_200 + 97 * n, 3 + n % 20, 0 if n % 4 == 2 else 10 + 13 * n % 300) for n in range(1, 15)
]  # from 2026-10-01 09:00 UTC on


def clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def table(
    rows: list[dict[str, Any]], *, header: bool = True, end: str = "\n", quoting: Any = csv.QUOTE_MINIMAL
) -> bytes:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator=end, quoting=quoting)
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def asterisk(c: Call) -> dict[str, Any]:
    return {
        "accountcode": "", "src": "1001", "dst": c.to, "dcontext": "from-internal", "clid": f'"{c.name}" <1001>',
        "channel": f"PJSIP/1001-{c.n:08x}", "dstchannel": f"PJSIP/trunk-{c.n:08x}", "lastapp": "Dial", "lastdata": f"PJSIP/{c.to}@trunk,60",
        "start": c.stamp(), "answer": c.answer, "end": c.end, "duration": c.total, "billsec": c.talk, "disposition": c.word,
        "amaflags": "DOCUMENTATION", "uniqueid": f"{c.at}.{c.n}", "userfield": "",
    }  # fmt: skip


def asterisk_21(c: Call) -> dict[str, Any]:
    return {**asterisk(c), "peeraccount": "", "linkedid": f"{c.at}.{c.n}", "sequence": c.n}


def custom(c: Call) -> dict[str, Any]:
    row = asterisk_21(c)
    order = ("clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer", "end", "duration",
             "billsec", "disposition", "amaflags", "accountcode", "uniqueid", "userfield", "sequence")  # fmt: skip
    return {name: row[name] for name in order}


def freepbx(c: Call) -> dict[str, Any]:
    row = asterisk(c)
    order = ("clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "duration", "billsec", "disposition",
             "amaflags", "accountcode", "uniqueid", "userfield")  # fmt: skip
    return {"calldate": c.stamp(), **{name: row[name] for name in order}}


def grandstream(c: Call) -> dict[str, Any]:
    return {
        "Account Code": "", "Caller Number": c.to, "Callee Number": "1002", "Context": "from-internal",
        "CallerID Number": f'"{c.name}" <{c.to}>', "Source Channel": f"PJSIP/trunk_1-{c.n:08x}", "Dest. Channel": f"PJSIP/1002-{c.n:08x}",
        "Last app.": "Dial", "Last date": "PJSIP/1002,60,tT", "Start Time": c.stamp(), "Answer Time": c.answer, "End Time": c.end,
        "Call Time": c.total, "Talk Time": c.talk, "Disposition": c.word, "AMA Flags": "DOCUMENTATION", "Unique ID": f"{c.at}.{c.n}",
        "Log Userfield": "Inbound", "Dest Channel Extension": "1002", "Caller Name": c.name, "Answered by": "1002",
        "Session": f"{c.at}{c.n:06d}-{c.to}", "Premier Caller": c.to, "Action Type": "DIAL", "Source Trunk Name": "TRUNK",
        "Destination Trunk Name": "",
    }  # fmt: skip


INTERFACE = (
    "AcctId,accountcode,src,dst,dcontext,clid,channel,dstchannel,lastapp,lastdata,start,answer,end,duration,billsec,"
    "disposition,amaflags,uniqueid,userfield,channel_ext,dstchannel_ext,service\n"
)


def interface(c: Call) -> str:
    return (
        f'{c.n},,5300,5301,from-internal,"pn01" <5300>,SIP/5300-{c.n:08x},SIP/5301-{c.n:08x},Dial,SIP/5301,60,,'
        f"{c.stamp()},{c.answer},{c.end},{c.total},{c.talk},{c.word},DOCUMENTATION,{c.at}.{c.n},Internal,5300,5301,s\n"
    )


PBXWARE = (
    "AcctId,tenant,clid,src,dst,dcontext,channel,dstchannel,lastapp,lastdata,calldate,duration,billsec,billamount,disposition,"
    "amaflags,accountcode,uniqueid,userfield,linkedid,sequence,agiuniqueid,trunk,did,sipcallid,inboundsipcallid\n"
)


def pbxware(c: Call) -> str:
    return (
        f'{c.n},NULL,""{c.name}" <1001>",1001,{c.to},default,PJSIP/1001-{c.n:08x},PJSIP/Trunk-{c.n:08x},Dial,"PJSIP/{c.to}@Trunk,,X",'
        f'"{c.stamp()}",{c.total},{c.talk},NULL,{c.word},3,1001,{c.at}.{c.n},NULL,{c.at}.{c.n},{c.n},{c.at}.{c.n},Trunk,NULL,NULL,NULL\n'
    )


def freeswitch(c: Call) -> str:
    cells = (c.name.replace(",", " "), "1001", c.to, "default", c.stamp(), c.answer, c.end, c.total, c.talk, c.cause, c.uuid, "", "1001",
             "PCMU", "PCMU")  # fmt: skip
    return ",".join(f'"{cell}"' for cell in cells) + "\n"


def variables(c: Call) -> dict[str, str]:
    return {
        "direction": "inbound", "uuid": c.uuid, "call_uuid": c.uuid, "user_name": "ann", "sip_from_user": "1001",
        "channel_name": "sofia/internal/1001@pbx.example", "start_stamp": c.stamp(), "answer_stamp": c.answer, "end_stamp": c.end,
        "start_epoch": str(c.at), "answer_epoch": str(c.at + c.ring if c.talk else 0), "end_epoch": str(c.at + c.total),
        "duration": str(c.total), "billsec": str(c.talk), "hangup_cause": c.cause,
    }  # fmt: skip


def freeswitch_json(c: Call) -> str:
    profile = {"caller_id_number": "1001", "destination_number": c.to, "uuid": c.uuid, "context": "default"}
    return json.dumps(
        {
            "core-uuid": "x",
            "channel_data": {"state": "CS_REPORTING", "direction": "inbound"},
            "variables": variables(c),
            "callflow": [{"caller_profile": profile}],
        }
    )


def freeswitch_xml(c: Call) -> str:
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in variables(c).items())
    profile = f"<caller_id_number>1001</caller_id_number><destination_number>{c.to}</destination_number><context>default</context>"
    return (
        f"<cdr core-uuid='x'><channel_data><state>CS</state></channel_data><variables>{inside}</variables>"
        f"<callflow dialplan='XML'><caller_profile>{profile}</caller_profile></callflow></cdr>\n"
    )


def fusionpbx(c: Call) -> dict[str, Any]:
    return {
        "domain_uuid": "f0000000-0000-4000-8000-000000000001", "extension": "1001", "start_stamp": f"{c.stamp()}+00",
        "end_stamp": f"{c.end}+00", "start_epoch": c.at, "hangup_cause": c.cause, "duration": c.talk, "billmsec": c.talk * 1000,
        "xml_cdr_uuid": c.uuid, "bridge_uuid": "", "direction": "outbound", "billsec": c.talk, "caller_id_name": c.name,
        "caller_id_number": "1001", "destination_number": c.to.removeprefix("+"), "leg": "a", "read_codec": "PCMU",
        "answer_stamp": f"{c.answer}+00" if c.talk else "1970-01-01 00:00:00+00", "status": "answered" if c.talk else "no_answer",
    }  # fmt: skip


def cisco(c: Call) -> str:
    return (
        f'1,2,{c.n},{2 * c.n},{c.at},"1001",0,{2 * c.n + 1},"{c.to}","{c.to}",{16 if c.talk else 17},'
        f'{c.at + c.ring if c.talk else 0},{c.at + c.total},"","{c.uuid}",{c.talk},"SEP0000000000A1","SEP0000000000A2","cluster1"\n'
    )


CISCO = (
    "cdrRecordType,globalCallID_callManagerId,globalCallID_callId,origLegCallIdentifier,dateTimeOrigination,callingPartyNumber,"
    "origCause_value,destLegIdentifier,originalCalledPartyNumber,finalCalledPartyNumber,destCause_value,dateTimeConnect,"
    "dateTimeDisconnect,lastRedirectDn,pkid,duration,origDeviceName,destDeviceName,globalCallId_ClusterID"
)
CISCO_TYPES = ",".join(
    "VARCHAR(50)" if re.search("Number|Name|Dn|pkid|Cluster", name) else "INTEGER"
    for name in CISCO.split(",")
)
CISCO_HEAD = ",".join(f'"{name}"' for name in CISCO.split(",")) + f"\n{CISCO_TYPES}\n"


def threecx_log(c: Call) -> dict[str, Any]:
    return {
        "Call Time": c.stamp(between="T"), "Caller ID": c.to, "Destination": "Ann (801)", "Trunk": "Trunk", "Trunk number": "10004",
        "Did": "442079460100", "Status": "Answered" if c.talk else "Unanswered", "Ringing": clock(c.ring), "Talking": clock(c.talk),
        "Total Duration": clock(c.total),
    }  # fmt: skip


def threecx_cdr(c: Call) -> str:
    start, answer, end = (text.replace("-", "/") for text in (c.stamp(), c.answer, c.end))
    return (
        f"Call {c.n},{c.at:010X}_{c.n},{clock(c.talk).zfill(8)},{start},{answer},{end},TerminatedBySrc,Ext.101,{c.to},101,10001,{c.to},,"
        f"{c.to},10001,,,0.43,,Chain: Ext.101;{c.to};,Extension,Line,Line,Ann,,,\n"
    )


def avaya(c: Call) -> dict[str, Any]:
    return {
        "Call Start": c.stamp().replace("-", "/"), "Connected Time": clock(c.talk).zfill(8), "Ring Time": c.ring, "Caller": c.to,
        "Direction": "I", "Called Number": "1002", "Dialled Number": "02079460100", "Account": "", "Is Internal": 0,
        "Call ID": 1_000_000 + c.n, "Continuation": 0, "Party1Device": "E1002", "Party1Name": c.name, "Party2Device": "T9001",
        "Party2Name": "Line 1.1", "Hold Time": 0, "Park Time": 0,
    }  # fmt: skip


def cdr_stats(c: Call) -> dict[str, Any]:
    names = ("switch,cdr_source_type,callid,caller_id_number,caller_id_name,destination_number,dialcode,state,channel,starting_date,"
             "duration,billsec,progresssec,answersec,waitsec,hangup_cause_id,hangup_cause,direction,country_code,accountcode,"
             "buy_rate,buy_cost,sell_rate,sell_cost,extradata")  # fmt: skip
    return {
        **dict.fromkeys(names.split(","), ""), "switch": "192.0.2.1", "cdr_source_type": 1, "callid": c.uuid, "caller_id_number": "1001",
        "caller_id_name": "Ann", "destination_number": c.to, "starting_date": c.stamp(), "duration": c.total, "billsec": c.talk,
        "hangup_cause_id": 16 if c.talk else 17, "direction": 1, "extradata": "{}",
    }  # fmt: skip


def narrow_stats(c: Call) -> str:
    answer = f"{c.at + c.ring}" if c.talk else "0"
    return (
        f"1001, Ann, {c.to}, {c.total}, {c.talk}, {16 if c.talk else 17}, inbound, {c.uuid}, 192.0.2.1, {c.at}, {answer}, "
        f"{c.at + c.total}, {c.total * 1000}, {c.talk * 1000}, PCMU, PCMU\n"
    )


def twilio(c: Call) -> dict[str, Any]:
    return {
        "sid": f"CA{c.n:032d}", "parent_call_sid": "", "from": "+12125550123", "to": c.to, "status": "completed" if c.talk else "no-answer",
        "start_time": f"{c.stamp(between='T')}Z", "end_time": f"{c.stamp(c.talk, 'T')}Z", "duration": str(c.talk), "price": "-0.0200",
        "direction": "outbound-api",
    }  # fmt: skip


def plivo(c: Call) -> dict[str, Any]:
    return {
        "call_uuid": c.uuid, "parent_call_uuid": "", "call_direction": "outbound", "from_number": "+12125550123", "to_number": c.to,
        "initiation_time": f"{c.stamp()}+00:00", "answer_time": f"{c.answer}+00:00" if c.talk else "", "end_time": f"{c.end}+00:00",
        "call_duration": c.talk, "bill_duration": c.talk, "billed_duration": 60 * (c.talk // 60 + 1), "total_amount": "0.01000",
        "resource_uri": f"/v1/Account/NOBODY/Call/{c.uuid}/",
    }  # fmt: skip


def vonage(c: Call) -> dict[str, Any]:
    return {
        "uuid": c.uuid, "conversation_uuid": f"CON-{c.uuid}", "direction": "outbound", "status": "completed" if c.talk else "busy",
        "start_time": f"{c.stamp(between='T')}.000Z", "end_time": f"{c.stamp(c.talk, 'T')}.000Z", "duration": str(c.talk),
        "from": {"type": "phone", "number": "12125550123"}, "to": {"type": "phone", "number": c.to[1:]}, "price": "0.0033",
        "network": "23420", "_links": {"self": {"href": f"/v1/calls/{c.uuid}"}},
    }  # fmt: skip


def vonage_report(c: Call) -> dict[str, Any]:
    return {
        "account_id": "nobody", "call_id": c.uuid, "direction": "outbound", "from": "12125550123", "to": c.to[1:],
        "date_start": f"{c.stamp(between='T')}+0000", "date_end": f"{c.stamp(c.talk, 'T')}+0000", "duration": c.talk,
        "status": "completed" if c.talk else "busy", "currency": "EUR", "total_price": "0.0033",
    }  # fmt: skip


def telnyx(c: Call) -> dict[str, Any]:
    return {
        "record_type": "sip-trunking", "id": c.uuid, "telnyx_session_id": c.uuid, "started_at": f"{c.stamp(between='T')}Z",
        "answered_at": f"{c.stamp(c.ring, 'T')}Z" if c.talk else None, "finished_at": f"{c.stamp(c.total, 'T')}Z", "call_sec": c.talk,
        "billed_sec": c.talk, "cost": "1.687E-4", "currency": "USD", "cli": "+12125550123", "cld": c.to, "direction": "outbound",
        "hangup_cause": "normal_clearing" if c.talk else "user_busy",
    }  # fmt: skip


def kazoo(c: Call) -> dict[str, Any]:
    return {
        "id": f"202610-{c.n}", "call_id": f"{c.uuid}@pbx.example", "caller_id_number": "1001", "caller_id_name": c.name,
        "callee_id_number": c.to, "duration_seconds": str(c.total), "billing_seconds": str(c.talk), "timestamp": str(c.at + 62_167_219_200),
        "hangup_cause": c.cause, "to": f"{c.to}@pbx.example", "from": "1001@pbx.example", "direction": "inbound",
        "request": f"{c.to}@pbx.example", "unix_timestamp": str(c.at), "interaction_id": f"{c.n}-abc",
    }  # fmt: skip


def literal(value: Any) -> str:
    return (
        str(value)
        if isinstance(value, int)
        else "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
    )


def inserted(*, names: bool) -> bytes:
    rows = [freepbx(c) for c in CALLS]
    listed = f" ({', '.join(f'`{name}`' for name in rows[0])})" if names else ""
    tuples = [f"({','.join(map(literal, row.values()))})" for row in rows]
    into = f"INSERT INTO `cdr`{listed} VALUES"
    one_each = "".join(f"{into} {row};\n" for row in tuples[:7])
    together = ",\n".join(tuples[7:])
    return f"-- a dump\n{one_each}{into}\n{together};\n".encode()


def written(write: Callable[[Call], str], head: str = "") -> bytes:
    return (head + "".join(map(write, CALLS))).encode()


def rows_of(make: Callable[[Call], dict[str, Any]]) -> list[dict[str, Any]]:
    return [make(c) for c in CALLS]


def as_json(**document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode()


INVENTED: dict[str, tuple[str, bytes]] = {
    "asterisk": ("asterisk", table(rows_of(asterisk), header=False, quoting=csv.QUOTE_NONNUMERIC)),
    "asterisk, 21 columns": ("asterisk", table(rows_of(asterisk_21), header=False, quoting=csv.QUOTE_NONNUMERIC)),
    "asterisk-custom": ("asterisk-custom", table(rows_of(custom), header=False, quoting=csv.QUOTE_ALL)),
    "asterisk-custom, JSON": ("asterisk-custom", "".join(json.dumps(custom(c)) + "\n" for c in CALLS).encode()),
    "asterisk-sql": ("asterisk-sql", inserted(names=False)),
    "asterisk-sql, names": ("asterisk-sql", inserted(names=True)),
    "avaya-smdr": ("avaya-smdr", table(rows_of(avaya))),
    "avaya-smdr, no header": ("avaya-smdr", table(rows_of(avaya), header=False, end="\r\n")),
    "cdr-stats": ("cdr-stats", table(rows_of(cdr_stats))),
    "cdr-stats, narrow": ("cdr-stats", written(narrow_stats)),
    "cisco-cucm": ("cisco-cucm", written(cisco, CISCO_HEAD).rstrip(b"\n")),
    "freepbx": ("freepbx", table(rows_of(freepbx))),
    "freepbx, no header": ("freepbx", table(rows_of(freepbx), header=False)),
    "freeswitch": ("freeswitch", written(freeswitch)),
    "freeswitch-json": ("freeswitch-json", written(lambda c: freeswitch_json(c) + "\n")),
    "freeswitch-xml": ("freeswitch-xml", written(freeswitch_xml)),
    "fusionpbx": ("fusionpbx", table(rows_of(fusionpbx), quoting=csv.QUOTE_ALL)),
    "grandstream": ("grandstream", table(rows_of(grandstream), end="\r\n")),
    "grandstream, interface": ("grandstream", written(interface, INTERFACE)),
    "kazoo": ("kazoo", as_json(data=rows_of(kazoo), status="success")),
    "kazoo, CSV": ("kazoo", table(rows_of(kazoo))),
    "pbxware": ("pbxware", written(pbxware, PBXWARE)),
    "plivo": ("plivo", as_json(api_id="a", meta={"limit": 20}, objects=rows_of(plivo))),
    "plivo, CSV": ("plivo", table(rows_of(plivo))),
    "telnyx": ("telnyx", as_json(data=rows_of(telnyx), meta={"page_number": 1})),
    "telnyx, CSV": ("telnyx", table(rows_of(telnyx))),
    "3cx-cdr": ("3cx-cdr", written(threecx_cdr)),
    "3cx-log": ("3cx-log", b"\xef\xbb\xbf" + table(rows_of(threecx_log), end="\r\n")),
    "twilio": ("twilio", as_json(calls=rows_of(twilio), page=0)),
    "twilio, CSV": ("twilio", table(rows_of(twilio), quoting=csv.QUOTE_ALL)),
    "vonage": ("vonage", as_json(count=14, _embedded={"calls": rows_of(vonage)})),
    "vonage, CSV": ("vonage", table(rows_of(vonage_report))),
}  # fmt: skip
"""What each file is called here: its format and its bytes."""

# ---------------------------------------------------------------- mutations

Mutation = Callable[[bytes, random.Random, bytes], bytes]


def some_place(data: bytes, rng: random.Random) -> int:
    return rng.randrange(len(data) + 1)


def stretch(data: bytes, rng: random.Random, most: int = 400) -> tuple[int, int]:
    begin = some_place(data, rng)
    return begin, min(len(data), begin + rng.randint(1, most))


def cut_end(data: bytes, rng: random.Random, _: bytes) -> bytes:
    return data[: some_place(data, rng)]


def cut_begin(data: bytes, rng: random.Random, _: bytes) -> bytes:
    return data[some_place(data, rng) :]


def flip(data: bytes, rng: random.Random, _: bytes) -> bytes:
    changed = bytearray(data)
    for _n in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def double(data: bytes, rng: random.Random, _: bytes) -> bytes:
    begin, end = stretch(data, rng, 2000)
    return data[:end] + data[begin:end] + data[end:]


def delete(data: bytes, rng: random.Random, _: bytes) -> bytes:
    begin, end = stretch(data, rng)
    return data[:begin] + data[end:]


def inserting(*words: bytes) -> Mutation:
    def insert(data: bytes, rng: random.Random, _: bytes) -> bytes:
        for _n in range(rng.randint(1, 4)):
            at = some_place(data, rng)
            data = data[:at] + rng.choice(words) + data[at:]
        return data

    return insert


def removing(*words: bytes) -> Mutation:
    def remove(data: bytes, rng: random.Random, _: bytes) -> bytes:
        for _n in range(rng.randint(1, 4)):
            word = rng.choice(words)
            places = [match.start() for match in re.finditer(re.escape(word), data)]
            if places:
                at = rng.choice(places)
                data = data[:at] + data[at + len(word) :]
        return data

    return remove


def lines_of(data: bytes) -> list[bytes]:
    """Return the physical lines without their ends; nothing follows the last line end."""
    found = re.split(rb"\r\n|\r|\n", data)
    return found[:-1] if found[-1] == b"" else found


def shuffle(data: bytes, rng: random.Random, _: bytes) -> bytes:
    """Shuffle the lines, the first of them only now and then."""
    lines = lines_of(data)
    kept = rng.choice((0, 1, 1, 2))
    rest = lines[kept:]
    rng.shuffle(rest)
    return b"\n".join(lines[:kept] + rest) + b"\n"


def mix_ends(data: bytes, rng: random.Random, _: bytes) -> bytes:
    return b"".join(line + rng.choice((b"\n", b"\r\n", b"\r", b"\n\n", b" \r\n")) for line in lines_of(data))


def drop_lines(data: bytes, rng: random.Random, _: bytes) -> bytes:
    return b"\n".join(line for line in lines_of(data) if rng.random() > 0.2) + b"\n"


def nuls(data: bytes, rng: random.Random, _: bytes) -> bytes:
    begin, end = stretch(data, rng, 40)
    middle = b"\0" * (end - begin)
    return data[:begin] + middle + (data[end:] if rng.random() < 0.5 else data[begin:])


def concatenate(data: bytes, rng: random.Random, other: bytes) -> bytes:
    return data + rng.choice((b"", b"\n", b"\n\xef\xbb\xbf")) + other


MUTATIONS: dict[str, Mutation] = {
    "cut end": cut_end,
    "cut begin": cut_begin,
    "flip": flip,
    "double": double,
    "delete": delete,
    "insert quotes": inserting(b'"', b'""', b"'", b'","', b'\\"'),
    "remove quotes": removing(b'"', b"'"),
    "insert delimiters": inserting(b",", b";", b"\t", b"|", b", "),
    "remove delimiters": removing(b",", b", "),
    "insert brackets": inserting(b"{", b"}", b"[", b"]", b"(", b")", b"<", b">"),
    "insert line ends": inserting(b"\n", b"\r", b"\r\n"),
    "remove line ends": removing(b"\n", b"\r\n"),
    "nuls": nuls,
    "marks": inserting(b"\xef\xbb\xbf", b"\xff\xfe", b"\x1a", b"\x1f", b"\x85", b"\xe2\x80\xa8"),
    "mix ends": mix_ends,
    "shuffle": shuffle,
    "drop lines": drop_lines,
    "concatenate": concatenate,
}

ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "UTF-16 with a mark": lambda text: text.encode("utf-16"),
    "UTF-16-BE with a mark": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without": lambda text: text.encode("utf-16-le"),
    "UTF-16-BE without": lambda text: text.encode("utf-16-be"),
    "Latin-1": lambda text: text.encode("latin-1", "replace"),
    "a mark": lambda text: text.encode("utf-8-sig"),
}


@dataclass(frozen=True)
class Mutant:
    """A file, what was done to it, and its bytes as they were before they were encoded and packed."""

    name: str
    how: tuple[str, ...]
    plain: bytes
    data: bytes
    other: str | None = None

    def __str__(self) -> str:
        return f"{self.name}: {', '.join(self.how)}"


Files = dict[str, tuple[str, bytes]]


def mutant_of(files: Files, seed: int) -> Mutant:
    """Return what a seed makes of one of the files; seeds that follow each other take different files."""
    rng = random.Random(seed)  # noqa: S311 - the same for the same seed is what is wanted
    names = sorted(files)
    name = names[seed % len(names)]
    other = rng.choice([n for n in names if files[n][0] != files[name][0]])
    plain = files[name][1]
    how = rng.choices(list(MUTATIONS), k=rng.choice((1, 1, 1, 2, 3)))
    for step in how:
        plain = MUTATIONS[step](plain, rng, files[other][1])
    data = plain
    if rng.random() < 0.15:
        encoding = rng.choice(list(ENCODINGS))
        data = ENCODINGS[encoding](plain.decode("utf-8", "replace"))
        how = [*how, encoding]
    if rng.random() < 0.05:
        data = gzip.compress(data, mtime=0)
        data = data[: rng.randint(len(data) // 2, len(data))]
        how = [*how, "gz"]
    if "concatenate" in how:
        how = [*how, f"with {other}"]
    return Mutant(name, tuple(how), plain, data, other if "concatenate" in how else None)


# ---------------------------------------------------------------- what must hold

WHOLE_FILE = ["source_file", "source_row", "source_sha256", "linked_id", "is_helper"]
INSTANTS = ["started_at", "answered_at", "ended_at", "time_problem"]
MAY_ASK = re.compile(r"timezone=|dayfirst=|cannot be unpacked|damaged|cut off|copy it again")


@contextmanager
def guarded() -> Iterator[None]:
    """Fail where something takes longer than anything may."""

    def too_long(_: int, __: FrameType | None) -> None:
        msg = f"reading took longer than {GUARD_S} s"
        raise TimeoutError(msg)

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(GUARD_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def read(data: bytes, **options: Any) -> pd.DataFrame | sr.InputError:
    """Return the legs, or the error; any other exception is a failure."""
    try:
        with guarded():
            return sr.read_cdr(io.BytesIO(data), progress=False, **options)
    except sr.CdrFormatError as exc:
        return exc
    except sr.InputError as exc:
        if MAY_ASK.search(str(exc)) is None:
            raise
        return exc


Values = dict[str, set[Any]]


OF_OTHER_ROWS = {
    # A call id that comes again is another call's, and a later segment has no start of its own.
    "avaya-smdr": ("leg_id", *INSTANTS, "total_s"),
    # Whether a queue or a menu was the end of the call, other legs tell.
    "grandstream": ("status",),
    # Stops of one call follow each other.
    "3cx-log": ("call_key", "leg_id", "status"),
}
"""What the rows beside a row may change."""

CORE = (
    "started_at",
    "answered_at",
    "ended_at",
    "call_key",
    "from_number",
    "to_number",
    "total_s",
    "billable_s",
    "direction",
)


def values(legs: pd.DataFrame, *, with_instants: bool) -> Values:
    """Return what the rows say, by their hashes."""
    left_out = [*WHOLE_FILE, *([] if with_instants else INSTANTS)]
    for format_name in legs["format"].unique():
        left_out += OF_OTHER_ROWS.get(format_name, ())
    told = legs.drop(columns=list(dict.fromkeys(left_out))).astype(object)
    told = told.where(told.notna(), None)  # what is missing is equal
    found: Values = {}
    for row in told.itertuples(index=False):
        found.setdefault(row.record_hash, set()).add(row)
    return found


@lru_cache(maxsize=256)
def unmutated(data: bytes, format_name: str, zone: str | None) -> Values | None:
    """Return what the whole file says; None where it cannot be read so."""
    legs = read(data, format=format_name, timezone=zone)
    if isinstance(legs, sr.InputError):
        return None
    return values(legs, with_instants=zone is not None)


def check_frame_of_legs(legs: pd.DataFrame, mutant: Mutant) -> None:
    check_frame(legs, LEGS)
    assert legs["record_hash"].notna().all()
    usable = legs[legs["problem"].isna()]
    keyed = usable["started_at"].notna() | usable["call_key"].notna() | usable["time_problem"].notna()
    assert keyed.all(), usable[~keyed]
    n_marks = len(re.findall(rb"[{\[<(]", mutant.plain))
    n_lines = len(lines_of(mutant.plain))
    assert legs["source_row"].between(1, n_lines + n_marks + 1).all()
    assert len(legs) <= n_lines + n_marks + 1


def is_lines(data: bytes) -> bool:
    head = data.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return head[:1] not in {b"{", b"[", b"<", b"("} and not re.match(
        rb"(--|/\*|insert|create|set|use|drop)\b|--|/\*", head
    )


def are_joined(mutant: Mutant, format_name: str) -> bool:
    """Tell whether semicolons came in, by which FreeSWITCH puts several rows on one line: rows are then counted."""
    return format_name == "freeswitch" and "insert delimiters" in mutant.how


def check_lines(legs: pd.DataFrame, mutant: Mutant, format_name: str) -> None:
    """Each line is a row, a part of the quoted value of a row before it, or no record."""
    lines = [line.removeprefix(b"\xef\xbb\xbf") for line in lines_of(mutant.plain)]
    rows = legs["source_row"].astype(int).tolist()
    assert rows == sorted(set(rows)), "two rows of one line"
    assert not rows or rows[-1] <= len(lines)
    names = format_named(format_name).names
    found = set(rows)
    last = 0
    for number, line in enumerate(lines, start=1):
        if number in found:
            last = number
            continue
        text = line.decode("utf-8", "replace").replace("\0", "")
        if not text.strip(" \t\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u2028"):
            continue
        cells = re.split(r"[,;\t|]", text.replace('"', ""))
        is_header = sum(column_key(cell) in names for cell in cells) > len(cells) / 3
        is_types = len(re.findall("INTEGER|VARCHAR", text)) > 3
        is_totals = text.lstrip('"').lower().startswith("total")
        before = b"\n".join(lines[last - 1 : number - 1]) if last else b""
        goes_on = before.count(b'"') % 2 == 1
        assert is_header or is_types or is_totals or goes_on, f"line {number} is nowhere: {text[:80]!r}"


@lru_cache(maxsize=256)
def hashes_of_lines(data: bytes, format_name: str) -> dict[bytes, str]:
    """Return the hash of the record on each line; nothing where records have several lines, or lines several records."""
    legs = read(data, format=format_name, timezone="UTC")
    lines = [line for line in lines_of(data) if line.strip()] if not is_lines(data) else []
    is_sql = format_name == "asterisk-sql"
    if isinstance(legs, sr.InputError) or not (is_sql or len(lines) == len(legs) > 1):
        return {}
    places = legs["source_row"].astype(int)
    if not places.is_unique:
        return {}
    lines = lines_of(data) if is_sql else lines
    return {lines[place - 1]: key for place, key in zip(places, legs["record_hash"], strict=True)}


def check_intact(legs: pd.DataFrame, mutant: Mutant, original: bytes, format_name: str) -> None:
    """Each whole line of JSON, XML or SQL is a record, whatever stands around it."""
    known = hashes_of_lines(original, format_name)
    if (
        format_name == "asterisk-sql"
    ):  # where an INSERT was damaged, the rows behind it are there with a problem
        broken = dict(zip(legs["source_row"], legs["problem"].notna(), strict=True))
        places = {n for n, line in enumerate(lines_of(mutant.plain), start=1) if line in known}
        # An open quote takes what follows for its value, up to where a row certainly begins.
        places -= {n for n in places if broken[max((row for row in broken if row <= n), default=min(broken))]}
        told = "no record" in str(legs.attrs) or "left out" in str(
            legs.attrs
        )  # as rows of a table with other columns
        assert told or places <= set(legs["source_row"]), (
            f"lines {places - set(legs['source_row'])} are nowhere"
        )
        return
    expected = Counter(known[line] for line in lines_of(mutant.plain) if line in known)
    missing = expected - Counter(legs["record_hash"])
    assert not missing, f"{missing.total()} of {expected.total()} whole records are nowhere"


def check_same(now: Values, then: Values, columns: tuple[str, ...] | None) -> None:
    """Rows whose hash is unchanged say what they said; some columns may be missing instead."""
    for key, said in now.items():
        for row in said if key in then else ():
            if columns is None:
                assert row in then[key], f"{row} was {then[key]}"
                continue
            assert any(
                all(getattr(row, name, None) in {None, getattr(other, name, None)} for name in columns)
                for other in then[key]
            ), f"{row} was {then[key]}"


def check(mutant: Mutant, files: Files) -> None:
    format_name, original = files[mutant.name]
    other_name, other_data = files[mutant.other] if mutant.other else (None, b"")
    for asked in ("auto", format_name):
        for zone in (None, "UTC"):
            legs = read(mutant.data, format=asked, timezone=zone)
            if isinstance(legs, sr.InputError):
                continue
            check_frame_of_legs(legs, mutant)
            if legs.empty:
                continue
            taken = legs.loc[0, "format"]
            usable = legs[legs["problem"].isna()]
            if len(usable):
                assert taken in {format_name, other_name}, f"{len(usable)} usable rows as {taken}"
            plain = unmutated(original, format_name, zone)
            foreign = unmutated(other_data, other_name, zone) if other_name else None
            if taken != format_name:
                plain, foreign = foreign, plain
            if is_lines(mutant.plain) and not are_joined(mutant, taken):
                check_lines(legs, mutant, taken)
            elif taken == format_name:
                check_intact(legs, mutant, original, format_name)
            now = values(usable, with_instants=zone is not None)
            if foreign is not None:
                check_same(now, foreign, CORE)
            if plain is None:
                continue
            first = original if taken == format_name else other_data
            # Where the first lines changed, a column may be called otherwise: it is then missing, and never another.
            is_whole = mutant.other is None and lines_of(mutant.plain)[:2] == lines_of(first)[:2]
            check_same(now, plain, None if is_whole else CORE)


def seeds(marked_from: int = N_DEFAULT) -> list[Any]:
    return [pytest.param(n, marks=pytest.mark.slow) if n >= marked_from else n for n in range(N_SEEDS)]


@pytest.mark.parametrize("seed", seeds())
def test_a_damaged_invented_export_is_read_honestly_or_refused(seed: int) -> None:
    mutant = mutant_of(INVENTED, seed)
    try:
        check(mutant, INVENTED)
    except BaseException as exc:
        exc.add_note(f"seed {seed}, {mutant}")
        raise


FORMAT_OF = {
    "asterisk_cdr_csv": "asterisk", "asterisk_cdr_custom": "asterisk-custom", "asterisk_sql_dump": "asterisk-sql", "avaya_smdr": "avaya-smdr",
    "cdr_stats": "cdr-stats", "cisco_cucm": "cisco-cucm", "freepbx_export": "freepbx", "freeswitch_cdr_csv": "freeswitch",
    "freeswitch_json_cdr": "freeswitch-json", "freeswitch_xml_cdr": "freeswitch-xml", "grandstream_ucm": "grandstream",
    "kazoo_cdr": "kazoo", "pbxware_cdr": "pbxware", "plivo_calls": "plivo", "threecx_call_log": "3cx-log", "threecx_cdr": "3cx-cdr",
    "twilio_calls": "twilio", "vonage_calls": "vonage",
}  # fmt: skip


@pytest.fixture(scope="session")
def real(cdr_samples: Path) -> Files:
    found = {}
    for path in sorted(cdr_samples.glob("*/*")):
        data = path.read_bytes()
        if len(data) > MOST_BYTES:
            data = data[: data.index(b"\n", MOST_BYTES) + 1]
        found[f"{path.parent.name}/{path.name}"] = (FORMAT_OF[path.parent.name], data)
    return found


@pytest.mark.parametrize("seed", seeds())
def test_a_damaged_real_export_is_read_honestly_or_refused(seed: int, real: Files) -> None:
    mutant = mutant_of(real, seed)
    try:
        check(mutant, real)
    except BaseException as exc:
        exc.add_note(f"seed {seed}, {mutant}")
        raise


def test_every_format_has_an_invented_export_that_is_read_whole() -> None:
    assert {name for name, _ in INVENTED.values()} == {format_.name for format_ in all_formats()}
    for name, (format_name, data) in INVENTED.items():
        for asked in ("auto", format_name):
            legs = sr.read_cdr(io.BytesIO(data), format=asked, timezone="UTC")
            assert legs["format"].unique().tolist() == [format_name], name
            assert legs["problem"].isna().all(), (name, legs["problem"].unique())
            assert legs["is_answered"].tolist() == [c.talk > 0 for c in CALLS], name
