"""python app.py
python app.py --checkpoint weights.pth --port 8000

Open a web page on this machine. It takes two images or a clip, makes the frames between them, and shows the inside of
the network. Nothing leaves the machine. The page needs the packages of requirements-extra.txt.
"""

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

import argparse
import math
import os
import socket
import tempfile
import threading
from pathlib import Path

from common.startup import require
from models import WaveletVFI, default_checkpoint
from models.loading import add_options, network
from utils import pick_device
from web.jobs import Limits, Setup


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: this machine only")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on, 0: any free one (7860)")
    parser.add_argument("--max_megapixels", type=float, default=2.1, help="largest frame; 1920x1080 has 2.07 (2.1)")
    parser.add_argument("--max_frames", type=int, default=300, help="longest clip in frames (300)")
    parser.add_argument("--max_mib", type=int, default=200, help="largest file in MiB (200)")
    add_options(parser, precision="auto")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    check_limits(args)
    port = free_port(args.host, args.port)
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}  # before Gradio is imported
    with tempfile.TemporaryDirectory(prefix="waveletvfi-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # uploads and results are removed when the page ends
        require("gradio", "the web page")
        from web.page import build_page, launch

        device, checkpoint = pick_device(args.device), args.checkpoint or default_checkpoint()
        model, limits = network(args, device), Limits(args.max_megapixels, args.max_frames)
        if not isinstance(model, WaveletVFI):
            raise ValueError(f"the page shows the inside of the network: give its weights, not {checkpoint}")
        setup = Setup(model, checkpoint.name, device, limits, Path(folder))
        page = build_page(setup, ratio=args.ratio, budget=args.budget)
        try:
            launch(page, host=args.host, port=port, max_mib=args.max_mib)
            print(f"http://{args.host}:{port} (Ctrl-C ends it)", flush=True)
            threading.Event().wait()
        finally:
            page.close(verbose=False)


def check_limits(args: argparse.Namespace) -> None:
    """Raise ValueError if a limit would allow nothing."""
    for name, least in (("max_megapixels", 0), ("max_frames", 1), ("max_mib", 0)):
        if not least < getattr(args, name) < math.inf:
            raise ValueError(f"--{name} must be more than {least}, got {getattr(args, name)}")


def free_port(host: str, port: int) -> int:
    """Return the port, or any free port for 0. Raise OSError if the port cannot be used."""
    try:
        with socket.create_server((host, port)) as server:
            return server.getsockname()[1]
    except (OSError, OverflowError) as error:
        raise OSError(f"cannot listen on port {port} of {host} ({error}); give another --port or --host") from error


if __name__ == "__main__":
    run_script(main, parse_args())
