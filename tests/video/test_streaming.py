"""Memory does not grow with the length of a clip, and decoding, network and encoding run side by side."""

import json

import pytest
from helpers.clips import make_clip, square
from helpers.runs import ROOT, finish, launch

CODE = """
import json, sys
from pathlib import Path
from helpers.clips import Average
from video import Options, convert

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

grown = {{}}
def on_progress(done, total):
    if done in (200, 1000, 2000, 4000, 6000):
        grown[done] = resident()

convert([{clip!r}], {output!r}, Average(), on_progress=on_progress)
print(json.dumps(grown))
"""


@pytest.mark.slow
def test_memory_does_not_grow_between_frames_100_and_3000(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", [square(k % 12) for k in range(3000)], pix_fmt="yuv420p")
    code = CODE.format(clip=str(clip), output=str(tmp_path / "out.mp4"))
    printed = finish(launch("-c", code, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}"), timeout=900)
    grown = json.loads(printed.splitlines()[-1])
    print("resident MiB by output frames:", {done: round(size) for done, size in grown.items()})
    assert grown["6000"] - grown["200"] < 100
