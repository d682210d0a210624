"""Where the numbers of a right demo lie: measured, by length of the demo and whose faces it saw."""

Range = tuple[float | None, float | None]
RANGES: dict[tuple[str, str], dict[str, Range]] = {}
