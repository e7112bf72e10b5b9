#!/usr/bin/env bash
# Train mjlab's cart-pole for eight iterations and resume it for two, in an environment of its own: mjlab
# pins another MuJoCo than our engines. Some 3 GB the first time with PyPI's torch, less with a CPU build.
#
#   tests/integration/mjlab/run.sh [FOLDER]      default: a temporary folder, deleted at the end
#   PYTHON=python3.12 TORCH=/path/to/torch.whl   interpreter, and another build of torch
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
if [ $# -gt 0 ]; then
  folder=$1
  mkdir -p "$folder"
else
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
fi
python="$folder/env/bin/python"
if [ ! -x "$python" ]; then
  "${PYTHON:-python3}" -m venv "$folder/env"
  "$python" -m pip install -q "${TORCH:-torch==2.13.0}" "mjlab==1.6.0"
  "$python" -m pip install -q "$root"
fi
run="$folder/run"
rm -rf "$run"
settings=(task=Mjlab task.id=Mjlab-Cartpole-Balance algo=ppo algo.network.kind=mlp num_envs=64
  "task.kwargs={episode_length_s: 2.0}" # so that episodes end, and are logged
  device=cpu record.console=plain record.tensorboard=false)
cd "$folder"
"$python" "$root/train.py" "${settings[@]}" "run_dir=$run" max_iterations=8
"$python" "$root/train.py" "${settings[@]}" "resume=$run" max_iterations=10
# All iterations of 64 environments, finite losses, and episodes that were logged.
"$python" - "$run" <<'PYTHON'
import csv, math, pathlib, sys

rows = list(csv.DictReader(open(pathlib.Path(sys.argv[1]) / "metrics.csv", encoding="utf-8")))
assert [int(row["iteration"]) for row in rows] == list(range(1, 11)), rows
assert all(math.isfinite(float(row["kl"])) for row in rows)
logged = sorted({name for row in rows for name in row if name.startswith("log/") and row[name]})
assert logged and float(rows[-1]["leader/episode_return"]) > 0.0, rows[-1]
print("mjlab:", len(rows), "iterations,", rows[-1]["frames"], "frames,", rows[-1]["fps"], "frames/s")
print("return", rows[-1]["leader/episode_return"], "logged:", ", ".join(logged))
PYTHON
