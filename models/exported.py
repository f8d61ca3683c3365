"""Run an ONNX graph of the network in place of the network."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from common.startup import require

from .config import config_of
from .interface import Interpolation, check_frames, check_times
from .motion import Motion
from .synthesis import Synthesis
from .waveletvfi import WaveletVFI

METADATA = "waveletvfi"  # key of the graph's metadata entry that holds the fields of a `Graph` as JSON
HIGHS = ("high1", "high2", "high3", "high4")
MASKS = ("mask1", "mask2", "mask3")
#: Names of a graph's outputs: fields of `Interpolation`, `Motion` and `Synthesis`; `high1` and `mask1` are level 1.
NAMES = (
    *("frame", "merged", "flow_t0", "flow_t1", "occlusion", "ratio_logits"),
    *("low", *HIGHS, *MASKS, "cost", "executed", "ratio"),
)


class Graph(NamedTuple):
    """The settings that a graph was exported with.

    config: fields of the network's `Config`.
    ratio: threshold ratio; None if the classifier chooses.
    precision: number type of the convolutions.
    """

    config: dict[str, Any]
    ratio: float | None
    precision: str


def named(output: Interpolation) -> dict[str, Tensor]:
    """Return the tensors of an `Interpolation` with one candidate, by the names in `NAMES`."""
    (synthesis,) = output.candidates
    known = output._asdict() | output.motion._asdict() | synthesis._asdict() | {"frame": output.frame}
    known |= dict(zip(HIGHS, synthesis.highs, strict=True)) | dict(zip(MASKS, synthesis.masks, strict=True))
    return {name: known[name] for name in NAMES}


class OnnxModel:
    """An ONNX graph from `models.export`, with the methods of `WaveletVFI`. It needs the optional package onnxruntime.

    Args:
        path: the .onnx file.
        device: "cpu", or "cuda" if onnxruntime supports it.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a graph of this network, or onnxruntime is missing or cannot use the device.
    """

    def __init__(self, path: str | os.PathLike[str], device: str | torch.device = "cpu"):
        if not Path(path).is_file():
            raise FileNotFoundError(f"no graph at {path}; export_onnx.py makes one")
        self.path = str(path)
        self._device = torch.device(device)
        self._session = _open(self.path, self._device)
        text = self._session.get_modelmeta().custom_metadata_map.get(METADATA)
        if text is None or {output.name for output in self._session.get_outputs()} != set(NAMES):
            raise ValueError(f"{path} is a graph, but not of this network; export_onnx.py makes one")
        graph = Graph(**json.loads(text))
        self.ratio, self.precision = graph.ratio, graph.precision
        self.config = config_of({"config": graph.config}, "base", source=self.path)
        with torch.device("meta"):  # without weights; only for counting operations
            self._shapes = WaveletVFI(self.config)

    def __reduce__(self) -> tuple:
        """Pickle the path and the device, so that another process opens the graph again."""
        return type(self), (self.path, self._device)

    def interpolate(
        self,
        img0: Tensor,
        img1: Tensor,
        *,
        ratio: float | Tensor | None = None,
        budget: float | None = None,
        t: float | Tensor | None = None,
    ) -> Tensor:
        """Make the frame at time t, as `WaveletVFI.interpolate` does. Arguments and errors: see `interpolate_details`.

        Returns:
            (B, 3, H, W) in [0, 1].
        """
        return self.interpolate_details(img0, img1, ratio=ratio, budget=budget, t=t).frame

    @torch.inference_mode()
    def interpolate_details(
        self,
        img0: Tensor,
        img1: Tensor,
        *,
        ratio: float | Tensor | None = None,
        budget: float | None = None,
        t: float | Tensor | None = None,
    ) -> Interpolation:
        """Do the same as `WaveletVFI.interpolate_details`. The results are on the device of the frames.

        Args:
            img0, img1, t: as in `WaveletVFI.interpolate`.
            ratio: None, or the ratio that the graph was made with.
            budget: None; a graph cannot keep to a budget.
        Raises:
            ValueError: frames or times that `WaveletVFI` refuses, another ratio than the graph's, or a budget.
        """
        check_frames(img0, img1)
        if budget is not None or not (ratio is None or (self.ratio is not None and ratio == self.ratio)):
            made = "the network's choice of ratio" if self.ratio is None else f"ratio {self.ratio:g}"
            raise ValueError(f"{self.path} was made with {made} and takes no other; export_onnx.py --ratio makes one")
        times = check_times(0.5 if t is None else t, img0, any_time=self.config.any_time)
        inputs = [("img0", img0), ("img1", img1)] + ([("t", times)] if times is not None else [])
        frames = {name: value.float().cpu().numpy() for name, value in inputs}
        arrays = self._session.run(list(NAMES), frames)
        outputs = {name: torch.from_numpy(array).to(img0.device) for name, array in zip(NAMES, arrays, strict=True)}
        output = _interpolation(outputs, img0.dtype)
        return output._replace(scales=self._shapes.scales(*output.merged.shape[-2:]), network=self._shapes)


def _interpolation(outputs: dict[str, Tensor], dtype: torch.dtype) -> Interpolation:
    frame = outputs["frame"].to(dtype)
    highs, masks = ([outputs[name] for name in names] for names in (HIGHS, MASKS))
    cost, executed, ratio = (outputs[name] for name in ("cost", "executed", "ratio"))
    synthesis = Synthesis(frame, outputs["low"], highs, masks, cost, executed, ratio)
    motion = Motion(outputs["flow_t0"], outputs["flow_t1"], outputs["occlusion"], outputs["ratio_logits"])
    return Interpolation(frame, outputs["merged"], motion, torch.ones_like(cost)[:, None], [synthesis])


def _open(path: str, device: torch.device) -> Any:
    runtime = require("onnxruntime", f"running {path}")
    provider = "CUDAExecutionProvider" if device.type == "cuda" else "CPUExecutionProvider"
    if device.type not in ("cpu", "cuda") or provider not in runtime.get_available_providers():
        raise ValueError(f"onnxruntime cannot use {device.type} here; give --device cpu")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    try:
        return runtime.InferenceSession(path, options, providers=[provider])
    except Exception as error:  # a damaged file may cause any error
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} is not a graph that ONNX Runtime reads ({reason})") from error
