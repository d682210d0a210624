"""The synthesis engine by hand: 1,000 x 4 under SIGKILL, its memory, its own cost per picture.

Run by hand: `python -m tests.performance.synthesis [kill|memory|speed]` in the repository. The
toy generators of tests/generators/engine draw the pictures, so the numbers are the engine's.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOYS = Path(__file__).resolve().parent.parent / "generators" / "engine"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(TOYS), "OMP_NUM_THREADS": "1"}
RSS = """
import resource, sys, time
from masquerade.cli.main import call
start = time.perf_counter()
assert call(sys.argv[1:]) == 0
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def words(generator: str, identities: int, images: int, out: Path, *more: object) -> list[str]:
    """A command line without the program."""
    plan = ["--identities", identities, "--images-per-identity", images, "--out", out]
    return [str(w) for w in ("synthesize", generator, *plan, "--device", "cpu", *more)]


def command(*arguments: object) -> list[str]:
    """The words of a command line, by this interpreter."""
    return [sys.executable, "-m", "masquerade.cli.main", *map(str, arguments)]


def contents(folder: Path) -> dict[str, bytes]:
    """All bytes but those of locks."""
    files = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def kill(root: Path) -> None:
    """1,000 identities x 4 over 1 to 3 processes, killed at random, against one straight run."""
    more = ("--workers", 1, "--quiet")
    straight = command(*words("ovals:Ovals", 1000, 4, root / "straight", *more))
    subprocess.run(straight, env=ENVIRONMENT, check=True, capture_output=True)
    expected = contents(root / "straight")
    for processes in (1, 2, 3):
        out, kills, rng = root / f"killed-{processes}", 0, random.Random(processes)
        line = command(*words("ovals:Ovals", 1000, 4, out, *more))
        while True:
            before = len(list(out.glob("shards/*.tar")))
            running = [
                subprocess.Popen(line, env=ENVIRONMENT, stderr=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, start_new_session=True)
                for _ in range(processes)
            ]  # fmt: skip
            if kills >= 4 * processes:
                break
            goal = before + rng.randrange(2, 7)
            while len(list(out.glob("shards/*.tar"))) < goal and running[0].poll() is None:
                time.sleep(0.001)
            time.sleep(rng.random() * 0.1)
            for process in running:
                os.killpg(process.pid, signal.SIGKILL)
                kills += process.wait() == -signal.SIGKILL
        codes = [process.wait() for process in running]
        same = contents(out) == expected
        print(f"{processes} processes, {kills} killed: codes {codes}, "
              f"{len(expected)} files {'equal' if same else 'DIFFER'}")  # fmt: skip


def memory(root: Path) -> None:
    """Peak memory of dry runs, and of whole runs with manifest and audit."""
    for identities in (2_000, 20_000, 200_000):
        line = words("stripes:Stripes", identities, 5, root / "dry", "--dry-run", "--json")
        _, peak = measured(line)
        print(f"dry run of {identities * 5:>9,} pictures: peak {peak / 1024:,.0f} MiB")
    for identities in (2_000, 8_000):
        line = words("stripes:Stripes", identities, 5, root / str(identities), "--workers", 1)
        seconds, peak = measured(line)
        print(f"whole run of {identities * 5:>7,} pictures: peak {peak / 1024:,.0f} MiB, "
              f"{identities * 5 / seconds:,.0f} pictures/s")  # fmt: skip


def measured(line: list[str]) -> tuple[float, int]:
    """(seconds, peak kB) of a command in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", RSS, *line], env=ENVIRONMENT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    seconds, peak = done.stdout.split()[-2:]
    return float(seconds), int(peak)


def speed(root: Path) -> None:
    """What the engine costs per 112 x 112 picture: encoding alone, then all of a shard."""
    import numpy as np
    from skimage import data

    from masquerade.generators.engine.pictures import encode, picture_format

    photograph = np.ascontiguousarray(data.astronaut()[:112, 168:280])
    for suffix in ("jpg", "png", "webp"):
        how = picture_format(suffix)
        start = time.perf_counter()
        for _ in range(500):
            size = len(encode(photograph, how))
        each = (time.perf_counter() - start) / 500
        print(f"{suffix:<5} {size:>6} bytes, {1 / each:,.0f} pictures/s on one thread")
    sys.path.insert(0, str(TOYS))
    from masquerade.generators.engine.synthesis import Request, synthesize

    for pause in (0.0, 0.02):
        request = Request("ovals:Ovals", root / f"speed-{pause}", 1000, 4, workers=1,
                          device="cpu", settings={"size": 112, "pause_s": pause})  # fmt: skip
        outcome = synthesize(request)
        wait = pause * outcome.images / 8
        print(f"112 x 112 ovals, {pause} s of pause per batch of 8: {outcome.seconds:.1f} s, "
              f"of which {wait:.1f} s are pauses")  # fmt: skip


PARTS = {"kill": kill, "memory": memory, "speed": speed}


def main() -> None:
    """Run the parts that the command line names; all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=list(PARTS))
    for name in parser.parse_args().parts:
        with tempfile.TemporaryDirectory() as root:
            print(f"== {name}")
            PARTS[name](Path(root))


if __name__ == "__main__":
    main()
