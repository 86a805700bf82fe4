"""How the registry's cost grows, as a picture: six panels, a line for each database, both axes logarithmic."""

import math

# What a panel shows, and how it is read off what was measured at one size.
PANELS = {
    "search, p99, ms": lambda one: one["search"],
    "publish, ms": lambda one: one["publish"],
    "304 answers a second": lambda one: one["304"][0],
    "small manifests a second": lambda one: one["manifest"][0],
    "push of 10 MB, ms": lambda one: 1e3 * one["push"]["push"],
    "pull of 1 GiB, MB a second": lambda one: one["pull"] / 1e6,
}
COLOURS = {"SQLite": "#2563eb", "PostgreSQL": "#ea580c"}
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 430, 250, 56, 30, 34
ROWS = -(-len(PANELS) // 2)


def decades(values):
    """The powers of ten around some numbers."""
    return math.floor(math.log10(min(values))), max(math.ceil(math.log10(max(values))), math.floor(math.log10(min(values))) + 1)


def panel(title, lines, sizes, corner):
    """`lines` has the points `(size, value)` of each database."""
    (low_x, high_x), (low_y, high_y) = decades(sizes), decades([value for points in lines.values() for _, value in points])

    def x(size):
        return corner[0] + LEFT + (math.log10(size) - low_x) / (high_x - low_x) * (WIDTH - LEFT - 24)

    def y(value):
        return corner[1] + TOP + (high_y - math.log10(value)) / (high_y - low_y) * (HEIGHT - TOP - BOTTOM)

    left, right, top, bottom = x(10 ** low_x), x(10 ** high_x), y(10 ** high_y), y(10 ** low_y)
    parts = [f'<text x="{left:.0f}" y="{top - 10:.0f}" fill="#18181b">{title}</text>']
    for power in range(low_x, high_x + 1):
        at = x(10 ** power)
        parts.append(f'<path d="M{at:.1f} {top:.1f}V{bottom:.1f}" stroke="#e4e4e7"/>'
                     f'<text x="{at:.1f}" y="{bottom + 16:.1f}" text-anchor="middle" fill="#52525b">{10 ** power:,}</text>')
    for power in range(low_y, high_y + 1):
        at = y(10 ** power)
        parts.append(f'<path d="M{left:.1f} {at:.1f}H{right:.1f}" stroke="#e4e4e7"/>'
                     f'<text x="{left - 6:.1f}" y="{at + 4:.1f}" text-anchor="end" fill="#52525b">{10.0 ** power:,g}</text>')
    for database, points in lines.items():
        colour = COLOURS[database]
        path = "L".join(f"{x(size):.1f} {y(value):.1f}" for size, value in points)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(size):.1f}" cy="{y(value):.1f}" r="3" fill="{colour}"/>' for size, value in points]
    return parts


def picture(found):
    """`found` has what was measured, by database and number of adapters."""
    sizes = sorted({size for _, size in found})
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {ROWS * HEIGHT + 30}" font-family="sans-serif" font-size="12">',
             f'<rect width="{2 * WIDTH}" height="{ROWS * HEIGHT + 30}" fill="#ffffff"/>']
    for number, (title, read) in enumerate(PANELS.items()):
        lines = {database: [(size, read(found[database, size])) for size in sizes if (database, size) in found]
                 for database in COLOURS}
        corner = number % 2 * WIDTH, number // 2 * HEIGHT
        parts += panel(title, {database: points for database, points in lines.items() if points}, sizes, corner)
    at = LEFT
    for database, colour in COLOURS.items():
        parts.append(f'<circle cx="{at}" cy="{ROWS * HEIGHT + 12}" r="4" fill="{colour}"/>'
                     f'<text x="{at + 10}" y="{ROWS * HEIGHT + 16}" fill="#18181b">{database}, by the number of adapters</text>')
        at += 260
    return "\n".join(parts) + "\n</svg>\n"
