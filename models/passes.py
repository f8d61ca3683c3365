"""At which sizes MP-Net runs, from small frames to large ones.

A pass is one run of MP-Net. It finds motion of about 16 pixels at the size that it runs at, so the first pass runs on
frames of a quarter of the size, say, and each later one refines the estimate on frames twice as large. One pass at full
size is the published network. `models.motion.MotionPerceptionNet` is the loop.
"""

AUTO = "auto"  # passes from the frame's size
MOST_PASSES = 7
Passes = int | str | tuple[int, ...]  # a number, "auto", or scales
Scales = tuple[int, ...]  # of the passes, coarse to fine: s stands for frames of 1/2^s of the size


def check_passes(passes: Passes) -> None:
    """Raise ValueError unless `passes` is "auto", a whole number from 1 to 7, or scales that fall by one."""
    if isinstance(passes, tuple):
        falling = passes and passes == tuple(range(passes[0], passes[-1] - 1, -1))
        if not falling or not 0 <= passes[-1] <= passes[0] < MOST_PASSES:
            raise ValueError(f"scales must fall by one from pass to pass, such as (2, 1, 0), got {passes}")
        return
    is_number = isinstance(passes, int) and not isinstance(passes, bool) and 1 <= passes <= MOST_PASSES
    if passes != AUTO and not is_number:
        raise ValueError(f'passes must be "auto" or a whole number from 1 to {MOST_PASSES}, got {passes!r}')


def scales_of(passes: Passes, height: int, width: int) -> Scales:
    """Return the scales of `passes` passes for frames of this size.

    Args:
        passes: their number, the last one at full size; or "auto": from the frame's size; or the scales themselves.
    Raises:
        ValueError: none of these, see `check_passes`.
    """
    check_passes(passes)
    if isinstance(passes, tuple):
        return passes
    if passes == AUTO:
        return auto_scales(height, width)
    return tuple(range(int(passes) - 1, -1, -1))


def auto_scales(height: int, width: int) -> Scales:
    """Return the scales that suit frames of this size: four, the finest of which is below 640x480 pixels.

    At 1280x720 a pass at full size would cost three quarters of all passes for 0.2 dB (checkpoints/TRAINING.md).
    """
    finest = 0
    while (height >> finest) * (width >> finest) > 640 * 480:
        finest += 1
    return tuple(range(finest + 3, finest - 1, -1))
