"""Make large exports in every format of lines, with the dirt that each system leaves: the same bytes for the same seed and size.

Usage: python tests/benchmarks/generate_formats.py OUT FORMAT [ROWS] [SEED]

The calls are those of an invented month: numbers from the ranges reserved for fiction, a
quarter unanswered, half inbound. What each writer prints is what `FORMATS` names.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

START = 1_790_812_800  # 2026-10-01 00:00:00 UTC
SPAN_S = 31 * 86_400
CHUNK = 50_000


class Call(NamedTuple):
    """One call; `answer` is empty where nobody answered."""

    n: int
    at: int
    start: str
    answer: str
    end: str
    ring: int
    talk: int
    outside: str
    user: str
    inbound: bool
    uuid: str

    @property
    def total(self) -> int:
        return self.ring + self.talk

    @property
    def caller(self) -> str:
        return self.outside if self.inbound else self.user

    @property
    def called(self) -> str:
        return self.user if self.inbound else self.outside

    @property
    def way(self) -> str:
        return "inbound" if self.inbound else "outbound"

    @property
    def disposition(self) -> str:
        return "ANSWERED" if self.talk else ("NO ANSWER", "BUSY", "FAILED")[self.n % 3]

    @property
    def cause(self) -> str:
        return "NORMAL_CLEARING" if self.talk else ("ORIGINATOR_CANCEL", "USER_BUSY", "NO_ANSWER")[self.n % 3]


def clock(seconds: int) -> str:
    """Return seconds as H:MM:SS."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def day_first(stamp: str) -> str:
    """Return a stamp as a spreadsheet in Europe saves it."""
    return f"{int(stamp[8:10])}/{int(stamp[5:7])}/{stamp[:4]} {stamp[11:]}"


def freeswitch(c: Call) -> str:
    account = "" if c.inbound else c.user
    return (
        f'"Caller {c.user}","{c.caller}","{c.called}","{"public" if c.inbound else "default"}","{c.start}","{c.answer}",'
        f'"{c.end}","{c.total}","{c.talk}","{c.cause}","{c.uuid}","","{account}","PCMU","PCMU"'
    )


def freeswitch_names_with_quotes(c: Call) -> str:
    """Return a row whose caller broke the template's quoting, one in ten."""
    return freeswitch(c).replace('"Caller ', '"Caller "Al" ', 1) if c.n % 10 == 0 else freeswitch(c)


def _asterisk(c: Call) -> tuple[str, str, str, str]:
    near, far = ("trunk", c.user) if c.inbound else (c.user, "trunk")
    return (
        "from-trunk" if c.inbound else "from-internal",
        f"PJSIP/{near}-{2 * c.n & 0xFFFFFFFF:08x}",
        f"PJSIP/{far}-{2 * c.n + 1 & 0xFFFFFFFF:08x}",
        f"PJSIP/{c.called}@{far},40",
    )


def asterisk(c: Call) -> str:
    context, near, far, data = _asterisk(c)
    answer = f'"{c.answer}"' if c.answer else ""
    return (
        f'"","{c.caller}","{c.called}","{context}","""Caller {c.user}"" <{c.caller}>","{near}","{far}","Dial","{data}",'
        f'"{c.start}",{answer},"{c.end}",{c.total},{c.talk},"{c.disposition}","DOCUMENTATION","{c.at}.{c.n}",""'
    )


def asterisk_custom(c: Call) -> str:
    context, near, far, data = _asterisk(c)
    return (
        f'"""Caller {c.user}"" <{c.caller}>","{c.caller}","{c.called}","{context}","{near}","{far}","Dial","{data}",'
        f'"{c.start}","{c.answer}","{c.end}","{c.total}","{c.talk}","{c.disposition}","DOCUMENTATION","","{c.at}.{c.n}","",{c.n}'
    )


def freepbx(c: Call) -> str:
    context, near, far, data = _asterisk(c)
    return (
        f'{c.start},"""Caller {c.user}"" <{c.caller}>",{c.caller},{c.called},{context},{near},{far},Dial,"{data}",'
        f"{c.total},{c.talk},{c.disposition},3,,{c.at}.{c.n},"
    )


def freepbx_resaved(c: Call) -> str:
    return freepbx(c).replace(c.start, day_first(c.start), 1)


def grandstream(c: Call) -> str:
    context, near, far, data = _asterisk(c)
    return (
        f',{c.caller},{c.called},{context},"""Caller"" <{c.caller}>",{near},{far},Dial,"{data}",{c.start},{c.answer},{c.end},'
        f"{c.total},{c.talk},{c.disposition},DOCUMENTATION,{c.at}.{c.n},{c.way.title()},{c.called},Caller,,"
        f"{c.at}{c.n:06d}-{c.caller},,{'QUEUE[6500]' if c.n % 4 == 0 else 'DIAL'},TRUNK,\r"
    )


def grandstream_api(c: Call) -> str:
    """Return a row of the interface, which quotes no comma in the data of the application."""
    context, near, far, data = _asterisk(c)
    return (
        f"{c.n},,{c.caller},{c.called},{context},Caller <{c.caller}>,{near},{far},Dial,{data},,tT,{c.start},{c.answer},{c.end},"
        f"{c.total},{c.talk},{c.disposition},DOCUMENTATION,{c.at}.{c.n},,{c.caller},{c.called},s"
    )


def pbxware(c: Call) -> str:
    """Return a row whose caller id breaks the quoting, as in every row of this system."""
    context, near, far, data = _asterisk(c)
    return (
        f'{c.n},NULL,""Caller {c.user}" <{c.caller}>",{c.caller},{c.called},{context},{near},{far},Dial,"{data}","{c.start}",'
        f"{c.total},{c.talk},NULL,{c.disposition},3,{c.user},{c.at}.{c.n},NULL,{c.at}.{c.n},{c.n},{c.at}.{c.n},NULL,{c.called},NULL,NULL"
    )


def fusionpbx(c: Call) -> str:
    answer = f"{c.answer}+00" if c.answer else ""
    return (
        f"f0000000-0000-4000-8000-000000000001,{c.user},{c.start}+00,{c.end}+00,{c.at},{c.cause},{c.talk},{c.talk * 1000},"
        f"{c.uuid},,{c.way},{c.talk},Caller {c.user},{c.caller},{c.called},a,PCMU,PCMU,{answer},"
        f"{'answered' if c.talk else 'no_answer'}"
    )


CISCO = (
    "cdrRecordType", "globalCallID_callManagerId", "globalCallID_callId", "origLegCallIdentifier", "dateTimeOrigination",
    "callingPartyNumber", "origCause_value", "destLegIdentifier", "originalCalledPartyNumber", "finalCalledPartyNumber",
    "destCause_value", "dateTimeConnect", "dateTimeDisconnect", "lastRedirectDn", "pkid", "duration", "origDeviceName",
    "destDeviceName", "globalCallId_ClusterID",
)  # fmt: skip


def cisco(c: Call) -> str:
    return (
        f'1,2,{c.n},{2 * c.n},{c.at},"{c.caller}",0,{2 * c.n + 1},"{c.called}","{c.called}",{16 if c.talk else 17},'
        f'{c.at + c.ring if c.talk else 0},{c.at + c.total},"","{c.uuid}",{c.talk},"SEP0000000000A1","SEP0000000000A2","cluster1"'
    )


def threecx_log(c: Call) -> str:
    status = "Answered" if c.talk else "Unanswered"
    return (
        f"{c.start.replace(' ', 'T')},{c.caller},Ann ({c.called}),Trunk,10004,442079460100,{status},{clock(c.ring)},"
        f"{clock(c.talk)},{clock(c.total)},,,,\r"
    )


def threecx_cdr(c: Call) -> str:
    slash = (text.replace("-", "/") for text in (c.start, c.answer, c.end))
    start, answer, end = slash
    return (
        f"Call {c.n},{c.at:010x}_{c.n},{clock(c.talk).zfill(8)},{start},{answer},{end},TerminatedBySrc,Ext.{c.caller},{c.called},"
        f"{c.user},10020,{c.called},,{c.called},10020,default,1,0.43,default,Chain: Ext.{c.caller};{c.called};,Extension,Line,Line,"
        f"Ann,{c.called},{c.called},"
    )


def twilio(c: Call) -> str:
    at, end = (f"{text.replace(' ', 'T')}Z" for text in (c.start, c.end))
    sid = c.uuid.replace("-", "")
    return (
        f"CA{sid},AC{0:032d},{at},{end},,{c.called},{c.caller},PN{1:032d},{'completed' if c.talk else 'no-answer'},{at},{end},"
        f"{c.talk},-0.4050,USD,{c.way},,,,/2010-04-01/Accounts/AC{0:032d}/Calls/CA{sid}.json"
    )


def plivo(c: Call) -> str:
    answer = f"{c.answer}+00:00" if c.answer else ""
    return (
        f"{c.uuid},,{c.caller},{c.called},{c.way},{c.start}+00:00,{answer},{c.end}+00:00,{c.talk},{c.talk},0.003,0.0003,"
        f"{'completed' if c.talk else 'no-answer'},{'NORMAL_CLEARING' if c.talk else 'NO_ANSWER'}"
    )


def vonage(c: Call) -> str:
    at, end = (f"{text.replace(' ', 'T')}+0000" for text in (c.start, c.end))
    status = "ANSWERED" if c.talk else "UNANSWERED"
    return f"ACC,{c.uuid},{c.way},{c.caller},{c.called},{at},{end},{c.talk},{status},0.0041,EUR"


def kazoo(c: Call) -> str:
    return f"{c.uuid},{c.uuid},{c.way},{c.caller},{c.called},{c.total},{c.talk},{c.cause},{c.at + 62_167_219_200},{c.user}@pbx.example,{c.n}"


def avaya(c: Call) -> str:
    start = c.start.replace("-", "/")
    return (
        f'"{start}","{clock(c.talk).zfill(8)}","{c.ring}","{c.caller}","{"I" if c.inbound else "O"}","{c.called}","{c.called}","",'
        f'"0","{c.n}","0","E{c.user}","Ann","T9001","Line 1","0","0"'
    )


def cdr_stats(c: Call) -> str:
    return (
        f"127.0.0.1,1,{c.uuid},{c.caller},Caller,{c.called},34,,,{c.start},{c.total},{c.talk},,,,"
        f"{16 if c.talk else 17},,{1 if c.inbound else 2},,{c.user},,,,,{{}}"
    )


def telnyx(c: Call) -> str:
    at, answer, end = (f"{text.replace(' ', 'T')}Z" if text else "" for text in (c.start, c.answer, c.end))
    return f"{c.uuid},{c.uuid},sip-trunking,{c.way},{c.caller},{c.called},{at},{answer},{end},{c.talk},{c.talk},0.01,USD"


class Export(NamedTuple):
    """How a format is written, and what `read_cdr` has to be told."""

    write: Callable[[Call], str]
    header: str = ""
    timezone: str | None = None
    format: str = "auto"


_FREEPBX = "calldate,clid,src,dst,dcontext,channel,dstchannel,lastapp,lastdata,duration,billsec,disposition,amaflags,accountcode,uniqueid,userfield"
_PAGE = "Account Code,Caller Number,Callee Number,Context,CallerID Number,Source Channel,Dest. Channel,Last app.,Last date,Start Time,Answer Time,End Time,Call Time,Talk Time,Disposition,AMA Flags,Unique ID,Log Userfield,Dest Channel Extension,Caller Name,Answered by,Session,Premier Caller,Action Type,Source Trunk Name,Destination Trunk Name\r"
_API = "AcctId,accountcode,src,dst,dcontext,clid,channel,dstchannel,lastapp,lastdata,start,answer,end,duration,billsec,disposition,amaflags,uniqueid,userfield,channel_ext,dstchannel_ext,service"
_PBXWARE = "AcctId,tenant,clid,src,dst,dcontext,channel,dstchannel,lastapp,lastdata,calldate,duration,billsec,billamount,disposition,amaflags,accountcode,uniqueid,userfield,linkedid,sequence,agiuniqueid,trunk,did,sipcallid,inboundsipcallid"
_FUSION = "domain_uuid,extension,start_stamp,end_stamp,start_epoch,hangup_cause,duration,billmsec,xml_cdr_uuid,bridge_uuid,direction,billsec,caller_id_name,caller_id_number,destination_number,leg,read_codec,write_codec,answer_stamp,status"
_CISCO = ",".join(f'"{name}"' for name in CISCO) + "\n" + ",".join("VARCHAR(50)" if "Name" in name or "Number" in name else "INTEGER" for name in CISCO)  # fmt: skip
_LOG = "Call Time,Caller ID,Destination,Trunk,Trunk number,Did,Status,Ringing,Talking,Total Duration,Call Type,Sentiment,Summary,Transcription\r"
_TWILIO = "sid,account_sid,date_created,date_updated,parent_call_sid,to,from,phone_number_sid,status,start_time,end_time,duration,price,price_unit,direction,answered_by,forwarded_from,caller_name,uri"
_PLIVO = "call_uuid,parent_call_uuid,from_number,to_number,call_direction,initiation_time,answer_time,end_time,call_duration,bill_duration,total_amount,total_rate,call_state,hangup_cause_name"
_VONAGE = "account_id,call_id,direction,from,to,date_start,date_end,duration,status,total_price,currency"
_KAZOO = "id,call_id,direction,caller_id_number,callee_id_number,duration_seconds,billing_seconds,hangup_cause,timestamp,request,interaction_id"
_AVAYA = "Call Start,Connected Time,Ring Time,Caller,Direction,Called Number,Dialled Number,Account,Is Internal,Call ID,Continuation,Party1Device,Party1Name,Party2Device,Party2Name,Hold Time,Park Time"
_STATS = "switch,cdr_source_type,callid,caller_id_number,caller_id_name,destination_number,dialcode,state,channel,starting_date,duration,billsec,progresssec,answersec,waitsec,hangup_cause_id,hangup_cause,direction,country_code,accountcode,buy_rate,buy_cost,sell_rate,sell_cost,extradata"
_TELNYX = "call_leg_id,call_session_id,record_type,direction,cli,cld,started_at,answered_at,finished_at,call_sec,billed_sec,cost,currency"

FORMATS = {
    "freeswitch": Export(freeswitch, timezone="Europe/London"),
    "freeswitch, a tenth broken": Export(freeswitch_names_with_quotes, timezone="Europe/London"),
    "asterisk": Export(asterisk),
    "asterisk-custom": Export(asterisk_custom),
    "freepbx": Export(freepbx, _FREEPBX),
    "freepbx, D/M/Y": Export(freepbx_resaved, _FREEPBX),
    "grandstream, page": Export(grandstream, _PAGE),
    "grandstream, interface": Export(grandstream_api, _API),
    "pbxware": Export(pbxware, _PBXWARE),
    "fusionpbx": Export(fusionpbx, _FUSION, "UTC"),
    "cisco-cucm": Export(cisco, _CISCO),
    "3cx-log": Export(threecx_log, _LOG, "Europe/London"),
    "3cx-cdr": Export(threecx_cdr, timezone="UTC"),
    "twilio": Export(twilio, _TWILIO),
    "plivo": Export(plivo, _PLIVO),
    "vonage": Export(vonage, _VONAGE),
    "telnyx": Export(telnyx, _TELNYX),
    "kazoo": Export(kazoo, _KAZOO),
    "avaya-smdr": Export(avaya, _AVAYA, "Europe/London"),
    "cdr-stats": Export(cdr_stats, _STATS, "Europe/London"),
}
"""Every format of lines, by the name it has in tables; what stands behind a comma is the dirt."""


def calls(size: int, seed: int) -> Iterator[list[Call]]:
    """Yield the calls of a month in the order of their starts."""
    rng = np.random.default_rng(seed)
    starts = np.sort(rng.integers(START, START + SPAN_S, size))
    for begin in range(0, size, CHUNK):
        at = starts[begin : begin + CHUNK]
        count = len(at)
        ring = rng.integers(1, 40, count)
        talk = np.where(rng.random(count) < 0.75, rng.exponential(150, count).astype(int) + 1, 0)
        digits = rng.bytes(16 * count).hex()
        stamps = [
            np.datetime_as_string(s.astype("M8[s]"), unit="s").tolist()
            for s in (at, at + ring, at + ring + talk)
        ]
        inbound = rng.random(count) < 0.5
        line, user = rng.integers(0, 1000, count), rng.integers(1000, 1400, count)
        yield [
            Call(
                begin + i,
                int(at[i]),
                start.replace("T", " "),
                answer.replace("T", " ") if talk[i] else "",
                end.replace("T", " "),
                int(ring[i]),
                int(talk[i]),
                f"+442079460{line[i]:03d}",
                str(user[i]),
                bool(inbound[i]),
                f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}",
            )
            for i, (start, answer, end) in enumerate(zip(*stamps, strict=True))
            for h in (digits[32 * i : 32 * i + 32],)
        ]


def generate(path: Path, name: str, size: int = 300_000, seed: int = 7) -> None:
    """Write a file of `size` rows."""
    export = FORMATS[name]
    with path.open("w", encoding="utf-8", newline="") as out:
        if export.header:
            out.write(export.header + "\n")
        for some in calls(size, seed):
            out.write("\n".join(map(export.write, some)) + "\n")


if __name__ == "__main__":
    target, name, *numbers = sys.argv[1:]
    generate(Path(target), name, *map(int, numbers))
    print(f"{target}: {Path(target).stat().st_size / 1e6:.1f} MB")
