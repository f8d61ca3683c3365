"""Figures that others published, to stand beside ours where the whole set was evaluated."""

#: Per set: network, PSNR (dB), SSIM (None: not given), as their papers and repositories print them.
PUBLISHED: dict[str, list[tuple[str, float, float | None]]] = {
    "Vimeo90K": [
        ("WaveletVFI", 35.58, 0.978),
        ("IFRNet-S", 35.59, 0.979),
        ("RIFE", 35.62, 0.978),
        ("IFRNet", 35.80, 0.979),
        ("UPR-Net", 36.03, 0.980),
        ("EMA-VFI-small", 36.07, 0.980),
        ("IFRNet-L", 36.20, 0.981),
        ("AMT-G", 36.53, None),
        ("EMA-VFI", 36.64, 0.982),
    ],
}
