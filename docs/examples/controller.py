"""Run an exported policy without torch: onnxruntime and numpy are all it takes.

    python controller.py runs/.../export/best_agent63.onnx

Replace `read_sensors` and `send` by the robot's own; the manifest beside the policy says what every
number is.
"""

import json
import sys
import time

import numpy as np
import onnxruntime


class Policy:
    """A policy with its memory; `reset` it where an episode, or a new try, begins."""

    def __init__(self, path):
        with open(path + ".json") as file:
            self.manifest = json.load(file)
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.reset()

    def reset(self):
        """Forget everything: the memory of the LSTM is zero."""
        inputs = {x["name"]: x["shape"][1:] for x in self.manifest["inputs"]}
        self.memory = {n: np.zeros((1, *s), np.float32) for n, s in inputs.items()}

    def act(self, observation):
        """Return the action [A] for an observation [O]."""
        self.memory["observation"] = np.asarray(observation, np.float32)[None]
        action, *state = self.session.run(None, self.memory)
        self.memory.update(zip(("hidden", "cell"), state))
        return action[0]


def main(path, seconds=1.0):
    """Control for a while at the rate that the policy was trained with."""
    policy = Policy(path)
    size = policy.manifest["observation"][-1]["stop"]
    read_sensors, send = lambda: np.zeros(size), print
    period_s = 1.0 / policy.manifest["control_rate_hz"]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.monotonic()
        send(policy.act(read_sensors()))
        time.sleep(max(0.0, period_s - (time.monotonic() - started)))


if __name__ == "__main__":
    main(sys.argv[1])
