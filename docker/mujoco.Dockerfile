# syntax=docker/dockerfile:1
# MuJoCo Warp on CUDA, MuJoCo on CPU threads. Built and run by `docker/run.sh mujoco`.

# The wheels of torch (CUDA 13.0) and Warp (driver of CUDA 13.0 or later) bring their own CUDA
# libraries: the smallest image of that version is enough.
FROM nvidia/cuda:13.0.2-base-ubuntu24.04

# git names the commit of a run. EGL draws videos without a display: on the GPU with the driver's
# library, which the container toolkit adds, else with Mesa's software.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      git \
      libegl1 \
      libgl1-mesa-dri \
      libglvnd0 \
      libopengl0 \
      python3 \
      python3-venv \
 && rm -rf /var/lib/apt/lists/*
COPY docker/egl_nvidia.json /usr/share/glvnd/egl_vendor.d/10_nvidia.json
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics \
    MUJOCO_GL=egl

# From what changes rarely to what changes often: torch, the other dependencies, the code.
ARG TORCH=2.13.0
ENV PATH=/opt/venv/bin:$PATH
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/venv \
 && python -m pip install "torch==$TORCH"

# pyproject.toml names the readme and the licence, which nobody reads yet.
COPY pyproject.toml /opt/epo/
RUN --mount=type=cache,target=/root/.cache/pip \
    touch /opt/epo/README.md /opt/epo/LICENSE \
 && python -m pip install "torch==$TORCH" "/opt/epo[mujoco,warp,video,wandb]"

COPY train.py README.md LICENSE /opt/epo/
COPY cfg /opt/epo/cfg
COPY epo /opt/epo/epo
COPY tasks /opt/epo/tasks
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip install --no-deps --editable /opt/epo

# run.sh lets the container run as the user who calls it: any user may write to these folders.
RUN useradd --create-home --uid 1001 epo \
 && chmod 1777 /home/epo \
 && install --directory --mode=1777 /cache /workspace
ENV HOME=/home/epo \
    USER=epo \
    XDG_CACHE_HOME=/cache \
    CUDA_CACHE_PATH=/cache/cuda \
    MPLCONFIGDIR=/cache/matplotlib \
    WARP_CACHE_PATH=/cache/warp
VOLUME /cache
USER 1001
WORKDIR /workspace
ENTRYPOINT ["python", "/opt/epo/train.py"]
