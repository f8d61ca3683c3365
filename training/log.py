"""The log of a training run: TensorBoard files, the lines of train.log, and the means and rates in them."""

import os
import resource
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import flow_to_image
from tqdm import tqdm

import utils
from models import Interpolation
from models.losses import Loss
from utils import tensor_to_image

from .optimizer import Position
from .plots import draw_choices, draw_panels
from .stages import Step
from .validation import Validation

ERROR_GAIN = 5  # makes errors of a few grey levels visible
MEBIBYTE = 2**20
Item = TypeVar("Item")


class Throughput(NamedTuple):
    """The speed of a loop over batches.

    samples_per_second: samples of all processes together, per second.
    loader_share: the part of the time that was spent waiting for data, 0 to 1.
    """

    samples_per_second: float
    loader_share: float


class Meter:
    """A clock for a loop over batches. Time outside of the loop, as for validation, does not count."""

    def __init__(self, samples_per_step: int):
        self.samples_per_step = samples_per_step
        self.steps, self.waiting, self.working, self._mark = 0, 0.0, 0.0, 0.0

    def watch(self, batches: Iterable[Item]) -> Iterator[Item]:
        """Yield the batches and measure the time of reading and of using them."""
        self._mark = time.monotonic()
        for batch in batches:
            self.waiting += self._since_mark()
            self.steps += 1
            yield batch
            self.working += self._since_mark()

    def read(self) -> Throughput:
        """Return the speed since the last reading. Call this inside of the loop."""
        self.working += self._since_mark()
        seconds = self.waiting + self.working
        result = Throughput(self.samples_per_step * self.steps / seconds, self.waiting / seconds)
        self.steps, self.waiting, self.working = 0, 0.0, 0.0
        return result

    def _since_mark(self) -> float:
        before, self._mark = self._mark, time.monotonic()
        return self._mark - before


class TrainingLog:
    """The log in a run's folder."""

    def __init__(self, folder: str | os.PathLike, ratios: tuple[float, ...], position: Position):
        """Open the log.

        Args:
            folder: the folder of the run.
            ratios: the candidate threshold ratios of the network.
            position: the position of the run. TensorBoard entries of later steps, left by a killed run, are replaced.
        """
        self.file, self.ratios = Path(folder) / "train.log", ratios
        self._losses: list[Tensor] = []  # (terms,) of each step since the last line; no value leaves the device before
        threading.excepthook = _leave_failed_writes
        self.writer = SummaryWriter(str(Path(folder) / "tensorboard"), purge_step=position.step + 1)

    def note(self, text: str, *, show: bool = True) -> None:
        """Write one line with the time into train.log. With `show`, also print it without disturbing a progress bar."""
        with utils.naming_failed_write(self.file), self.file.open("a") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
        if show:
            tqdm.write(text)
            sys.stdout.flush()

    def add(self, loss: Loss) -> None:
        """Add the loss of a step to the means that `step` writes."""
        self._losses.append(torch.stack(loss).detach())

    def step(self, position: Position, done: Step, throughput: Throughput) -> None:
        """Write the schedule, gradient, speed and memory, and the mean loss terms since the last call.

        If no progress bar is shown, the line is printed, too.
        """
        memory = peak_memory(done.imgt.device) / MEBIBYTE
        losses = {name: value.item() for name, value in mean_loss(self._losses)._asdict().items()}
        self._losses = []
        values = {f"loss/{name}": value for name, value in losses.items()}
        values |= {"schedule/learning_rate": done.learning_rate, "gradient/norm": done.gradient_norm.item()}
        values |= {"gradient/skipped_steps": position.skipped, "machine/memory_mebibytes": memory}
        values |= {f"machine/{name}": value for name, value in throughput._asdict().items()}
        if done.temperature is not None:
            values["schedule/temperature"] = done.temperature
            self._per_ratio("probability", done.output.probs.detach().mean(0).tolist(), position.step)
        for name, value in values.items():
            self._scalar(name, value, position.step)
        terms = ", ".join(f"{name} {value:.5f}" for name, value in losses.items())
        rates = f"learning rate {done.learning_rate:.3g}, gradient {done.gradient_norm:.3g}"
        speed = f"{throughput.samples_per_second:.2f} samples/s, loader {throughput.loader_share:.1%}"
        self.note(f"step {position.step}: {terms}, {rates}, {speed}, {memory:.0f} MiB", show=not sys.stderr.isatty())

    def validation(self, step: int, found: Validation) -> None:
        """Write PSNR (dB) of frame and merged frame, the mean cost, and the share and the PSNR of each ratio."""
        self._scalar("validation/psnr", found.psnr, step)
        self._scalar("validation/psnr_merged", found.psnr_merged, step)
        self._scalar("validation/cost", found.cost, step)
        self._per_ratio("validation/share", found.shares, step)
        if max(found.shares) < 1:
            self._per_ratio("validation/psnr_of", found.psnr_of_ratio, step)
            self._drawing("validation/choices", draw_choices(found, self.ratios), step)
        chosen = " ".join(f"{ratio:g}: {share:.0%}" for ratio, share in zip(self.ratios, found.shares, strict=True))
        scores = f"PSNR {found.psnr:.3f} dB, merged {found.psnr_merged:.3f} dB, cost {found.cost:.3f}"
        self.note(f"step {step}: {scores}, ratios {chosen}")

    def images(self, step: int, output: Interpolation, imgt: Tensor) -> None:
        """Draw the first pair: prediction, truth and error; both flows and occlusion; the masks of levels 1 to 3."""
        flow_t0, flow_t1, occlusion = output.motion[:3]
        height, width = imgt.shape[-2:]
        error = (output.frame - imgt).abs()
        fastest = [flow[0, :, :height, :width].norm(dim=0).max().item() for flow in (flow_t0, flow_t1)]
        flows = [flow_to_image(flow).float() / 255 for flow in (flow_t0, flow_t1)]
        masks = output.candidates[0].masks
        rows = {
            f"frame, truth, error x{ERROR_GAIN}": [
                ("frame", output.frame),
                ("truth", imgt),
                (f"error x{ERROR_GAIN}, mean {255 * error[0].mean():.1f} of 255", error * ERROR_GAIN),
            ],
            "flow to img0, flow to img1, occlusion": [
                (f"flow to img0, at most {fastest[0]:.1f} pixels", flows[0]),
                (f"flow to img1, at most {fastest[1]:.1f} pixels", flows[1]),
                ("occlusion (white: from img0)", occlusion),
            ],
            "masks of levels 1, 2, 3": [
                (f"mask of level {level}: {mask[0].mean():.0%}", F.interpolate(mask, scale_factor=2**level))
                for level, mask in enumerate(masks, start=1)
            ],
        }
        for name, row in rows.items():
            panels = [(label, tensor_to_image(_as_picture(image, height, width))) for label, image in row]
            self._drawing(name, draw_panels(panels), step)

    def flush(self) -> None:
        """Write all entries to disk, so that a run that is killed after a checkpoint has all entries up to it."""
        with utils.naming_failed_write(self.writer.log_dir):
            self.writer.flush()

    def _scalar(self, name: str, value: float, step: int) -> None:
        with utils.naming_failed_write(self.writer.log_dir):
            self.writer.add_scalar(name, value, step)

    def _drawing(self, name: str, figure: Figure, step: int) -> None:
        with utils.naming_failed_write(self.writer.log_dir):
            self.writer.add_figure(name, figure, step)

    def _per_ratio(self, name: str, values: list[float], step: int) -> None:
        for ratio, value in zip(self.ratios, values, strict=True):
            self._scalar(f"{name}/ratio_{ratio:g}", value, step)


def mean_loss(steps: Sequence[Tensor]) -> Loss:
    """Return the means of the terms of the loss, NaN if no step was finite.

    Steps whose loss is not finite are left out, as the trainer skips them.

    Args:
        steps: the terms of each step, (terms,) each, in the order of `Loss`.
    """
    terms = torch.stack(steps)
    return Loss(*terms[terms.isfinite().all(1)].mean(0))


def _leave_failed_writes(caught: threading.ExceptHookArgs) -> None:
    """Ignore failed writes of TensorBoard's thread. Its next call raises the same error in the calling thread."""
    is_writer = type(caught.thread).__module__.startswith("tensorboard")
    if not (is_writer and isinstance(caught.exc_value, OSError)):
        threading.__excepthook__(caught)


def _as_picture(image: Tensor, height: int, width: int) -> Tensor:
    """Crop the first image of (B, 1 or 3, H, W) to (1, 3, height, width) and limit it to [0, 1]."""
    return image[:1, :, :height, :width].expand(-1, 3, -1, -1).clamp(0, 1).cpu()


def peak_memory(device: torch.device) -> int:
    """Return the peak of used memory in bytes: of the GPU, or of the process on another device."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
