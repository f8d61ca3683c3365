"""Count frames and costs, per segment and in total."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from .network import Call
from .pipeline import Made


@dataclass
class Record:
    """The counts of one segment.

    frames: number of frames in the output.
    made: number of frames that the network made, or that were copied or mixed because nothing moves.
    held: number of frames that were repeated, at cuts and at the end.
    calls: for each middle frame, its time in the source in seconds, and the fields of a `Call`.
    cuts: times in the source in seconds.
    """

    frames: int = 0
    made: int = 0
    held: int = 0
    calls: list[list[float | None]] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)

    def add(self, made: Made) -> None:
        """Count one frame of the output."""
        span, slot = made.span, made.slot
        self.frames += 1
        if span.is_cut or span.frame1 is None:
            self.held += slot.at != span.frame0.time
        else:
            self.made += not any(made.frame.image is frame.image for frame in (span.frame0, span.frame1))
        self.calls += [[float(slot.at), *call] for call in made.calls]
        if span.is_cut and not span.frame1.is_after_gap and float(span.frame1.time) not in self.cuts:
            self.cuts.append(float(span.frame1.time))

    def to_dict(self) -> dict:
        """Return the record as a dictionary for JSON."""
        return asdict(self)


class Summary(NamedTuple):
    """The result of a conversion.

    output: the file or folder.
    frames: number of frames in it.
    made: number of frames between two, made by the network, or copied or mixed where nothing moves.
    held: number of frames repeated, in cuts and at the end.
    cuts: times in the source, in seconds.
    seconds: time that it took.
    cost: mean fraction of the dense synthesis; None if the model does not say.
    saved: fraction of all operations that was saved; None if the model does not say.
    ratios: how many middle frames had which threshold ratio, to one digit.
    damage: where the source broke off; None if it did not.
    records: one of each segment.
    calls: number of calls of the network.
    """

    output: Path
    frames: int
    made: int
    held: int
    cuts: list[float]
    seconds: float
    cost: float | None
    saved: float | None
    ratios: dict[float, int]
    damage: str | None
    records: list[Record]
    calls: int = 0


def summarise(records: list[Record], *, output: Path, seconds: float, damage: str | None) -> Summary:
    """Add up the records of all segments."""
    calls = [Call(*call[1:]) for record in records for call in record.calls]
    costs = [call.cost for call in calls if call.cost is not None]
    counted = [call for call in calls if call.executed is not None and call.dense]
    ratios = Counter(float(f"{call.ratio:.0e}") for call in calls if call.ratio is not None)
    return Summary(
        output,
        *(sum(getattr(record, name) for record in records) for name in ("frames", "made", "held")),
        sorted({cut for record in records for cut in record.cuts}),
        seconds,
        sum(costs) / len(costs) if costs else None,
        1 - sum(call.executed for call in counted) / sum(call.dense for call in counted) if counted else None,
        dict(sorted(ratios.items())),
        damage,
        records,
        sum(call.calls for call in calls),
    )


def describe(summary: Summary) -> str:
    """Describe a conversion in a line or two."""
    facts = [f"{summary.made} made without the network"]  # copied or mixed, as nothing moves
    if summary.calls:
        each = _digits(summary.seconds / summary.calls)
        facts = [f"{summary.made} made by {_count(summary.calls, 'network call')}, {each} s each"]
    if summary.saved is not None and summary.calls:
        facts.append(f"{summary.saved:.0%} of the operations saved")
    if summary.cuts:
        facts.append(f"{_count(len(summary.cuts), 'cut')} held")
    lines = [f"{_count(summary.frames, 'frame')} in {summary.output}: {'; '.join(facts)}"]
    if len(summary.ratios) > 1:
        total = sum(summary.ratios.values())
        shares = ", ".join(f"{ratio:g}: {count / total:.0%}" for ratio, count in summary.ratios.items())
        lines.append(f"threshold ratios: {shares}")
    return "\n".join(lines)


def _digits(seconds: float) -> str:
    """Format with at least two digits, and never an exponent."""
    return f"{seconds:.2g}" if 0.001 <= seconds < 10 else f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.4f}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
