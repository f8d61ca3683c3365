"""Encoders by FFmpeg's names with options of their own: opened before any work begins, or refused in one line."""

from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import Average, make_clip, packets, read, square
from helpers.clips import convert as in_segments

import interpolate
from common.startup import run_script
from video import Options, VideoReader, convert
from video.write import encoders
from video.write.encoders import describe_encoders, parse_options, with_options


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Large enough for every encoder."""
    folder = tmp_path_factory.mktemp("clip")
    return make_clip(folder / "a.mkv", [square(k, 128, 256) for k in range(3)], sound=[0.1], pix_fmt="yuv420p")


@pytest.fixture(scope="module")
def deep(tmp_path_factory) -> Path:
    images = [square(k, 128, 256).astype(np.uint16) * 257 for k in range(3)]
    return make_clip(tmp_path_factory.mktemp("deep") / "a.mkv", images, pix_fmt="yuv420p10le")


def stored(path: Path) -> tuple[str, str, str | None]:
    """Codec, pixel format and profile."""
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return context.codec.canonical_name, context.pix_fmt, context.profile


@pytest.mark.parametrize(
    ("name", "encoder", "options", "expected"),
    [("a.mov", "prores_ks", None, ("prores", "yuv422p10le", "HQ")),
     ("a.mov", "prores_ks", ["profile=lt"], ("prores", "yuv422p10le", "LT")),
     ("a.mkv", "prores_ks", ["profile=4444", "pix_fmt=yuv444p10le"], ("prores", "yuv444p12le", "4444")),
     ("a.mp4", "libx264", ["crf=30", "pix_fmt=yuv444p"], ("h264", "yuv444p", "High 4:4:4 Predictive")),
     ("a.mp4", "libx265", ["pix_fmt=yuv420p10le"], ("hevc", "yuv420p10le", "Main 10")),
     ("a.mp4", "libsvtav1", ["pix_fmt=yuv420p10le", "crf=50"], ("av1", "yuv420p10le", "Main")),
     ("a.mov", "dnxhd", ["profile=dnxhr_hq"], ("dnxhd", "yuv422p", "DNXHR HQ")),
     ("a.mkv", "mpeg4", ["b=1M"], ("mpeg4", "yuv420p", "Simple Profile"))],
)  # fmt: skip
def test_an_encoder_by_name_makes_what_it_is_told(tmp_path, clip, name, encoder, options, expected):
    convert([clip], tmp_path / name, Average(), Options(encoder=encoder, encoder_options=options))
    assert stored(tmp_path / name) == expected
    frames = list(VideoReader(tmp_path / name).frames())
    assert len(frames) == 6 and packets(tmp_path / name) == packets(clip)
    for k, frame in enumerate(read(clip)):
        made = frames[2 * k].image
        assert np.abs(made / (257 if made.dtype == np.uint16 else 1) - frame.image).mean() < 4


@pytest.mark.parametrize(("name", "codec"), [("a.mov", "prores"), ("a.mp4", "av1"), ("a.mkv", "h265")])
def test_ten_bits_of_the_source_stay_ten(tmp_path, deep, name, codec):
    convert([deep], tmp_path / name, Average(), Options(codec=codec))
    assert stored(tmp_path / name)[1] in ("yuv420p10le", "yuv422p10le")


def test_prores_in_segments_keeps_its_times(tmp_path, clip):
    made = VideoReader(in_segments(clip, tmp_path / "a.mov", segment=2, codec="prores"))
    assert [frame.time * made.rate for frame in made.frames()] == list(range(6)) and made.damage is None


@pytest.mark.parametrize(
    ("options", "message"),
    [({"encoder": "libx266"}, r"no video encoder 'libx266'; it has libx264, libx265, .*ffv1"),
     ({"encoder": "aac"}, "no video encoder 'aac'"), ({"encoder": "h264"}, "no video encoder 'h264'"),
     ({"encoder": "prores_ks"}, r"\.mp4 cannot hold the output of prores_ks; use \.mov, \.mkv"),
     ({"encoder": "libx264", "codec": "h265"}, "--codec h265 chooses an encoder, and so does --encoder"),
     ({"encoder": "mpeg4", "crf": 3}, "mpeg4 takes no --crf; -e sets options of its own"),
     ({"encoder_options": ["crf"]}, "-e takes KEY=VALUE, as -e preset=slow, got 'crf'"),
     ({"encoder_options": ["=3"]}, "-e takes KEY=VALUE"), ({"encoder_options": ["a="]}, "-e takes KEY=VALUE"),
     ({"encoder_options": ["crf=1", "crf=2"]}, "-e crf is given twice: 1 and 2"),
     ({"encoder_options": ["crf=1"], "crf": 2}, "--crf 2 and -e crf=1 say the same"),
     ({"encoder_options": ["tun=film"]}, r"libx264 has no option 'tun' \(-e tun=film\); did you mean tune\?"),
     ({"encoder_options": ["xyzzy=1"]}, "no option 'xyzzy' .*`ffmpeg -h encoder=libx264` lists them"),
     ({"encoder_options": ["tune=cartoon"]}, r"libx264 cannot store .*preset/tune medium/cartoon"),
     ({"encoder_options": ["pix_fmt=nv99"]}, "not a pixel format: 'nv99'"),
     ({"encoder_options": ["pix_fmt=yuv440p"]}, r"cannot store 256x128 yuv440p \(.*\); try .* libx265, ")],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_any_work(tmp_path, clip, options, message):
    def never(*_: object) -> None:
        raise AssertionError("work has begun")

    with pytest.raises(ValueError, match=message):
        convert([clip], tmp_path / "a.mp4", Average(), Options(**options), on_progress=never)
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_does_not_say_its_pixel_formats_is_told_one(tmp_path, clip):
    with pytest.raises(
        ValueError, match="rawvideo does not say which pixel formats it takes; name one, as -e pix_fmt="
    ):
        convert([clip], tmp_path / "a.mov", Average(), Options(encoder="rawvideo"))
    convert([clip], tmp_path / "a.mov", Average(), Options(encoder="rawvideo", encoder_options=["pix_fmt=uyvy422"]))
    assert stored(tmp_path / "a.mov")[:2] == ("rawvideo", "uyvy422")


def test_an_encoder_is_for_videos(tmp_path, clip):
    for name, options in (("a.gif", {"encoder": "libx264"}), ("folder", {"encoder_options": ["crf=3"]})):
        with pytest.raises(ValueError, match="--encoder and -e are for videos, not for"):
            convert([clip], tmp_path / name, Average(), Options(**options))


def test_a_device_that_is_not_there_is_told_with_what_works(tmp_path, clip, monkeypatch):
    with pytest.raises(ValueError, match=r"\(.*lib|no encoder 'h264_nvenc'") as caught:
        convert([clip], tmp_path / "a.mp4", Average(), Options(encoder="h264_nvenc"))
    assert "libx264" in str(caught.value)
    monkeypatch.setattr(encoders, "HARDWARE", ("mpeg4", "h264_nvenc", "no_such"))  # one that opens, one that does not
    assert describe_encoders().endswith(", ffv1, mpeg4, mpeg4")


def test_options_of_a_user_win_and_lists_are_joined():
    ours = {"crf": "18", "threads": "4", "x264-params": "cpu-independent=1"}
    assert with_options(ours, {}) == ours
    assert with_options(ours, {"threads": "1", "x264-params": "keyint=9"}) == {
        "crf": "18", "threads": "1", "x264-params": "cpu-independent=1:keyint=9"
    }  # fmt: skip
    assert "crf" not in with_options(ours, parse_options(["b=5M"]))


def test_resume_notices_another_encoder_or_option(tmp_path, clip, monkeypatch):
    monkeypatch.chdir(tmp_path)
    part = tmp_path / ".a.mkv.part"

    def fail(done: int, total: int | None) -> None:
        if done > 100:
            raise KeyboardInterrupt

    long = make_clip(tmp_path / "long.mkv", [square(k % 12) for k in range(80)], pix_fmt="yuv420p")
    chosen = Options(encoder="libx264", encoder_options=["crf=30"])
    with pytest.raises(KeyboardInterrupt):
        convert([long], tmp_path / "a.mkv", Average(), chosen, on_progress=fail)
    assert part.is_dir()
    for other, told in (
        (Options(encoder="ffv1", encoder_options=["g=1"]), "--encoder was libx264, is ffv1"),
        (Options(encoder="libx264", encoder_options=["crf=31"]), r"-e was crf=30, is crf=31"),
    ):
        with pytest.raises(ValueError, match=told):
            convert([long], tmp_path / "a.mkv", Average(), other, resume=True)
    convert([long], tmp_path / "a.mkv", Average(), chosen, resume=True)
    assert len(read(tmp_path / "a.mkv")) == 160 and not part.exists()


def test_the_script_takes_several_options(tmp_path, clip, monkeypatch, capsys):
    monkeypatch.setattr(interpolate, "network", lambda args, device: Average())
    line = f"{clip} --output {tmp_path}/a.mov --encoder prores_ks -e profile=proxy -e quant_mat=proxy"
    run_script(interpolate.main, interpolate.parse_args(line.split()))
    assert stored(tmp_path / "a.mov")[2] == "Proxy"
    with pytest.raises(SystemExit):
        run_script(interpolate.main, interpolate.parse_args(f"{line} -e b --overwrite".split()))
    assert "error: -e takes KEY=VALUE" in capsys.readouterr().err
