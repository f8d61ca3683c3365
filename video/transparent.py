"""Which outputs keep alpha, and what is said of the others before any work."""

from collections.abc import Mapping

from av.video.format import VideoFormat

from .colour import is_transparent
from .known import DEFAULT_CODECS, Codec

ALPHA_CODECS = {".mov": "prores", ".mkv": "ffv1", ".webm": "vp9"}  # where alpha is kept
ALPHA_KEPT = ".mov (ProRes 4444), .webm (VP9), .mkv (FFV1), .apng, or a folder of PNG files"
# Options with which an encoder leaves alpha out, though its pixel format has it.
OPAQUE = {"prores_ks": {"profile": ("proxy", "lt", "standard", "hq", "0", "1", "2", "3"), "alpha_bits": ("0",)}}


def check_alpha(settings: Codec, suffix: str, given: Mapping[str, str]) -> None:
    """Refuse a video that would lose alpha.

    Args:
        given: options that a user gave the encoder, and "pix_fmt".
    Raises:
        ValueError: what does not keep it, and what does.
    """
    if suffix in DEFAULT_CODECS and suffix not in settings.with_alpha:
        raise without_alpha(f"{settings.encoder} in {suffix}")
    opaque = OPAQUE.get(settings.encoder, {})
    for key, value in given.items():
        if value in opaque.get(key, ()) or (key == "pix_fmt" and not is_transparent(VideoFormat(value))):
            raise without_alpha(f"-e {key}={value}")


def without_alpha(what: str) -> ValueError:
    """Return the error that says so."""
    return ValueError(f"{what} cannot keep an alpha channel; use {ALPHA_KEPT}, or leave --alpha out")
