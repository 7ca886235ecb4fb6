"""Plots of times as SVG texts that stand in a page: every sample a point, minutes a line. Nothing is fetched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _LABELS, _ROW = 960, 300, 26
_PLOT = _WIDTH - _LABELS - 20


def strips(rows: Mapping[str, tuple[Sequence[float], float]]) -> str:
    """A strip of points for each row on one logarithmic scale of milliseconds, the median as a bar.

    Args:
        rows: title -> (samples > 0, their median).
    """
    least = min(min(samples) for samples, _ in rows.values())
    most = max(max(samples) for samples, _ in rows.values())
    ticks = _ticks(least, most)

    def x(value: float) -> float:
        low, high = math.log(ticks[0]), math.log(ticks[-1])
        return _LABELS + _PLOT * (math.log(value) - low) / (high - low)

    height = _ROW * (len(rows) + 1)
    parts = [_tick(x(tick), height, f"{tick:g} ms") for tick in ticks]
    for number, (title, (samples, median)) in enumerate(rows.items()):
        y = _ROW * number + _ROW / 2
        parts.append(f'<text x="{_LABELS - 8}" y="{y + 4:.0f}" text-anchor="end">{escape(title)}</text>')
        parts += [f'<circle cx="{x(value):.1f}" cy="{y:.0f}" r="2.5"/>' for value in samples]
        parts.append(f'<path d="M{x(median):.1f} {y - 9:.0f}v18" class="median"/>')
    return _svg(height, parts)


def line(points: Sequence[tuple[float, float]], x_unit: str, y_unit: str) -> str:
    """A line through points (x, y), y from 0 on."""
    height = 160
    right, top = max(x for x, _ in points) or 1.0, max(y for _, y in points) or 1.0

    def at(point: tuple[float, float]) -> str:
        return f"{60 + (_WIDTH - 90) * point[0] / right:.1f},{height - 25 - (height - 40) * point[1] / top:.1f}"

    return _svg(
        height,
        [
            f'<polyline points="{" ".join(map(at, points))}" class="line"/>',
            *(f'<circle cx="{at(point).split(",")[0]}" cy="{at(point).split(",")[1]}" r="2.5"/>' for point in points),
            f'<text x="4" y="20">{top:.4g} {escape(y_unit)}</text>',
            f'<text x="{_WIDTH - 4}" y="{height - 6}" text-anchor="end">{right:.4g} {escape(x_unit)}</text>',
        ],
    )


def _ticks(least: float, most: float) -> list[float]:
    """1, 2, 5, 10 … around a range; at least two."""
    ladder = [factor * 10.0**power for power in range(-7, 10) for factor in (1, 2, 5)]
    first = max((n for n, tick in enumerate(ladder) if tick <= least), default=0)
    last = min((n for n, tick in enumerate(ladder) if tick >= most and n > first), default=len(ladder) - 1)
    return ladder[first : last + 1]


def _tick(x: float, height: float, text: str) -> str:
    label = f'<text x="{x:.1f}" y="{height - 5:.0f}" text-anchor="middle">{text}</text>'
    return f'<path d="M{x:.1f} 0V{height - 20:.0f}" class="tick"/>{label}'


def _svg(height: float, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img">{"".join(parts)}</svg>'
