"""The line of test accuracy over a recipe's releases, as a picture in text. Needs no library: a flow draws it."""

import base64
from collections.abc import Sequence

from thaw.tasks.releases.release import ReleaseInfo

MOST_RELEASES = 30
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 560, 180, 56, 12, 14, 28  # pixels
_BLUE, _GREY, _INK = "#0072B2", "#E5E8EC", "#1F2933"
_LEAST_SPAN = 0.02  # of accuracy, so that a change by one image is no cliff


def trend_uri(releases: Sequence[ReleaseInfo]) -> str:
    """Draw releases, two or more, in this order: a point each, filled for the champion. Gives a data URI of an SVG."""
    values = [release.accuracy for release in releases]
    middle, span = (max(values) + min(values)) / 2, max(max(values) - min(values), _LEAST_SPAN)
    high = min(middle + 0.6 * span, 1.0)
    low = max(min(middle - 0.6 * span, high - _LEAST_SPAN), 0.0)
    across = (_WIDTH - _LEFT - _RIGHT) / (len(values) - 1)

    def y(value: float) -> float:
        return round(_TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1)

    points = [(round(_LEFT + place * across, 1), y(value)) for place, value in enumerate(values)]
    marks = "".join(
        f'<circle cx="{x}" cy="{top}" r="5" fill="{_BLUE if release.is_champion else "white"}" stroke="{_BLUE}" '
        'stroke-width="2"/>'
        for (x, top), release in zip(points, releases, strict=True)
    )
    lines = "".join(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value)}" y2="{y(value)}" stroke="{_GREY}"/>'
        f'<text x="{_LEFT - 10}" y="{y(value) + 4}" text-anchor="end">{100 * value:.1f} %</text>'
        for value in (low, (low + high) / 2, high)
    )
    days = "".join(
        f'<text x="{x}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{release.published:%Y-%m-%d}</text>'
        for x, anchor, release in ((_LEFT, "start", releases[0]), (_WIDTH - _RIGHT, "end", releases[-1]))
    )
    path = " ".join(f"{x},{top}" for x, top in points)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12" fill="{_INK}"><rect width="100%" height="100%" fill="white"/>{lines}'
        f'<polyline points="{path}" fill="none" stroke="{_BLUE}" stroke-width="2"/>{marks}{days}</svg>'
    )
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
