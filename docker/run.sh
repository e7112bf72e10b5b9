#!/usr/bin/env bash
# Train in a container: build the image if it is not there, pass the rest on to train.py.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: docker/run.sh [--build] [--gpus GPUS] IMAGE [name=value...]
       docker/run.sh [--build] [--gpus GPUS] IMAGE -- COMMAND...

  IMAGE        mujoco: MuJoCo Warp on CUDA, MuJoCo on the CPU
               isaacgym: Isaac Gym; its archive, your own, must lie in docker/
  --build      build the image again, for instance after its dependencies changed
  --gpus GPUS  as for docker run, such as 1 or device=0; default all, or none
  name=value   settings of train.py
  COMMAND      what to run instead, such as python -m epo bench sim

The code is that of this checkout, not the image's copy. Results go to runs/ in the present
folder, compiled kernels to the Docker volume epo-cache.
EOF
}

fail() {
  echo "error: $*" >&2
  exit 2
}

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
archive="$root/docker/IsaacGym_Preview_4_Package.tar.gz"
is_rebuilt=false
gpus=all
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) usage && exit ;;
    --build) is_rebuilt=true ;;
    --gpus)
      [ $# -gt 1 ] || fail "--gpus: say which: all, none, a number or device=0"
      gpus="$2"
      shift
      ;;
    -*) fail "option $1: unknown; see docker/run.sh --help" ;;
    *) break ;;
  esac
  shift
done
[ $# -gt 0 ] || { usage && exit; }

image="$1"
shift
case "$image" in
  mujoco) ;;
  isaacgym)
    # Unless the engine is chosen, or something else is run.
    [[ " ${*:-} " == *" engine="* || "${1:-}" == "--" ]] || set -- engine=isaacgym "$@"
    ;;
  *) fail "image $image: unknown; use mujoco or isaacgym" ;;
esac
command -v docker >/dev/null ||
  fail "docker: not found; install Docker Engine, and for GPUs the NVIDIA Container Toolkit"
docker info >/dev/null 2>&1 ||
  fail "docker: its daemon does not answer; start it, or see whether you may use it (docker info)"

if "$is_rebuilt" || ! docker image inspect "epo:$image" >/dev/null 2>&1; then
  [ "$image" != isaacgym ] || "$root/docker/unpack_isaacgym.sh" "$archive"
  DOCKER_BUILDKIT=1 docker build --tag "epo:$image" \
    --file "$root/docker/$image.Dockerfile" "$root"
fi

options=(
  --rm --init --shm-size 8g
  --user "$(id -u):$(id -g)"
  --volume "$root:/opt/epo:ro"
  --volume "$PWD/runs:/workspace/runs"
  --volume epo-cache:/cache
  --env WANDB_API_KEY
)
[ "$gpus" = none ] || options+=(--gpus "$gpus")
[ ! -t 0 ] || [ ! -t 1 ] || options+=(--interactive --tty)
if [ "${1:-}" = "--" ]; then
  shift
  [ $# -gt 0 ] || fail "--: say what to run, such as docker/run.sh $image -- python -m epo"
  options+=(--entrypoint "$1")
  shift
fi
mkdir -p runs # as the user: Docker would make it root's
exec docker run "${options[@]}" "epo:$image" "$@"
