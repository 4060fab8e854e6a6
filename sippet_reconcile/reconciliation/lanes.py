"""Draw what happened when, side by side: as a picture, and as a few lines for a terminal.

Input are lanes of stretches between instants, in microseconds since 1970, and what each
lane says in words; output is SVG without ids, style or script, coloured by attributes of
its own and by the colour of the page's letters, or plain text. Nothing is decided here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self

from sippet_reconcile._display import escape, mask_in_id, mask_text, shortened, visible
from sippet_reconcile.reconciliation.ticks import SECOND, Tick, scale_name, ticks_between

__all__ = ["Lane", "Look", "Picture", "Stretch"]


class Look(StrEnum):
    """What a stretch is; the value is what the legend of a terminal says."""

    WHOLE = "start to end"
    RING = "ringing"
    TALK = "talk"
    SECONDS = "seconds as recorded"
    MORE = "too much"
    LESS = "too little"
    BACKWARDS = "ends before it starts"


_SIGNS: Final = {
    Look.WHOLE: "▒",
    Look.RING: "░",
    Look.TALK: "█",
    Look.SECONDS: "▓",
    Look.MORE: "+",
    Look.LESS: "-",
    Look.BACKWARDS: "<",
}
_DRAWN: Final = {
    Look.WHOLE: "grey start to end",
    Look.SECONDS: "strong grey recorded seconds",
    Look.RING: "dashed blue ringing",
    Look.TALK: "blue talk",
    Look.MORE: "orange too much",
    Look.LESS: "dashed orange too little",
    Look.BACKWARDS: "red an end ahead of its start",
}
_ANSWER, _OPEN = "|", ">"
_BLUE, _ORANGE, _RED = "#4a87c7", "#d9822b", "#d64545"
_DASHED: Final = 'stroke-width="1.2" stroke-dasharray="3 2"'
_PAINT: Final = {
    Look.WHOLE: 'fill="currentColor" fill-opacity=".4"',
    Look.RING: f'fill="{_BLUE}" fill-opacity=".2" stroke="{_BLUE}" {_DASHED}',
    Look.TALK: f'fill="{_BLUE}"',
    Look.SECONDS: 'fill="currentColor" fill-opacity=".65"',
    Look.MORE: f'fill="{_ORANGE}"',
    Look.LESS: f'fill="{_ORANGE}" fill-opacity=".12" stroke="{_ORANGE}" {_DASHED}',
    Look.BACKWARDS: f'fill="{_RED}" fill-opacity=".15" stroke="{_RED}" {_DASHED}',
}

_WIDTH: Final = 940
_LEFT, _ROOM, _ROW, _HEAD = 210, 400, 24, 20
_BAR: Final = 12
_LABEL, _TEXT = 26, 42
_FEWEST: Final = 16
_NO_TIME: Final = (0, SECOND)
"""The span of a picture in which no lane has anything to draw."""


@dataclass(frozen=True)
class Stretch:
    """One stretch of a lane.

    Attributes
    ----------
    start_us, end_us
        Microseconds since 1970; the same for what takes no time.
    look
        What it is.
    is_open
        Whether nobody knows its end: it is drawn to the edge and goes on.
    """

    start_us: int
    end_us: int
    look: Look
    is_open: bool = False


@dataclass(frozen=True)
class Lane:
    """One line of the picture.

    Attributes
    ----------
    label, text
        What it is, and what it says in words.
    stretches
        Later ones are drawn over earlier ones.
    marks
        Instants of an answer.
    is_quiet
        Whether it is drawn pale, as what does not count.
    """

    label: str
    text: str
    stretches: tuple[Stretch, ...] = ()
    marks: tuple[int, ...] = ()
    is_quiet: bool = False


@dataclass(frozen=True)
class Picture:
    """Lanes under one scale of time.

    Attributes
    ----------
    title
        What is drawn.
    lanes
        From above.
    zone
        Zone of the second scale; UTC for none.
    more
        What is not drawn, as a sentence; empty where everything is.

    Examples
    --------
    >>> ring, talk = Stretch(0, 10 * SECOND, Look.RING), Stretch(10 * SECOND, 40 * SECOND, Look.TALK)
    >>> picture = Picture("One call", (Lane("CDR call", "10 s ringing, 30 s talk", (ring, talk), (10 * SECOND,)),))
    >>> print(picture.to_text(76))
    UTC, 1970-01-01  00:00:00                 00:00:30
    CDR call         ░░░░░░░░|█████████████████████████  10 s ringing, 30 s talk
                     ░ ringing  █ talk  | answered
    >>> picture.description
    'CDR call: 10 s ringing, 30 s talk'
    """

    title: str
    lanes: tuple[Lane, ...]
    zone: str = "UTC"
    more: str = ""

    def masked(self) -> Self:
        """Return the picture without any phone number in its texts."""
        lanes = tuple(
            replace(lane, label=mask_in_id(lane.label), text=mask_text(lane.text)) for lane in self.lanes
        )
        return replace(self, title=mask_in_id(self.title), lanes=lanes)

    @property
    def description(self) -> str:
        """The whole picture in words."""
        said = [
            f"{lane.label.strip()}: {lane.text}" if lane.text else lane.label.strip() for lane in self.lanes
        ]
        return "; ".join([*said, *([self.more] if self.more else [])])

    @property
    def caption(self) -> str:
        """What the drawn signs mean, those that occur."""
        looks = {stretch.look for lane in self.lanes for stretch in lane.stretches}
        told = [said for look, said in _DRAWN.items() if look in looks]
        told += ["▾ answered"] if any(lane.marks for lane in self.lanes) else []
        return f"In time: {', '.join(told)}." if told else "No instant is known."

    @property
    def span_us(self) -> tuple[int, int] | None:
        """The first and the last instant that is drawn, a second apart at least; None where there is none."""
        known = [at for lane in self.lanes for s in lane.stretches for at in (s.start_us, s.end_us)]
        known += [at for lane in self.lanes for at in lane.marks]
        return (min(known), max(*known, min(known) + SECOND)) if known else None

    def to_svg(self) -> str:
        """Return the picture as SVG that says in words what it shows."""
        span = self.span_us
        rows = [*self._scales_svg(span)] if span else []
        top = _HEAD * len(self._zones) + 6 if span else 0
        for place, lane in enumerate(self.lanes):
            rows.append(_lane_svg(lane, top + place * _ROW, span or _NO_TIME))
        height = top + len(self.lanes) * _ROW + 4
        if self.more:
            rows.append(_letters(0, height + 12, self.more, opacity=".75"))
            height += 20
        return (
            f'<svg class="lanes" viewBox="0 0 {_WIDTH} {height}" role="img" fill="currentColor" font-size="13" '
            f'aria-label="{escape(f"{self.title}: {self.description}")}">{"".join(rows)}</svg>'
        )

    @property
    def _zones(self) -> tuple[str, ...]:
        return ("UTC",) if self.zone == "UTC" else ("UTC", self.zone)

    def _scales_svg(self, span: tuple[int, int]) -> list[str]:
        ticks = ticks_between(*span)
        foot = _HEAD * len(self._zones) + 6 + len(self.lanes) * _ROW
        parts = [
            f'<line x1="{_x(at, span):.1f}" x2="{_x(at, span):.1f}" y1="{_HEAD * len(self._zones)}" y2="{foot}" '
            f'stroke="currentColor" stroke-opacity=".18"/>'
            for at in ticks
        ]
        for row, zone in enumerate(self._zones):
            y = row * _HEAD + 14
            parts.append(_letters(0, y, scale_name(zone, span[0], _LABEL), opacity=".75"))
            parts += [
                _letters(_x(t.at_us, span), y, t.text, opacity=".75", anchor="middle")
                for t in Tick.named(ticks, zone, span)
            ]
        return parts

    def to_text(self, width: int = 110) -> str:
        """Return the picture for a terminal, with a legend of the signs that occur."""
        span = self.span_us
        labels = [shortened(visible(lane.label), _LABEL) for lane in self.lanes]
        texts = [shortened(visible(lane.text), _TEXT) for lane in self.lanes]
        heads = [scale_name(zone, span[0], _LABEL) for zone in self._zones] if span else []
        of_label = max(map(len, [*labels, *heads]), default=0)
        room = max(width - of_label - max(map(len, texts), default=0) - 4, _FEWEST)
        lines = []
        if span:
            ticks = ticks_between(*span, most=max(room // 14, 2))
            for head, zone in zip(heads, self._zones, strict=True):
                row = _scale_text(Tick.named(ticks, zone, span), span, room)
                lines.append(f"{head.ljust(of_label)}  {row}".rstrip())
        for lane, label, text in zip(self.lanes, labels, texts, strict=True):
            bar = _bar_text(lane, span or _NO_TIME, room)
            lines.append(f"{label.ljust(of_label)}  {bar}  {text}".rstrip())
        seen = {sign for line in lines[len(heads) :] for sign in line[of_label + 2 : of_label + 2 + room]}
        legend = [f"{sign} {look.value}" for look, sign in _SIGNS.items() if sign in seen]
        legend += [f"{_ANSWER} answered"] if _ANSWER in seen else []
        legend += [f"{_OPEN} no end"] if _OPEN in seen else []
        indent = " " * (of_label + 2)
        # Words of one sign stay together where the line must break.
        told = "  ".join(word.replace(" ", "\u00a0") for word in legend)
        lines += [line.replace("\u00a0", " ") for line in _filled(told, width, indent)]
        return "\n".join([*lines, *_filled(visible(self.more), width, "")])


def _x(at_us: int, span: tuple[int, int]) -> float:
    return _LEFT + (at_us - span[0]) / (span[1] - span[0]) * _ROOM


def _letters(x: float, y: float, text: str, *, opacity: str = "1", anchor: str = "start") -> str:
    faint = f' fill-opacity="{opacity}"' if opacity != "1" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{faint}>{escape(text)}</text>'


def _lane_svg(lane: Lane, top: float, span: tuple[int, int]) -> str:
    parts = [_letters(0, top + 16, shortened(lane.label, 25))]
    for stretch in lane.stretches:
        left, right = _x(stretch.start_us, span), _x(stretch.end_us, span)
        if stretch.is_open:
            right = _LEFT + _ROOM + 8
            parts.append(f'<path d="M{right:.1f} {top + 5} l8 6 l-8 6 z" fill-opacity=".4"/>')
        width = max(right - left, 2.0)
        parts.append(
            f'<rect x="{left:.1f}" y="{top + 5}" width="{width:.1f}" height="{_BAR}" {_PAINT[stretch.look]}/>'
        )
    for at in lane.marks:
        x = _x(at, span)
        parts.append(f'<path d="M{x - 4:.1f} {top + 1} h8 l-4 5 z"/>')
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top + 3}" y2="{top + 19}" stroke="currentColor" stroke-width="1.5"/>'
        )
    parts.append(_letters(_LEFT + _ROOM + 22, top + 16, shortened(lane.text, 44)))
    quiet = ' opacity=".55"' if lane.is_quiet else ""
    return f"<g{quiet}>{''.join(parts)}</g>"


def _filled(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent)


def _cell(at_us: int, span: tuple[int, int], room: int) -> int:
    return min(int((at_us - span[0]) / (span[1] - span[0]) * room), room - 1)


def _scale_text(ticks: Sequence[Tick], span: tuple[int, int], room: int) -> str:
    row = ""
    for tick in ticks:
        at = _cell(tick.at_us, span, room)
        if (not row or at > len(row)) and at + len(tick.text) <= room:
            row = row.ljust(at) + tick.text
    return row.ljust(room)


def _bar_text(lane: Lane, span: tuple[int, int], room: int) -> str:
    cells = [" "] * room
    for stretch in lane.stretches:
        first = _cell(stretch.start_us, span, room)
        end = room if stretch.is_open else max(_cell(stretch.end_us, span, room), first + 1)
        # What ends at the edge fills the last cell as well.
        end = room if stretch.end_us == span[1] else end
        cells[first:end] = _SIGNS[stretch.look] * (end - first)
        if stretch.is_open:
            cells[-1] = _OPEN
    for at in lane.marks:
        cells[_cell(at, span, room)] = _ANSWER
    return "".join(cells)
