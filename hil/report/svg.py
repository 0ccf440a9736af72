"""Plots as SVG within a page: its style sheet has their colours, so they are light, dark and on
paper as the page is. Each has a title and a description; the page has the numbers beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from .plots import Boots, Life, Mark, Spread
from .words import duration

_WIDTH = 760
_ROW = 30
_LEFT = 150
_RIGHT = 24
_TOP = 8
_AXIS = 30


def response_times(spreads: Sequence[Spread]) -> Markup:
    """A box for each target on a logarithmic scale: the middle half, the median, and whiskers that
    leave a twentieth out on each side."""
    low = min(one.low for one in spreads)
    high = max(one.high for one in spreads)
    scale = _Log(low, high)
    parts = [scale.grid(len(spreads))]
    for i, one in enumerate(spreads):
        y = _TOP + _ROW * i + _ROW / 2
        left, right = scale(one.quarter), scale(one.three_quarters)
        parts += [
            _label(one.target, y),
            f'<path class="whisker" d="M{scale(one.low):.1f} {y}H{scale(one.high):.1f}"/>',
            f'<rect class="box" x="{left:.1f}" y="{y - 7}" width="{max(right - left, 2):.1f}" '
            'height="14" rx="2"/>',
            f'<path class="median" d="M{scale(one.median):.1f} {y - 9}v18"/>',
        ]
    told = "; ".join(
        f"{one.target}: median {duration(one.median)}, nine in ten between {duration(one.low)} "
        f"and {duration(one.high)}"
        for one in spreads
    )
    return _svg("response", len(spreads), "Response times", told, parts)


def boot_times(boots: Sequence[Boots]) -> Markup:
    """A mark for each reset, on a scale from zero: another shape for each kind."""
    longest = max(took for one in boots for times in one.took.values() for took in times)
    scale = _Linear(longest)
    kinds = sorted({kind for one in boots for kind in one.took})
    parts = [scale.grid(len(boots))]
    for i, one in enumerate(boots):
        y = _TOP + _ROW * i + _ROW / 2
        parts.append(_label(one.target, y))
        for kind, times in one.took.items():
            parts += [_shape(kinds.index(kind), scale(took), y) for took in times]
    told = "; ".join(
        f"{one.target}: {sum(map(len, one.took.values()))} resets, median {duration(one.median)}"
        for one in boots
    )
    return _svg("boot", len(boots), "Boot times", told, parts)


def shape(place: int) -> Markup:
    """The mark of the n-th kind of reset, for a legend."""
    return Markup(  # noqa: S704 - numbers only
        f'<svg class="key" viewBox="0 0 14 14" width="14" height="14" aria-hidden="true">'
        f"{_shape(place, 7, 7)}</svg>"
    )


def life(one: Life, number: int) -> Markup:
    """Downwards what happened, one line each; to the right the board's clock. The band is the time
    in which the token is valid."""
    scale = _Around(one.issued, one.expires)
    rows = len(one.marks)
    bottom = _TOP + _ROW * rows
    parts = _valid(one, scale, bottom)
    before: float | None = None
    for i, mark in enumerate(one.marks):
        y = _TOP + _ROW * i + _ROW / 2
        x = None if mark.board is None else scale(mark.board)
        if x is not None and before is not None:
            way = f"M{before:.1f} {y - _ROW}L{x:.1f} {y}"
            parts.append(f'<path class="way{" moved" if mark.kind == "clock" else ""}" d="{way}"/>')
        before = x
    for i, mark in enumerate(one.marks):
        parts.append(_life_row(mark, _TOP + _ROW * i + _ROW / 2, scale, one.expires))
    told = "; ".join(
        f"{mark.what}{': ' if mark.outcome else ''}{mark.outcome}" for mark in one.marks
    )
    title = f"A token's life in {one.check} on {one.target}"
    return _svg(f"life-{number}", rows, title, told, parts)


def _valid(one: Life, scale: _Around, bottom: int) -> list[str]:
    """The time in which it is valid; nothing of it, where it has expired before it was issued."""
    left, right = scale(one.issued), scale(one.expires)
    valid = one.expires - one.issued
    if valid <= 0:
        told = f"issued, {duration(-valid)} after its end"
        return [
            f'<path class="edge" d="M{left:.1f} {_TOP}V{bottom + 5}"/>',
            f'<text class="tick" x="{left:.1f}" y="{bottom + 20}">{told}</text>',
        ]
    return [
        f'<rect class="band" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" '
        f'height="{bottom - _TOP}"/>',
        f'<path class="edge" d="M{left:.1f} {_TOP}V{bottom + 5}M{right:.1f} {_TOP}V{bottom + 5}"/>',
        f'<text class="tick" x="{left:.1f}" y="{bottom + 20}" text-anchor="middle">issued</text>',
        f'<text class="tick" x="{right:.1f}" y="{bottom + 20}" text-anchor="middle">'
        f"expires ({duration(valid)})</text>",
    ]


_LIFE_LEFT = 230
_LIFE_RIGHT = 120


def _life_row(mark: Mark, y: float, scale: _Around, expires: float) -> str:
    what = mark.what if len(mark.what) <= 32 else mark.what[:31] + "…"
    kind = "use" if mark.outcome else "happened"
    parts = [
        f'<path class="lane" d="M{_LIFE_LEFT} {y}H{_WIDTH - _LIFE_RIGHT}"/>',
        f'<text class="what {kind}" x="0" y="{y + 4}">{escape(what)}</text>',
        f'<text class="outcome" x="{_WIDTH - _LIFE_RIGHT + 16}" y="{y + 4}">'
        f"{escape(mark.outcome)}</text>",
    ]
    if mark.board is None:
        return "".join(parts)
    x = scale(mark.board)
    if mark.kind == "accepted":
        parts.append(f'<circle class="accepted" cx="{x:.1f}" cy="{y}" r="6"/>')
    elif mark.kind in ("refused", "other"):
        parts.append(f'<circle class="refused" cx="{x:.1f}" cy="{y}" r="6"/>')
        parts.append(f'<path class="cross" d="M{x - 3:.1f} {y - 3}l6 6m0-6l-6 6"/>')
    else:
        parts.append(f'<path class="change" d="M{x:.1f} {y - 7}l7 7-7 7-7-7z"/>')
    if mark.kind == "clock":
        left = expires - mark.board
        told = f"{duration(abs(left))} {'before' if left > 0 else 'after'} its end"
        parts.append(f'<text class="tick" x="{x + 13:.1f}" y="{y + 4}">{told}</text>')
    return "".join(parts)


class _Around:
    """The board's clock around a token's life; what is far outside stands at the edge."""

    def __init__(self, issued: float, expires: float) -> None:
        span = expires - issued if expires > issued else 3600.0
        expires = issued + span
        self.low, self.high = issued - span * 0.4, expires + span * 0.4

    def __call__(self, unix: float) -> float:
        width = _WIDTH - _LIFE_RIGHT - _LIFE_LEFT
        share = (min(max(unix, self.low), self.high) - self.low) / (self.high - self.low)
        return _LIFE_LEFT + 10 + share * (width - 20)


class _Log:
    """Seconds to x, so that twice as long is as far everywhere."""

    def __init__(self, low: float, high: float) -> None:
        self.low = math.log10(max(low, 1e-5)) - 0.1
        self.high = max(math.log10(max(high, 1e-5)), self.low + 0.5) + 0.1

    def __call__(self, seconds: float) -> float:
        share = (math.log10(max(seconds, 1e-5)) - self.low) / (self.high - self.low)
        return _LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)

    def grid(self, rows: int) -> str:
        steps = [
            m * 10.0**power
            for power in range(math.floor(self.low), math.ceil(self.high) + 1)
            for m in (1, 2, 5)
        ]
        inside = [one for one in steps if self.low <= math.log10(one) <= self.high]
        if len(inside) > 8:
            inside = [one for one in inside if f"{one:e}".startswith("1.")]
        return _grid([(self(one), duration(one)) for one in inside], rows)


class _Linear:
    def __init__(self, longest: float) -> None:
        rough = max(longest, 1e-3) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        self.step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
        self.high = self.step * math.ceil(max(longest, 1e-3) / self.step)

    def __call__(self, seconds: float) -> float:
        return _LEFT + seconds / self.high * (_WIDTH - _LEFT - _RIGHT)

    def grid(self, rows: int) -> str:
        ticks = [self.step * i for i in range(round(self.high / self.step) + 1)]
        return _grid([(self(one), duration(one) if one else "0") for one in ticks], rows)


def _grid(ticks: Sequence[tuple[float, str]], rows: int) -> str:
    bottom = _TOP + _ROW * rows
    return "".join(
        f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>'
        f'<text class="tick" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{text}</text>'
        for x, text in ticks
    )


def _label(target: str, y: float) -> str:
    name = target if len(target) <= 20 else target[:19] + "…"
    return f'<text class="what" x="0" y="{y + 4}">{escape(name)}</text>'


def _shape(place: int, x: float, y: float) -> str:
    """Circle, diamond, triangle, square, then again: no two kinds by colour alone."""
    return (
        f'<circle class="dot" cx="{x:.1f}" cy="{y}" r="5"/>',
        f'<path class="dot" d="M{x:.1f} {y - 6}l6 6-6 6-6-6z"/>',
        f'<path class="dot" d="M{x:.1f} {y - 6}l6 11h-12z"/>',
        f'<path class="dot" d="M{x - 4.5:.1f} {y - 4.5}h9v9h-9z"/>',
    )[place % 4]


def _svg(key: str, rows: int, title: str, told: str, parts: Sequence[str]) -> Markup:
    height = _TOP + _ROW * rows + _AXIS
    body = "".join(parts)
    # The parts are numbers and escaped texts.
    return Markup(  # noqa: S704
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-labelledby="{key}-title {key}-told">'
        f'<title id="{key}-title">{escape(title)}</title>'
        f'<desc id="{key}-told">{escape(told)}</desc>{body}</svg>'
    )
