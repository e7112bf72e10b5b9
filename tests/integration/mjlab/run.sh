#!/usr/bin/env bash
# Train mjlab's cart-pole for three iterations and resume it, in an environment of its own: mjlab pins
# another MuJoCo than our engines. Some 3 GB the first time with PyPI's torch, less with a CPU build.
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
  device=cpu record.console=plain record.tensorboard=false)
cd "$folder"
"$python" "$root/train.py" "${settings[@]}" "run_dir=$run" max_iterations=3
"$python" "$root/train.py" "${settings[@]}" "resume=$run" max_iterations=4
# Four iterations of 64 environments, finite losses, and episodes that were logged.
"$python" - "$run" <<'PYTHON'
import csv, math, pathlib, sys

rows = list(csv.DictReader(open(pathlib.Path(sys.argv[1]) / "metrics.csv", encoding="utf-8")))
assert [row["iteration"] for row in rows] == ["1", "2", "3", "4"], rows
assert all(math.isfinite(float(row["kl"])) for row in rows)
print("mjlab: 4 iterations,", rows[-1]["frames"], "frames,", rows[-1]["fps"], "frames/s")
print("logged:", ", ".join(name for name in rows[-1] if name.startswith("log/")) or "nothing yet")
PYTHON
