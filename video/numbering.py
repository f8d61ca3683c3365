"""What the numbers in the names of a folder's frames say about frames that are not there."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from utils import split_numbers

NAMED = 3  # gaps that are told one by one


def describe_gaps(paths: Sequence[Path]) -> str:
    """Which numbers lack between those of the files, in words; empty if none does, or the names are of several kinds.

    Numbers that rise evenly, as 0, 5, 10, have no gap.
    """
    numbers = _numbers(paths)
    if len(numbers) < 3:
        return ""
    step, _ = Counter(after - before for before, after in pairwise(numbers)).most_common(1)[0]
    gaps = [(before + step, after - step) for before, after in pairwise(numbers) if after - before > step > 0]
    if not gaps:
        return ""
    named = [f"{first}" if first >= last else f"{first} to {last}" for first, last in gaps[:NAMED]]
    more = f" and {len(gaps) - NAMED} more gaps" if len(gaps) > NAMED else ""
    return f"no frame of number {', '.join(named)}{more}"


def _numbers(paths: Sequence[Path]) -> list[int]:
    """The number that distinguishes the files, of each in order; none where they differ in more than that."""
    names = [split_numbers(path.name) for path in paths]
    if len({len(parts) for parts in names}) != 1:
        return []
    columns = list(zip(*names, strict=True))
    varying = [index for index, column in enumerate(columns) if len(set(column)) > 1]
    if len(varying) != 1 or isinstance(columns[varying[0]][0], str):
        return []
    return sorted(columns[varying[0]])
