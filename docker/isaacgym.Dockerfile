# syntax=docker/dockerfile:1
# Isaac Gym Preview 4 with isaacgymenvs, on Python 3.8. Built and run by `docker/run.sh isaacgym`.
# NVIDIA gives Isaac Gym only to its registered users: put your own copy of
# IsaacGym_Preview_4_Package.tar.gz beside this file.

# The last Ubuntu with Python 3.8, the last Python of Isaac Gym. torch 2.4.1, the last for it, was
# built with CUDA 12.1 and brings its own CUDA libraries.
FROM nvidia/cuda:12.1.1-base-ubuntu20.04

# g++, Python's headers and ninja compile gymtorch at the first import. X and Vulkan are libraries
# that Isaac Gym links to or looks for, with a display or without.
# hadolint ignore=DL3008
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      ca-certificates \
      g++ \
      git \
      libegl1 \
      libgl1 \
      libpython3.8 \
      libvulkan1 \
      libxcursor1 \
      libxi6 \
      libxinerama1 \
      libxrandr2 \
      python3.8-dev \
      python3.8-venv \
 && rm -rf /var/lib/apt/lists/*
COPY docker/vulkan_nvidia.json /usr/share/vulkan/icd.d/nvidia_icd.json
COPY docker/egl_nvidia.json /usr/share/glvnd/egl_vendor.d/10_nvidia.json
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics

# The oldest versions that the tests run with, among them torch and numpy, are the ones here.
COPY .ci/requirements-py38.txt /opt/constraints.txt
ENV PATH=/opt/venv/bin:$PATH \
    PIP_CONSTRAINT=/opt/constraints.txt
# hadolint ignore=DL3013
RUN --mount=type=cache,target=/root/.cache/pip \
    python3.8 -m venv /opt/venv \
 && python -m pip install --upgrade pip setuptools wheel \
 && python -m pip install torch torchvision numpy

RUN --mount=type=bind,source=docker,target=/docker \
    --mount=type=cache,target=/root/.cache/pip \
    /docker/unpack_isaacgym.sh /docker/IsaacGym_Preview_4_Package.tar.gz /opt \
 && python -m pip install --editable /opt/isaacgym/python
# libpython3.8.so.1.0, and libmem_filesys.so of Isaac Gym.
ARG BINDINGS=/opt/isaacgym/python/isaacgym/_bindings/linux-x86_64
ENV LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:$BINDINGS${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

# Version 1.5.1. Editable: its wheel would lack the subpackages.
ARG ISAACGYMENVS_COMMIT=aeed298638a1f7b5421b38f5f3cc2d1079b6d9c3
RUN --mount=type=cache,target=/root/.cache/pip \
    git init --quiet /opt/isaacgymenvs \
 && git -C /opt/isaacgymenvs fetch --quiet --depth 1 \
      https://github.com/isaac-sim/IsaacGymEnvs.git "$ISAACGYMENVS_COMMIT" \
 && git -C /opt/isaacgymenvs checkout --quiet FETCH_HEAD \
 && python -m pip install --editable /opt/isaacgymenvs

# pyproject.toml names the readme and the licence, which nobody reads yet.
COPY pyproject.toml /opt/epo/
RUN --mount=type=cache,target=/root/.cache/pip \
    touch /opt/epo/README.md /opt/epo/LICENSE \
 && python -m pip install "/opt/epo[isaacgym,wandb]"

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
    TORCH_EXTENSIONS_DIR=/cache/torch_extensions
VOLUME /cache
USER 1001
WORKDIR /workspace
ENTRYPOINT ["python", "/opt/epo/train.py"]
