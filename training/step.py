"""The outcome of one optimizer step."""

from typing import NamedTuple

from torch import Tensor

from models import Interpolation
from models.losses import Loss


class Step(NamedTuple):
    """The outcome of one optimizer step.

    output, imgt: of the step's last batch. loss: means over its batches, on this process. learning_rate.
    temperature: of the Gumbel-softmax, None outside the dynamic stage. gradient_norm: before any clipping.
    """

    output: Interpolation
    imgt: Tensor
    loss: Loss
    learning_rate: float
    temperature: float | None
    gradient_norm: Tensor
