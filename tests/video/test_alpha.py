"""Alpha is interpolated where it is asked for, colour does not bleed, and what cannot keep it is refused in advance."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.format import VideoFormat
from helpers.clips import Average, make_clip, square
from helpers.interrupted import Interrupted, content
from helpers.pictures import read_picture
from PIL import Image

import interpolate
from models import waveletvfi
from video import Options, VideoReader, convert, interpolate_frames
from video.frame import Frame, side_by_side
from video.read.colour import Colour, decode_alpha, encode_picture
from video.read.images import ImageReader, list_frames, save_picture
from video.render.alpha import fill
from video.schedule.scenes import watch

CHECKPOINT = Path(__file__).parents[2] / "checkpoints" / "waveletvfi_small.pth"
ALPHA = Options(alpha=True)
HEIGHT, WIDTH = 48, 64


def disc(centre: float, *, dtype=np.uint8, ground=(0, 255, 0)) -> tuple[np.ndarray, np.ndarray]:
    """A blue disc with a soft edge: straight colour, `ground` where it is transparent, and alpha."""
    most = np.iinfo(dtype).max
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    share = np.clip((12 - np.hypot(x - centre, y - 24)) / 3 + 0.5, 0, 1)
    image = np.where(share[..., None] > 0, (20, 40, 220), ground).astype(dtype) * (most // 255)
    return image, (share * most).round().astype(dtype)


def make_folder(folder: Path, *, dtype=np.uint8, count: int = 4) -> Path:
    folder.mkdir()
    for k in range(count):
        save_picture(folder / f"{k}.png", *disc(20 + 4 * k, dtype=dtype))
    return folder


def make_video(path: Path, codec: str, pix_fmt: str, *, count: int = 4, **options) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=25, options=options)
        video.height, video.width, video.pix_fmt = HEIGHT, WIDTH, pix_fmt
        if codec.startswith("libvpx"):
            video.metadata["alpha_mode"] = "1"
        for k in range(count):
            image, alpha = disc(20 + 4 * (k % 6), dtype=np.uint16 if pix_fmt.endswith("le") else np.uint8)
            rgba = np.concatenate([image, alpha[..., None]], axis=2)
            kind = "rgba64le" if image.dtype == np.uint16 else "rgba"
            frame = av.VideoFrame.from_ndarray(rgba, kind).reformat(format=pix_fmt)
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode())
    return path


def frames_of(path: Path) -> list[Frame]:
    reader = ImageReader(list_frames(path), keeps_alpha=True) if path.is_dir() else VideoReader(path, keeps_alpha=True)
    assert reader.has_alpha
    return list(reader.frames())


SOURCES = {
    "png": lambda folder: make_folder(folder / "png"),
    "png16": lambda folder: make_folder(folder / "png16", dtype=np.uint16),
    "prores": lambda folder: make_video(folder / "in.mov", "prores_ks", "yuva444p10le"),
    "vp9": lambda folder: make_video(
        folder / "in.webm", "libvpx-vp9", "yuva420p", **{"auto-alt-ref": "0", "crf": "10"}
    ),
    "vp8": lambda folder: make_video(folder / "in.webm", "libvpx", "yuva420p", **{"auto-alt-ref": "0", "crf": "10"}),
    "ffv1": lambda folder: make_video(folder / "in.mkv", "ffv1", "yuva422p"),
    "ffv1 rgb": lambda folder: make_video(folder / "in.mkv", "ffv1", "bgra"),
    "ffv1 deep": lambda folder: make_video(folder / "in.mkv", "ffv1", "gbrap16le"),
    "apng": lambda folder: make_video(folder / "in.apng", "apng", "rgba"),
}
#: Output, codec, and if it keeps the alpha of 8 and of more bits exactly.
OUTPUTS = {
    "out": ("", True, True),
    "out.mov": ("yuva444p", True, False),
    "out.mkv": ("a", True, True),
    "out.webm": ("yuva420p", False, False),
    "out.apng": ("rgba", True, False),
}
PAIRS = [(source, "out.mkv") for source in SOURCES] + [
    *(("png", name) for name in OUTPUTS if name != "out.mkv"),
    *(("png16", name) for name in ("out", "out.apng")),
    ("vp9", "out.webm"), ("vp9", "out"), ("prores", "out.mov"), ("prores", "out"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "name"), PAIRS)
def test_alpha_goes_from_every_source_into_every_output(tmp_path, caplog, source, name):
    given = SOURCES[source](tmp_path)
    convert([given], tmp_path / name, Average(), ALPHA)
    assert "dropped" not in caplog.text and "no alpha" not in caplog.text
    before, after = frames_of(given), frames_of(tmp_path / name)
    is_deep = before[0].image.dtype == np.uint16
    is_exact = OUTPUTS[name][2 if is_deep else 1]
    step = 2 / 1023 if "prores" in (source, name) or name == "out.mov" else 1e-9
    assert len(after) == 2 * len(before)
    for one, other in zip(before, after[::2], strict=True):
        alphas = [frame.alpha.astype(float) / np.iinfo(frame.alpha.dtype).max for frame in (one, other)]
        np.testing.assert_allclose(*alphas, atol=step if is_exact else 0.06)
    for k, frame in enumerate(after[1:-1:2]):
        truth = (before[k].alpha.astype(float) + before[k + 1].alpha) / 2 / np.iinfo(before[k].alpha.dtype).max
        assert np.abs(frame.alpha / np.iinfo(frame.alpha.dtype).max - truth).mean() < 0.01
    if not (tmp_path / name).is_dir():
        assert OUTPUTS[name][0] in VideoReader(tmp_path / name, keeps_alpha=True).pixel_format


def transparent(k: int, ground=(0, 255, 0), step: float = 4) -> Frame:
    image, alpha = disc(20 + step * k, ground=ground)
    return Frame(image, Fraction(k), "disc", alpha=alpha)


class Counted(Average):
    """The average, and how often it was asked."""

    count = 0

    def interpolate(self, img0, img1, **options):
        self.count += 1
        return super().interpolate(img0, img1, ratio=None)


def test_what_is_kept_as_it_is_keeps_colour_where_it_is_transparent(tmp_path):
    given = make_folder(tmp_path / "in")
    for name in ("out", "out.mkv", "out.apng"):
        convert([given], tmp_path / name, Average(), ALPHA)
        for one, other in zip(frames_of(given), frames_of(tmp_path / name)[::2], strict=True):
            np.testing.assert_array_equal(one.image, other.image)
            np.testing.assert_array_equal(one.alpha, other.alpha)


def test_colour_does_not_bleed_from_where_it_is_transparent(small):
    """Made frames are the same whatever stands there, and have no other colour than the disc's, up to rounding."""
    made = []
    for ground in ((0, 255, 0), (255, 0, 0)):
        frames = [transparent(k, ground) for k in range(2)]
        _, frame, _ = interpolate_frames(frames, small, ratio=0.0)
        made.append(frame)
        average = list(interpolate_frames(frames, Average()))[1]
        assert np.abs(average.image.astype(int) - (20, 40, 220)).max() <= 1
    np.testing.assert_array_equal(made[0].image, made[1].image)
    np.testing.assert_array_equal(made[0].alpha, made[1].alpha)


def test_a_made_frame_is_the_mean_of_premultiplied_ones():
    frames = [transparent(k) for k in range(2)]
    _, made, _ = interpolate_frames(frames, Average())
    seen = [frame.image * (frame.alpha[..., None] / 255) for frame in (*frames, made)]
    np.testing.assert_allclose(seen[2], (seen[0] + seen[1]) / 2, atol=3)
    np.testing.assert_allclose(made.alpha, (frames[0].alpha + frames[1].alpha.astype(float)) / 2, atol=2.5)
    assert set(made.alpha[:, :4].ravel()) == {0} and made.alpha[24, 22] == 255


@pytest.mark.parametrize("colour", ["textured", "shadow"])
def test_a_known_moving_disc_has_the_known_alpha_and_colour_in_the_middle(colour):
    """Far closer to the truth than the average, for a black shadow as well, which has no motion over black."""
    y, x = np.mgrid[:96, :128].astype(float)

    def frame(k: int) -> Frame:
        u, v = x - 58 - 3 * k, y - 46 - k
        share = np.clip((24 - np.hypot(u, v)) / 1.5 + 0.5, 0, 1)
        waves = np.stack([np.sin(u / 5 + v / 9), np.cos(v / 7), np.sin((u + v) / 8)], axis=-1)
        image = 120 + 90 * waves if colour == "textured" else np.zeros((96, 128, 3))
        image[share == 0] = 255 * np.random.default_rng(0).random((96, 128, 3))[share == 0]
        most = 255 if colour == "textured" else 150
        return Frame(image.round().astype(np.uint8), Fraction(k), "disc", alpha=(most * share).round().astype(np.uint8))

    def errors(made: Frame) -> np.ndarray:
        """Mean squares: of alpha, and of the picture before white."""
        pictures = []
        for one in (made, truth):
            share = one.alpha[..., None] / 255
            pictures.append((one.alpha / 255, one.image / 255 * share + 1 - share))
        return np.array([np.square(a - b).mean() for a, b in zip(*pictures, strict=True)])

    first, truth, last = map(frame, range(3))
    made, average = (
        list(interpolate_frames([first, last], model, ratio=0.0))[1] for model in (waveletvfi(CHECKPOINT), Average())
    )
    assert (errors(made) * 30 < errors(average)).all(), (errors(made), errors(average))


def test_alpha_that_stays_is_copied_and_costs_one_run():
    still = transparent(0)
    image = np.roll(still.image, 3, axis=1)
    model = Counted()
    _, made, _ = interpolate_frames([still, still._replace(image=image, time=Fraction(1))], model)
    assert model.count == 1
    np.testing.assert_array_equal(made.alpha, still.alpha)
    model = Counted()
    list(interpolate_frames([still, transparent(1)], model))
    assert model.count == 2


def test_a_moving_shadow_is_neither_a_duplicate_nor_held():
    frames = [transparent(k, (0, 0, 0))._replace(image=np.zeros((HEIGHT, WIDTH, 3), np.uint8)) for k in range(3)]
    assert not any(verdict.is_duplicate for _, verdict in list(watch(frames))[:-1])
    made = list(interpolate_frames(frames, Average()))[1]
    assert 100 < made.alpha[24, 9] < 160


@pytest.mark.parametrize("name", ["out.webm", "out.mov"])
def test_codecs_that_mix_neighbours_get_no_colour_from_transparent_places(tmp_path, name):
    convert([make_folder(tmp_path / "in")], tmp_path / name, Average(), ALPHA)
    for frame in frames_of(tmp_path / name):
        most = np.iinfo(frame.image.dtype).max
        edge = (frame.alpha > most // 8) & (frame.alpha < most)
        assert np.abs(frame.image[edge] / most * 255 - (20, 40, 220)).max() < 24


def test_transparent_places_get_the_nearest_colours():
    image, alpha = disc(32)
    filled = fill(image, alpha)
    np.testing.assert_array_equal(filled[alpha > 0], image[alpha > 0])
    assert np.abs(filled.astype(int) - (20, 40, 220)).max() <= 1
    assert fill(image, np.full_like(alpha, 255)) is image
    assert not fill(image, np.zeros_like(alpha)).any()


@pytest.mark.parametrize(
    "pixel_format", ["yuva420p", "yuva444p10le", "yuva422p16le", "gbrap12le", "gbrap16le", "gbrap", "bgra", "rgba64be"]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_stored_exactly_as_far_as_the_bits_go(pixel_format, dtype):
    alpha = np.linspace(0, np.iinfo(dtype).max, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).round().astype(dtype)
    image = np.zeros((HEIGHT, WIDTH, 3), dtype)
    bits = min(max(part.bits for part in VideoFormat(pixel_format).components), 8 * alpha.itemsize)
    if pixel_format == "rgba64be":
        bits = 8  # not among the formats of outputs: stored by the converter for this test
        rgba = np.concatenate([image, alpha[..., None]], axis=2)
        picture = av.VideoFrame.from_ndarray(rgba, "rgba" if dtype == np.uint8 else "rgba64le")
        picture = picture.reformat(format=pixel_format)
    else:
        picture = encode_picture(image, pixel_format, Colour.of_size(HEIGHT), alpha)
    back = decode_alpha(picture, is_deep=dtype == np.uint16)
    assert back.dtype == dtype
    np.testing.assert_allclose(back.astype(float), alpha, atol=np.iinfo(dtype).max / 2 / (2**bits - 1) + 0.5)
    assert (decode_alpha(encode_picture(image, pixel_format, Colour.of_size(HEIGHT))) == 255).all()


@pytest.mark.parametrize("name", ["out.mp4", "out.m4v", "out.gif"])
def test_an_output_without_a_place_for_alpha_is_refused_before_anything_is_computed(tmp_path, name):
    given = make_folder(tmp_path / "in")
    with pytest.raises(ValueError, match=rf"{name} cannot keep an alpha channel; use .mov .ProRes 4444., .webm .VP9.,"):
        convert([given], tmp_path / name, Interrupted(0, AssertionError()), ALPHA)
    with pytest.raises(ValueError, match=r"h264 in .mkv cannot keep an alpha channel; use .*or leave --alpha out"):
        convert([given], tmp_path / "out.mkv", Average(), Options(alpha=True, codec="h264"))
    with pytest.raises(ValueError, match=r"a.jpg cannot keep an alpha channel; use .png"):
        convert([given / "0.png", given / "1.png"], tmp_path / "a.jpg", Average(), ALPHA)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("name", ["out.mp4", "out.webm", "out"])
def test_an_input_without_alpha_is_said_in_one_line_and_made(tmp_path, caplog, name):
    source = make_clip(tmp_path / "a.mp4", [square(k) for k in range(3)])
    assert convert([source], tmp_path / name, Average(), ALPHA).frames == 6
    assert caplog.messages == [f"{source}: no alpha channel, so --alpha changes nothing"]
    (tmp_path / "b").mkdir()
    convert([source], tmp_path / "b" / name, Average())
    assert content(tmp_path / name) == content(tmp_path / "b" / name)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_the_middle_of_two_images_keeps_alpha(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(make_folder(tmp_path / "in", count=2))
    args = interpolate.parse_args(["0.png", "1.png", "--output", f"out{suffix}", "--alpha"])
    convert(args.input, args.output, Average(), Options(alpha=args.alpha))
    with Image.open(f"out{suffix}") as image:
        assert image.mode == "RGBA"
        truth = [disc(20 + 4 * k)[1].astype(float) for k in range(2)]
        np.testing.assert_allclose(np.asarray(image)[..., 3], sum(truth) / 2, atol=3)


def test_images_of_which_some_have_alpha_and_palettes_are_read(tmp_path, caplog):
    folder = make_folder(tmp_path / "in", count=1)
    image, alpha = disc(24)
    save_picture(folder / "1.png", image)
    Image.fromarray(np.where(alpha > 0, 1, 0).astype(np.uint8)).convert("P").save(folder / "2.png", transparency=0)
    Image.fromarray(np.stack([image[..., 0], alpha], axis=2), "LA").save(folder / "3.png")
    frames = frames_of(folder)
    assert (frames[1].alpha == 255).all()
    for frame, expected in zip(frames[2:], (np.where(alpha > 0, 255, 0), alpha), strict=True):
        np.testing.assert_array_equal(frame.alpha, expected)
    assert "dropped" not in caplog.text
    assert [frame.alpha for frame in ImageReader(list_frames(folder)).frames()] == [None] * 4


def test_16_bits_of_alpha_are_written_and_read_exactly(tmp_path):
    image, alpha = disc(24.3, dtype=np.uint16)
    for suffix in (".png", ".tif"):
        save_picture(tmp_path / f"a{suffix}", image, alpha)
        (frame,) = ImageReader([tmp_path / f"a{suffix}"], keeps_alpha=True).frames()
        np.testing.assert_array_equal(frame.alpha, alpha)
        np.testing.assert_array_equal(frame.image, read_picture(tmp_path / f"a{suffix}"))


def test_behind_a_damaged_packet_transparent_video_goes_on_at_the_next_key_frame(tmp_path):
    source = make_video(tmp_path / "a.webm", "libvpx-vp9", "yuva420p", count=24, g="4", **{"auto-alt-ref": "0"})
    with av.open(str(source)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content, place = bytearray(source.read_bytes()), 0
    for packet in packets[:10]:
        place = content.index(packet, place + 1)
    content[place : place + 4] = b"\xff\xff\xff\xff"
    source.write_bytes(content)
    reader, times = VideoReader(source, keeps_alpha=True), []
    with pytest.raises(ValueError, match=r"3 pictures lost, the one before is held: 0.32 to 0.48 s"):
        for frame in reader.frames():
            times.append(frame.time * 25)
    assert times == [k for k in range(24) if k not in (9, 10, 11)]


def test_animated_webp_keeps_its_alpha(tmp_path):
    layers = [Image.fromarray(np.dstack(disc(20 + 4 * k))) for k in range(3)]
    layers[0].save(tmp_path / "a.webp", save_all=True, append_images=layers[1:], duration=100, lossless=True)
    convert([tmp_path / "a.webp"], tmp_path / "out", Average(), ALPHA)
    for k, frame in enumerate(frames_of(tmp_path / "out")[::2]):
        np.testing.assert_array_equal(frame.alpha, disc(20 + 4 * k)[1])


def test_comparison_and_resuming_keep_alpha(tmp_path, monkeypatch):
    monkeypatch.setattr("video.schedule.timeline.SEGMENT", 2)
    given = make_folder(tmp_path / "in", count=8)
    options = Options(alpha=True, compare=True)
    convert([given], tmp_path / "whole.webm", Average(), options)
    with pytest.raises(KeyboardInterrupt):
        convert([given], tmp_path / "out.webm", Interrupted(13, KeyboardInterrupt()), options)
    with pytest.raises(ValueError, match=r"belongs to another job .--alpha was True, is False"):
        convert([given], tmp_path / "out.webm", Average(), Options(compare=True), resume=True)
    convert([given], tmp_path / "out.webm", Average(), options, resume=True)
    assert (tmp_path / "out.webm").read_bytes() == (tmp_path / "whole.webm").read_bytes()
    frames = frames_of(tmp_path / "out.webm")
    assert frames[0].alpha.shape == (HEIGHT, 2 * WIDTH)
    one = Frame(*disc(20)[:1], Fraction(0), "")
    np.testing.assert_array_equal(side_by_side(one, transparent(0)).alpha[:, :WIDTH], 255)


def test_players_are_told_of_the_alpha(tmp_path):
    given = make_folder(tmp_path / "in", count=2)
    for name in ("a.webm", "a.mov", "b.mkv"):
        codec = "prores" if name == "b.mkv" else None
        convert([given], tmp_path / name, Average(), Options(alpha=True, codec=codec))
    with av.open(str(tmp_path / "a.webm")) as container:
        assert {key.lower(): value for key, value in container.streams.video[0].metadata.items()}["alpha_mode"] == "1"
    for name in ("a.mov", "b.mkv"):
        with av.open(str(tmp_path / name)) as container:
            assert container.streams.video[0].codec_context.profile == "4444"


def test_prores_without_alpha_is_stored_in_its_own_formats(tmp_path):
    source = make_clip(tmp_path / "a.mp4", [square(k) for k in range(2)], pix_fmt="yuv420p")
    fine = make_clip(tmp_path / "b.mp4", [square(k) for k in range(2)], pix_fmt="yuv444p")
    for path, expected in ((source, "yuv422p10le"), (fine, "yuv444p12le")):
        convert([path], tmp_path / f"{path.stem}.mov", Average(), Options(codec="prores"))
        assert VideoReader(tmp_path / f"{path.stem}.mov").pixel_format == expected


@pytest.mark.parametrize(("name", "encoder"), [("a.mov", "prores_ks"), ("a.mkv", "ffv1"), ("a.webm", "libvpx-vp9")])
def test_an_encoder_by_name_keeps_alpha_as_its_codec_does(tmp_path, name, encoder):
    given = make_folder(tmp_path / "in", count=2)
    convert([given], tmp_path / name, Average(), ALPHA)
    convert([given], tmp_path / f"named{name}", Average(), Options(alpha=True, encoder=encoder))
    assert (tmp_path / f"named{name}").read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [("a.mov", {"encoder": "libx264"}, r"libx264 in .mov cannot keep an alpha channel; use .mov \(ProRes"),
     ("a.mp4", {"encoder": "libvpx-vp9"}, r"a.mp4 cannot keep an alpha channel"),
     ("a.mkv", {"encoder_options": ["pix_fmt=yuv420p"]}, "-e pix_fmt=yuv420p cannot keep"),
     ("a.mov", {"encoder": "prores_ks", "encoder_options": ["profile=hq"]}, "-e profile=hq cannot keep"),
     ("a.mov", {"codec": "prores", "encoder_options": ["alpha_bits=0"]}, "-e alpha_bits=0 cannot keep")],
)  # fmt: skip
def test_an_encoder_that_loses_alpha_is_refused_before_any_work(tmp_path, name, options, message):
    given = make_folder(tmp_path / "in", count=2)
    with pytest.raises(ValueError, match=message):
        convert([given], tmp_path / name, Average(), Options(alpha=True, **options))
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
