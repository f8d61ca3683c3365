"""The position of a run, and the values that depend on it: progress, learning rate, temperature."""

import math
from typing import NamedTuple

from .options import Settings

WARM_UP_WITH_WEIGHTS = 100  # steps of rising learning rate, for a run that starts from weights


class Position(NamedTuple):
    """The position of a run. The next samples, their augmentation and the noise depend on `step` alone.

    step: optimizer steps that are done, including skipped ones.
    seconds: the time of the run so far, without interruptions.
    validated: the step of the last validation.
    skipped: steps that were skipped because their loss or gradient was not finite, in the whole run.
    skipped_in_row: such steps since the last good one.
    """

    step: int = 0
    seconds: float = 0.0
    validated: int = 0
    skipped: int = 0
    skipped_in_row: int = 0


class Schedule:
    """The plan of a run: by epochs, or by time if `--time_limit` is set."""

    def __init__(self, settings: Settings, steps_per_epoch: int):
        self.settings, self.steps_per_epoch = settings, steps_per_epoch
        self.lr_warmup = settings.lr_warmup
        if self.lr_warmup is None:
            self.lr_warmup = WARM_UP_WITH_WEIGHTS if settings.init_from or settings.branch_from else 0

    def epoch(self, position: Position) -> tuple[int, int]:
        """Return the number of complete epochs, and the steps since the last of them."""
        return divmod(position.step, self.steps_per_epoch)

    def progress(self, position: Position) -> float:
        """Return the part of the run that is done, 0 to 1."""
        if self.settings.time_limit:
            return min(1.0, position.seconds / (60 * self.settings.time_limit))
        return min(1.0, position.step / (self.steps_per_epoch * self.settings.epochs))

    def learning_rate(self, position: Position) -> float:
        """Return half a cosine from lr_start to lr_end, as in the paper. The first `lr_warmup` steps rise to it."""
        cosine = (1 + math.cos(math.pi * self.progress(position))) / 2
        rising = min(1.0, (position.step + 1) / self.lr_warmup) if self.lr_warmup else 1.0
        return rising * (self.settings.lr_end + (self.settings.lr_start - self.settings.lr_end) * cosine)

    def temperature(self, position: Position) -> float:
        """Return the temperature of the Gumbel-softmax. The paper's is max(1 - epoch / (epochs / 2), 0.4)."""
        epochs_done = self.epoch(position)[0] / self.settings.epochs
        done = self.progress(position) if self.settings.time_limit else epochs_done
        return max(1 - done / self.settings.temperature_decay, self.settings.temperature_end)

    def is_validation_due(self, position: Position) -> bool:
        """Return True once at the end of the run and at the end of every `--val_every`-th epoch."""
        epoch, since = self.epoch(position)
        ends = since == 0 and epoch % self.settings.val_every == 0
        return position.step > position.validated and (ends or self.progress(position) >= 1)
