"""Choose the sizes at which MP-Net runs, from small frames to large ones.

A pass is one run of MP-Net. It finds motion of about 16 pixels at the size that it runs at. Therefore the first pass
runs on smaller frames, such as those of a quarter of the size, which hold larger motion. Each later pass refines the
estimate on frames twice as large. One pass at full size is the published network. The loop over the passes is in
`models.motion.MotionPerceptionNet`.
"""

AUTO = "auto"  # choose the passes by the frame's size
MOST_PASSES = 7
MOST, LEAST = 960 * 540, 1700  # "auto": most pixels of the last pass's frames, fewest pixels of the first pass's
Passes = int | str | tuple[int, ...]  # a number, "auto", or scales
Scales = tuple[int, ...]  # scales of the passes, coarse to fine; scale s stands for frames of 1/2^s of the size


def check_passes(passes: Passes) -> None:
    """Raise ValueError unless `passes` is "auto", a whole number from 1 to 7, or scales that decrease by one."""
    if isinstance(passes, tuple):
        falling = passes and passes == tuple(range(passes[0], passes[-1] - 1, -1))
        if not falling or not 0 <= passes[-1] <= passes[0] < MOST_PASSES:
            raise ValueError(f"scales must fall by one from pass to pass, such as (2, 1, 0), got {passes}")
        return
    is_number = isinstance(passes, int) and not isinstance(passes, bool) and 1 <= passes <= MOST_PASSES
    if passes != AUTO and not is_number:
        raise ValueError(f'passes must be "auto" or a whole number from 1 to {MOST_PASSES}, got {passes!r}')


def scales_of(passes: Passes, height: int, width: int) -> Scales:
    """Return the scales of the passes for frames of this size.

    Args:
        passes: the largest number of passes, of which the last is at full size; passes on frames that are too small to
            show motion are left out. "auto": choose by the frame's size. Scales are returned as they are.
        height, width: size of the frames in pixels.
    Raises:
        ValueError: `passes` is none of these, see `check_passes`.
    """
    check_passes(passes)
    if isinstance(passes, tuple):
        return passes
    if passes == AUTO:
        return tuple(range(_coarsest(height, width), _finest(height, width) - 1, -1))
    return full_scales(min(int(passes), _coarsest(height, width) + 1))


def full_scales(count: int) -> Scales:
    """Return the scales of `count` passes, of which the last is at full size."""
    return tuple(range(count - 1, -1, -1))


def _finest(height: int, width: int) -> int:
    """Return the finest scale of "auto": frames have at most 960x540 pixels.

    At 1280x720, a pass at full size costs as much as all other work, and gains 0.2 dB (checkpoints/TRAINING.md).
    """
    return sum(height * width >> 2 * scale > MOST for scale in range(MOST_PASSES - 1))


def _coarsest(height: int, width: int) -> int:
    """Return the coarsest scale whose frames still show motion. Smaller frames lost 2 dB on 448x256."""
    return max(scale for scale in range(MOST_PASSES) if scale == 0 or height * width >> 2 * scale >= LEAST)
