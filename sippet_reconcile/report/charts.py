"""Draw a few numbers as a picture that prints, scales and can be read aloud.

Input are labels and numbers; output is inline SVG with a title and a text that says
the same, coloured by classes only, so that the page decides about light and dark.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from sippet_reconcile._display import mask_text, visible

__all__ = ["Bar", "BarChart", "Chart", "ColumnChart"]

_WIDTH: Final = 760
_ROW: Final = 30
_LABEL: Final = 250
_VALUE: Final = 120
_LETTER: Final = 6.8  # width of a letter of a number, as drawn
_SMALL: Final = 6.3  # width of a letter under a column
_GAP: Final = 4.0  # between two texts in a row, at least
_TICK_STEPS: Final = (1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 100)
_HEIGHT: Final = 216
_LONGEST_LABEL: Final = 36
_SHORTEST: Final = 8  # letters that the longest bar of a terminal has at least


@dataclass(frozen=True)
class Bar:
    """One number of a chart.

    Attributes
    ----------
    label
        What it counts.
    value
        Its length; negative ones lead to the left, or below zero in meaning.
    text
        The number as people read it.
    tick
        What stands under a column where the whole label is too long.
    group
        What the bar belongs to; horizontal bars have it as a heading where it changes.
    is_quiet
        Whether the bar is drawn pale: what is left over beside the others.
    """

    label: str
    value: float
    text: str
    tick: str = ""
    group: str = ""
    is_quiet: bool = False


def _escape(text: str) -> str:
    return html.escape(visible(text), quote=True)


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


def _axis(zero: float, first: int, end: int) -> str:
    """Return the line at zero beside some rows of bars; none beside a heading."""
    if end <= first:
        return ""
    return f'<line class="axis" x1="{zero:.1f}" x2="{zero:.1f}" y1="{first * _ROW}" y2="{end * _ROW + 2}"/>'


@dataclass(frozen=True)
class _Drawing:
    title: str
    bars: tuple[Bar, ...]

    def masked(self) -> Self:
        """Return the chart without any phone number in its texts."""
        bars = tuple(
            replace(
                bar,
                label=mask_text(bar.label),
                text=mask_text(bar.text),
                tick=mask_text(bar.tick),
                group=mask_text(bar.group),
            )
            for bar in self.bars
        )
        return replace(self, title=mask_text(self.title), bars=bars)

    @property
    def description(self) -> str:
        """The whole chart in words."""
        return "; ".join(
            f"{bar.group}: {bar.label}: {bar.text}" if bar.group else f"{bar.label}: {bar.text}"
            for bar in self.bars
        )

    def _frame(self, height: float, parts: Sequence[str], key: str) -> str:
        title, description = _escape(self.title), _escape(self.description)
        if not key:
            return (
                f'<svg class="chart" viewBox="0 0 {_WIDTH} {height:g}" role="img" '
                f'aria-label="{title}: {description}">{"".join(parts)}</svg>'
            )
        return (
            f'<svg class="chart" viewBox="0 0 {_WIDTH} {height:g}" role="img" '
            f'aria-labelledby="{key}-title {key}-text"><title id="{key}-title">{title}</title>'
            f'<desc id="{key}-text">{description}</desc>{"".join(parts)}</svg>'
        )


@dataclass(frozen=True)
class BarChart(_Drawing):
    """Horizontal bars from a common zero: one per cause, say.

    Examples
    --------
    >>> chart = BarChart("Calls by cause", (Bar("ring-time-included", 12, "12 calls"),))
    >>> chart.description
    'ring-time-included: 12 calls'
    >>> chart.to_svg("c1").startswith('<svg class="chart"')
    True
    """

    def to_svg(self, key: str = "") -> str:
        """Return the chart as SVG; `key` makes its ids unique in a page, without one it has none."""
        values = [bar.value for bar in self.bars]
        low, high = min([0.0, *values]), max([0.0, *values])
        beside = max([float(_VALUE), *(len(bar.text) * _LETTER + 14 for bar in self.bars)])
        room = _WIDTH - _LABEL - beside - (beside if low < 0 else 0)
        scale = room / ((high - low) or 1.0)
        zero = _LABEL + (beside if low < 0 else 0) - low * scale
        parts: list[str] = []
        place, group, began = 0, "", 0
        for bar in self.bars:
            if bar.group != group:
                group = bar.group
                parts.append(_axis(zero, began, place))
                parts.append(
                    f'<text class="group" x="0" y="{place * _ROW + 19}" font-weight="600">{_escape(group)}</text>'
                )
                place += 1
                began = place
            top = place * _ROW + 4
            place += 1
            length = max(abs(bar.value) * scale, 1.0)
            left = zero if bar.value >= 0 else zero - length
            tone = "quiet" if bar.is_quiet else "neg" if bar.value < 0 else "pos"
            text_at = left + length + 8 if bar.value >= 0 else left - 8
            anchor = "start" if bar.value >= 0 else "end"
            parts.append(
                f'<text class="label" x="0" y="{top + 15}">{_escape(_short(bar.label))}</text>'
                f'<rect class="{tone}" x="{left:.1f}" y="{top}" width="{length:.1f}" height="{_ROW - 9}" rx="2"/>'
                f'<text class="value" x="{text_at:.1f}" y="{top + 15}" text-anchor="{anchor}">{_escape(bar.text)}</text>'
            )
        parts.append(_axis(zero, began, max(place, 1)))
        return self._frame(max(place, 1) * _ROW + 6, parts, key)

    def to_text(self, width: int = 100) -> str:
        """Return the chart for a terminal: one line per bar, the longest as wide as there is room.

        Parameters
        ----------
        width
            Letters to a line.

        Examples
        --------
        >>> bars = (Bar("zero", 4, "4 calls", group="Durations"), Bar("missing", 2, "2 calls", group="Durations"))
        >>> print(BarChart("Calls by cause", bars).to_text(32))
        Durations
          zero     ████████████  4 calls
          missing  ██████        2 calls
        """
        labels = [_short(visible(bar.label)) for bar in self.bars]
        texts = [visible(bar.text) for bar in self.bars]
        indent = "  " if any(bar.group for bar in self.bars) else ""
        of_label, of_text = (max(map(len, told), default=0) for told in (labels, texts))
        room = max(width - len(indent) - of_label - of_text - 4, _SHORTEST)
        longest = max((abs(bar.value) for bar in self.bars), default=0.0) or 1.0
        lines: list[str] = []
        group = ""
        for bar, told, text in zip(self.bars, labels, texts, strict=True):
            if bar.group != group:
                group = bar.group
                lines.append(visible(group))
            drawn = "█" * round(abs(bar.value) / longest * room) or "▏"
            lines.append(f"{indent}{told.ljust(of_label)}  {drawn.ljust(room)}  {text}".rstrip())
        return "\n".join(lines)


@dataclass(frozen=True)
class ColumnChart(_Drawing):
    """Columns side by side in their order: a distribution, say.

    Columns stand on one floor; a negative number is as tall as a positive one and
    drawn in the colour of what is taken away.

    Examples
    --------
    >>> ColumnChart("Calls by hour", (Bar("09:00", 2, "2"), Bar("10:00", 0, "0"), Bar("11:00", 0, "0"))).description
    '09:00: 2; nothing in the other 2'
    """

    @property
    def description(self) -> str:
        """The whole chart in words; columns without anything are counted."""
        full = [bar for bar in self.bars if bar.value]
        n_empty = len(self.bars) - len(full)
        rest = (f"nothing in the other {n_empty}" if full else "nothing",) if n_empty else ()
        return "; ".join([*(f"{bar.label}: {bar.text}" for bar in full), *rest])

    @property
    def shown_ticks(self) -> tuple[int, ...]:
        """Places of the columns under which there is room to write what they are.

        Where not all have room, those that say more than a number come first (the first
        of a month among days), then every second, third, fifth ... of the others.

        Examples
        --------
        >>> days = tuple(Bar(f"day {n}", n, str(n), tick="1 Oct" if n == 1 else str(n)) for n in range(1, 93))
        >>> ColumnChart("Calls by day", days).shown_ticks[:4]
        (0, 6, 9, 12)
        """
        wide = _WIDTH / max(len(self.bars), 1)
        ticks = [visible(bar.tick or bar.label) for bar in self.bars]
        reach = [
            self._reach(at * wide + wide / 2, len(tick) * _SMALL + _GAP) for at, tick in enumerate(ticks)
        ]
        first = [at for at, tick in enumerate(ticks) if not tick.isdigit()]
        others = [at for at, tick in enumerate(ticks) if tick.isdigit()]
        widest = max((len(ticks[at]) * _SMALL + _GAP for at in others), default=1.0)
        placed = _apart(first, reach, [])
        steps = (step for step in _TICK_STEPS if step * wide >= widest)
        step = next(steps, len(self.bars))
        return tuple(sorted(_apart([at for at in others if at % step == 0], reach, placed)))

    @property
    def shown_values(self) -> tuple[int, ...]:
        """Places of the columns above which there is room for their number, the highest first among rivals."""
        wide = _WIDTH / max(len(self.bars), 1)
        sizes = [abs(bar.value) for bar in self.bars]
        reach = [
            self._reach(at * wide + wide / 2, len(visible(bar.text)) * _LETTER + _GAP)
            for at, bar in enumerate(self.bars)
        ]
        placed: list[int] = []
        for at in sorted(range(len(sizes)), key=lambda place: (-sizes[place], place)):
            low, high = (int(edge // wide) for edge in (reach[at][0], reach[at][1] - 1e-6))
            is_free = max(sizes[max(low, 0) : high + 1]) <= sizes[at]
            if sizes[at] and is_free:
                placed = _apart([at], reach, placed)
        return tuple(sorted(placed))

    @staticmethod
    def _reach(middle: float, wide: float) -> tuple[float, float]:
        """Return from where to where a text is drawn: around the middle of its column, but within the picture."""
        left = min(max(middle - wide / 2, -_GAP / 2), _WIDTH + _GAP / 2 - wide)
        return left, left + wide

    def to_svg(self, key: str = "") -> str:
        """Return the chart as SVG; `key` makes its ids unique in a page.

        A column whose number has no room above it tells it where one points at it; the
        text of the chart tells all of them.
        """
        highest = max([abs(bar.value) for bar in self.bars], default=0.0) or 1.0
        width = _WIDTH / max(len(self.bars), 1)
        room, floor = _HEIGHT - 50, _HEIGHT - 26
        ticks, values = set(self.shown_ticks), set(self.shown_values)
        parts = [f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{floor}" y2="{floor}"/>']
        for place, bar in enumerate(self.bars):
            height = max(abs(bar.value) / highest * room, 1.5) if bar.value else 0.0
            tone = "quiet" if bar.is_quiet else "neg" if bar.value < 0 else "pos"
            parts.append(
                f'<rect class="{tone}" x="{place * width + width * 0.14:.1f}" y="{floor - height:.1f}" '
                f'width="{width * 0.72:.1f}" height="{height:.1f}" rx="{min(2.0, width / 8):g}">'
                f"<title>{_escape(bar.label)}: {_escape(bar.text)}</title></rect>"
            )
            middle = place * width + width / 2
            if place in ticks:
                parts.append(self._text("tick", bar.tick or bar.label, middle, _HEIGHT - 8, _SMALL))
            if place in values:
                parts.append(self._text("value", bar.text, middle, floor - height - 7, _LETTER))
        return self._frame(_HEIGHT, parts, key)

    def _text(self, kind: str, text: str, middle: float, y: float, letter: float) -> str:
        left, right = self._reach(middle, len(visible(text)) * letter + _GAP)
        return f'<text class="{kind}" x="{(left + right) / 2:.1f}" y="{y:.1f}" text-anchor="middle">{_escape(text)}</text>'


def _apart(places: Sequence[int], reach: Sequence[tuple[float, float]], placed: Sequence[int]) -> list[int]:
    """Return the placed and, in their order, those of further places whose text touches none that is there already."""
    kept = list(placed)
    for at in places:
        if all(reach[at][1] <= reach[other][0] or reach[at][0] >= reach[other][1] for other in kept):
            kept.append(at)
    return kept


Chart = BarChart | ColumnChart
