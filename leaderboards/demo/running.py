"""The demo: its steps in order, each once, and what came of them."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import UsageError
from ...core.record_store import RECORDS, read_record
from ...core.records import Record
from .faces import face_steps
from .journal import Done, Journal
from .masked import masked_steps
from .meter import Meter
from .page import page_of, write_demo_page
from .people import find_people, known_faces
from .screen import Screen
from .settings import SETTINGS, DemoSettings, Effort
from .steps import Found, Step
from .verdicts import Judge, Verdict
from .workplace import Workplace


@dataclass(frozen=True)
class Timing:
    """What a step cost.

    Attributes:
        title: of the step.
        seconds: by the clock.
        cpu_s: of processors.
        before: whether an earlier command did it.
    """

    title: str
    seconds: float
    cpu_s: float
    before: bool


@dataclass(frozen=True)
class Demo:
    """What the demo made.

    Attributes:
        out: its folder.
        page: boards and pictures.
        results: the folder of records and predictions.
        records: of all steps.
        verdicts: each number, and the range of a right one.
        steps: what each cost.
        seconds: of this command.
        cpu_s: of this command.
        peak_bytes: the most memory that it held, its workers included.
        real_faces: the folder of pictures of real people, or None.
    """

    out: Path
    page: Path
    results: Path
    records: tuple[Record, ...]
    verdicts: tuple[Verdict, ...]
    steps: tuple[Timing, ...]
    seconds: float
    cpu_s: float
    peak_bytes: int
    real_faces: Path | None

    @property
    def as_expected(self) -> bool:
        """Whether everything is as a right result has it."""
        return all(verdict.holds for verdict in self.verdicts)


def run_demo(
    out: str | Path,
    effort: Effort = "normal",
    *,
    faces: str | Path | None = None,
    screen: Screen = Screen(),  # noqa: B008 - it is frozen
    settings: DemoSettings | None = None,
) -> Demo:
    """Run the whole loop; the same call again goes on where it stopped.

    Args:
        out: the folder.
        effort: how much is done.
        faces: a folder of pictures per person; None = those beside the clone, where there are any.
        screen: where it tells how far it is.
        settings: other lengths than those of `effort`.

    Raises:
        KeyboardInterrupt: it was told to stop.
        UsageError: `out` is something else, there is no folder `faces`, or a generator shall be
            trained and no faces are known.
        DataError: `faces` holds too little, or a file is damaged.
        MasqueradeError: the system refuses to write.
    """
    lengths = settings or SETTINGS[effort]
    with Meter() as meter:
        place = _workplace(Path(out), lengths, faces, screen)
        journal = Journal(place.out)
        found: dict[str, Found] = {}
        steps = list(_steps(place, found))
        timings = []
        for number, step in enumerate(steps, 1):
            screen.say(f"{number}/{len(steps)} {step.title}")
            found[step.slug], timing = _done(step, journal, place, meter)
            timings.append(timing)
    people = place.people
    tried_on = "made" if people is None else "real" if people.listed else "others"
    return Demo(
        place.out, page_of(place.out), place.results,
        tuple(record for one in found.values() for record in one.records),
        Judge(lengths, tried_on).verdicts(found), tuple(timings),
        meter.seconds, meter.cpu_s, meter.peak_bytes, None if people is None else people.folder,
    )  # fmt: skip


def _workplace(
    out: Path, settings: DemoSettings, faces: str | Path | None, screen: Screen
) -> Workplace:
    """The workplace, with real faces where the demo uses them and there are some."""
    if faces is not None and not settings.faces:
        raise UsageError("--quick looks at no faces", "leave out --faces, or leave out --quick")
    folder = Path(faces) if faces is not None else known_faces() if settings.faces else None
    people = None
    if folder is not None and out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"--out {out} lies inside the faces of {folder}, which would then hold its own",
            "choose another --out",
        )
    if folder is not None:
        learn = settings.generator_steps > 0
        people = find_people(folder, settings.people, settings.pictures, learn=learn)
    elif settings.generator_steps:
        raise UsageError(
            "a generator learns from pictures of real people, and none are known here",
            "name a folder of pictures per person with --faces DIR, or leave out --full",
        )
    return Workplace(out, settings, people, screen)


def _steps(place: Workplace, found: Mapping[str, Found]) -> Iterator[Step]:
    """All steps; the last one looks at what the others found."""
    if place.settings.faces:
        yield from face_steps(place)
    yield from masked_steps(place)
    # last, and always anew: it shows whatever the folder holds
    yield Step(
        "page", "boards and the page", {},
        lambda: write_demo_page(place, {r.id for one in found.values() for r in one.records}),
    )  # fmt: skip


def _done(step: Step, journal: Journal, place: Workplace, meter: Meter) -> tuple[Found, Timing]:
    """What a step found: now, or when an earlier command did it."""
    key = step.key()
    before = None
    if step.slug != "page" and (step.makes is None or step.makes.exists()):
        before = _remembered(journal.get(key), place.results)
    if before is not None:
        found, done = before
        _tell(place.screen.say, found, f"done before, in {clock(done.seconds)}", meter)
        return found, Timing(step.title, done.seconds, done.cpu_s, True)
    start, cpu = time.perf_counter(), meter.cpu_s
    found = step.work()
    seconds, cpu_s = time.perf_counter() - start, meter.cpu_s - cpu
    ids = tuple(record.id for record in found.records)
    journal.add(key, Done(seconds, cpu_s, ids, found.facts, found.lines))
    _tell(place.screen.say, found, clock(seconds), meter)
    return found, Timing(step.title, seconds, cpu_s, False)


def _remembered(done: Done | None, results: Path) -> tuple[Found, Done] | None:
    """A finished step with its records; None where one of them is gone."""
    if done is None:
        return None
    files = [results / RECORDS / f"{name}.json" for name in done.records]
    if not all(path.is_file() for path in files):
        return None
    records = tuple(read_record(path) for path in files)
    return Found(done.lines, records, done.facts), done


def _tell(say: Callable[[str], None], found: Found, took: str, meter: Meter) -> None:
    for line in found.lines:
        say(f"    {line}")
    say(f"    {took}; {clock(meter.seconds)} in all")


def clock(seconds: float) -> str:
    """Seconds as people read them.

    Example:
        >>> clock(7.25), clock(192)
        ('7.2 s', '3 min 12 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
