# docker build -t waveletvfi .
# docker run --rm --network none --gpus all -v "$PWD:/data" waveletvfi clip.mp4 --output smooth.mp4
#
# DEVICE=cuda (the default): the wheels of requirements.txt, for NVIDIA's GPUs; without one they compute on the CPU.
# DEVICE=cpu: smaller, with PyTorch's wheels for CPUs, from the index of TORCH_INDEX: the address that PyTorch's page
# "Get started" shows for pip and CPU. Nothing is downloaded when the image runs: the weights are in it.

FROM python:3.12-slim-bookworm

ARG DEVICE=cuda
ARG TORCH_INDEX=""

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# Triton compiles what launches its kernels with a C compiler.
# hadolint ignore=DL3008
RUN if [ "$DEVICE" = cuda ]; then \
        apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*; \
    fi

WORKDIR /opt/waveletvfi

COPY requirements.txt ./
RUN case "$DEVICE" in \
        cuda) ;; \
        cpu) \
            if [ -z "$TORCH_INDEX" ]; then \
                echo "DEVICE=cpu needs --build-arg TORCH_INDEX=, the address of PyTorch's wheels for CPUs" >&2; exit 1; \
            fi; \
            grep -E '^(torch|torchvision)==' requirements.txt > torch.txt; \
            pip install --index-url "$TORCH_INDEX" -r torch.txt ;; \
        *) echo "DEVICE is cpu or cuda, not $DEVICE" >&2; exit 1 ;; \
    esac; \
    grep -vE '^(pytest.*|ruff)==' requirements.txt > run.txt; \
    pip install -r run.txt

COPY LICENSE *.py ./
COPY benchmark benchmark/
COPY checkpoints checkpoints/
COPY common common/
COPY datasets datasets/
COPY examples examples/
COPY models models/
COPY pytorch_wavelets pytorch_wavelets/
COPY training training/
COPY video video/

# Any user of the host may run it (--user "$(id -u):$(id -g)"); caches go where all can write. "video" is for NVENC.
ENV HOME=/tmp \
    HF_HUB_OFFLINE=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
WORKDIR /data
USER 1000:1000
ENTRYPOINT ["python", "/opt/waveletvfi/interpolate.py"]
CMD ["--help"]
