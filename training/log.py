"""What a training run shows while it works: TensorBoard curves and images, and one line per validation."""

import os

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import flow_to_image, make_grid

from models import Interpolation
from models.losses import Loss

from .scores import Validation

ERROR_GAIN = 5  # so that errors of a few grey levels can be seen


class TrainingLog:
    """Writes to a folder for TensorBoard; entries from `first_step` on, left by an interrupted run, are superseded."""

    def __init__(self, folder: str | os.PathLike, ratios: tuple[float, ...], *, first_step: int = 0):
        self.writer, self.ratios = SummaryWriter(str(folder), purge_step=first_step), ratios

    def step(self, step: int, output: Interpolation, loss: Loss, lr: float, temperature: float | None) -> None:
        """Loss terms, learning rate and, where there is one, the temperature and the candidates' probabilities."""
        for name, value in loss._asdict().items():
            self.writer.add_scalar(f"loss/{name}", value.item(), step)
        self.writer.add_scalar("schedule/learning_rate", lr, step)
        if temperature is not None:
            self.writer.add_scalar("schedule/temperature", temperature, step)
            self._per_ratio("probability", output.probs.detach().mean(0).tolist(), step)

    def validation(self, step: int, found: Validation) -> None:
        """PSNR (dB) of the frame and of the merged frame, mean cost, and how often each ratio was chosen."""
        self.writer.add_scalar("validation/psnr", found.psnr, step)
        self.writer.add_scalar("validation/psnr_merged", found.psnr_merged, step)
        self.writer.add_scalar("validation/cost", found.cost, step)
        self._per_ratio("validation/share", found.shares, step)
        chosen = " ".join(f"{ratio:g}: {share:.0%}" for ratio, share in zip(self.ratios, found.shares, strict=True))
        scores = f"PSNR {found.psnr:.3f} dB, merged {found.psnr_merged:.3f} dB, cost {found.cost:.3f}"
        print(f"step {step}: {scores}, ratios {chosen}", flush=True)

    def images(self, step: int, output: Interpolation, imgt: Tensor) -> None:
        """Two rows: prediction, truth, error, flow_t0; flow_t1, and the masks of levels 1 to 3."""
        height, width = imgt.shape[-2:]
        error = ((output.frame - imgt).abs() * ERROR_GAIN).clamp(0, 1)
        flows = [flow_to_image(flow).float() / 255 for flow in (output.motion.flow_t0, output.motion.flow_t1)]
        masks = [
            F.interpolate(mask, scale_factor=2**level).expand(-1, 3, -1, -1)
            for level, mask in enumerate(output.candidates[0].masks, start=1)
        ]
        panels = [output.frame, imgt, error, *(panel[..., :height, :width] for panel in flows + masks)]
        grid = make_grid(torch.cat([panel.cpu() for panel in panels]), nrow=4)
        self.writer.add_image("prediction, truth, error; flows, masks", grid, step)

    def _per_ratio(self, name: str, values: list[float], step: int) -> None:
        for ratio, value in zip(self.ratios, values, strict=True):
            self.writer.add_scalar(f"{name}/ratio_{ratio:g}", value, step)
