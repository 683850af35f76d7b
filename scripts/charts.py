"""Bars as SVG, drawn by hand: the same lines give the same octets."""
from xml.sax.saxutils import escape

WIDTH = 760
NAMES_WIDTH = 170
VALUES_WIDTH = 90
BAR = 18
GAP = 4
GROUP_HEAD = 26
TOP = 34
BOTTOM = 10
COLOURS = {"ringsink": "#2b6cb0", "floor": "#a0aec0", "smtp-sink": "#c05621"}
OTHERS = "#718096"


def colour(name):
    return next((value for start, value in COLOURS.items() if name.startswith(start)), OTHERS)


def text(x, y, words, size=13, anchor="start", weight="normal"):
    return (f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="#1a202c">'
            f"{escape(words)}</text>")


def bars(title, groups, form="{:,.0f}"):
    """groups: a heading, or "", and its (name, value) pairs; all on one scale."""
    most = max(value for _, pairs in groups for _, value in pairs)
    parts = [text(8, 22, title, 15, weight="bold")]
    y = TOP
    for heading, pairs in groups:
        if heading:
            parts.append(text(8, y + 17, heading, weight="bold"))
            y += GROUP_HEAD
        for name, value in pairs:
            width = max(1, round((WIDTH - NAMES_WIDTH - VALUES_WIDTH) * value / most))
            parts.append(text(NAMES_WIDTH - 8, y + 14, name, anchor="end"))
            parts.append(f'<rect x="{NAMES_WIDTH}" y="{y}" width="{width}" height="{BAR}" fill="{colour(name)}"/>')
            parts.append(text(NAMES_WIDTH + width + 6, y + 14, form.format(value)))
            y += BAR + GAP
    height = y + BOTTOM
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="sans-serif">\n<rect width="{WIDTH}" height="{height}" fill="white"/>\n'
            + "\n".join(parts) + "\n</svg>\n")
