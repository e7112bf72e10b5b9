"""Schema of everything in `cfg/`: one dataclass per component, every number with its source.

`AK` in a source means the published Allegro-Kuka setting of SAPG and EPO (the training yaml files
and launchers of their repositories); `R` means our own choice, argued in the same line.
Task and engine groups have their schema in `tasks/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Dict, List, Optional

from omegaconf import MISSING, OmegaConf

from epo.components import own_settings
from epo.config.clip import ClipCfg
from epo.config.cpo import AdversaryCfg, AwacCfg, CpoCfg
from epo.config.diagnostics import DiagnosticsCfg, HealthCfg
from epo.config.error import ConfigError
from epo.config.evolution import EvolutionCfg
from epo.config.guard import GuardCfg
from epo.config.network import NetworkCfg, NormalizerCfg
from epo.config.pbt import PbtCfg
from epo.config.penalty import PenaltyCfg
from epo.config.poem import PoemCfg
from epo.config.ppo import AggregationCfg, PPOCfg
from epo.config.pql import PqlCfg
from epo.config.rl_games import RlGamesCfg

__all__ = [
    "AdversaryCfg",
    "AggregationCfg",
    "AlgoCfg",
    "AwacCfg",
    "ClipCfg",
    "Config",
    "ConfigError",
    "CpoCfg",
    "DiagnosticsCfg",
    "EvolutionCfg",
    "GuardCfg",
    "HealthCfg",
    "NetworkCfg",
    "NormalizerCfg",
    "PPOCfg",
    "PbtAlgoCfg",
    "PbtCfg",
    "PenaltyCfg",
    "PoemCfg",
    "PqlAlgoCfg",
    "PqlCfg",
    "RecordCfg",
    "RlGamesAlgoCfg",
    "RlGamesCfg",
    "algo_node",
    "register",
]


@dataclass
class AlgoCfg:
    """One algorithm: PPO, plus what makes it SAPG, plus what makes it EPO."""

    name: str = MISSING
    """Name of the preset, as in `algo=<name>`."""
    trainer: str = "ppo"
    """How it trains: `ppo` (agents are genes of one network: PPO, SAPG, EPO), `pbt` (agents are
    separate networks), `pql` (off-policy) or `rl_games` (its own PPO, to compare with)."""
    num_agents: int = 1
    """Agents when the top-level `num_agents` is `auto` (ppo 1, sapg 6, epo 64: AK)."""
    hooks: List[str] = field(default_factory=list)
    """Hooks of your own on the update, by name, in their order (docs/extending.md)."""
    own: Dict[str, Any] = field(default_factory=dict)
    """Settings of your own components: `algo.own.<component>.<setting>` (docs/extending.md)."""
    network: NetworkCfg = field(default_factory=NetworkCfg)
    normalizer: NormalizerCfg = field(default_factory=NormalizerCfg)
    ppo: PPOCfg = field(default_factory=PPOCfg)
    clip: ClipCfg = field(default_factory=ClipCfg)
    penalty: PenaltyCfg = field(default_factory=PenaltyCfg)
    poem: PoemCfg = field(default_factory=PoemCfg)
    diagnostics: DiagnosticsCfg = field(default_factory=DiagnosticsCfg)
    aggregation: AggregationCfg = field(default_factory=AggregationCfg)
    cpo: CpoCfg = field(default_factory=CpoCfg)
    evolution: EvolutionCfg = field(default_factory=EvolutionCfg)


@dataclass
class PqlAlgoCfg(AlgoCfg):
    """`algo.trainer=pql`."""

    pql: PqlCfg = field(default_factory=PqlCfg)
    """Q-learning."""


@dataclass
class PbtAlgoCfg(AlgoCfg):
    """`algo.trainer=pbt`."""

    pbt: PbtCfg = field(default_factory=PbtCfg)
    """Population based training."""


@dataclass
class RlGamesAlgoCfg(AlgoCfg):
    """`algo.trainer=rl_games`."""

    rl_games: RlGamesCfg = field(default_factory=RlGamesCfg)
    """What rl_games alone knows."""


SCHEMAS: Dict[str, type] = {
    "base": AlgoCfg,
    "base_pql": PqlAlgoCfg,
    "base_pbt": PbtAlgoCfg,
    "base_rl_games": RlGamesAlgoCfg,
}
"""What the files of `cfg/algo/` build on: settings of a way of training stand in its runs alone."""


@dataclass
class RecordCfg:
    """What a run writes, where and how often."""

    console: str = "auto"
    """`live` (rich view), `plain` (one line per interval), `off`; `auto`: live on a terminal."""
    console_interval_s: float = 10.0
    """Shortest time between two plain lines, s."""
    tensorboard: bool = True
    """Write TensorBoard events into the run folder."""
    wandb: str = "disabled"
    """Weights & Biases: `online`, `offline` or `disabled`."""
    wandb_project: str = "epo"
    """Project of the W&B run."""
    wandb_entity: Optional[str] = None
    """Team or user of the W&B run; None: the account's default."""
    tags: List[str] = field(default_factory=list)
    """Words for this run, for `python -m epo runs tag=...` and W&B."""
    git_diff: bool = True
    """Keep the uncommitted changes of the code in `git.diff`, without secrets, 1 MB at most."""
    checkpoint_interval: int = 100
    """Iterations between two checkpoints `last.pt`."""
    keep_last: int = 2
    """Checkpoints that are kept: `last.pt`, before it `last-1.pt`, and so on (R: one to go back to
    where the newest is damaged)."""
    eval_interval: int = 0
    """Frames between two evaluations of the leader without noise on new episodes, at the end of an
    iteration (columns `eval/...`); 0: none. Every evaluation meets the same episodes, at the target
    level of a curriculum. `best.pt` is then the leader of the best evaluation."""
    eval_episodes: int = 100
    """Episodes of an evaluation, one environment for each."""
    viewer: bool = False
    """Show a world of the leader and one of the first agent on a page for a browser."""
    viewer_port: int = 8080
    """First port that is tried for that page, which answers this machine only."""
    metrics: List[str] = field(default_factory=list)
    """Metrics of your own, by name: further columns (docs/extending.md)."""
    health: HealthCfg = field(default_factory=HealthCfg)
    """When the health of the training is worth a warning."""


@dataclass
class Config:
    """A run: the fixed top-level keys of the command line."""

    task: Any = MISSING
    """Task group, schema in `tasks/`."""
    engine: Any = MISSING
    """Engine group, schema in `tasks/`; `engine=auto` chooses by device."""
    algo: AlgoCfg = MISSING
    """Algorithm group."""
    record: RecordCfg = field(default_factory=RecordCfg)
    """Recording group."""
    guard: GuardCfg = field(default_factory=GuardCfg)
    """What is done when something goes wrong."""
    num_agents: Any = "auto"
    """K, agents in the population, or `auto`: the algorithm's own number."""
    num_envs: Any = "auto"
    """N, parallel environments, a multiple of num_agents; `auto`: 24,576 on CUDA (AK), on CPU a
    size that keeps an iteration within seconds."""
    staggered_starts: bool = False
    """Begin the first episodes at clocks spread over the time limit, the same for all algorithms
    (arXiv 2511.21011; rsl_rl's random first episode length). Drawn once, at frame 0 of a run: a
    resumed run must keep it. Off as published."""
    seed: int = 0
    """Seed of networks, tasks and genes."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:<index>`."""
    devices: Any = 1
    """Processes (ranks) that train together on this machine, one per device: a number, `all`, or
    indices such as `[0,3]`; on a CPU they share its cores (docs/multi_gpu.md)."""
    precision: str = "auto"
    """Of the networks' products: `fp32`, `bf16` (heads, losses and optimiser stay float32), or
    `auto`: `bf16` where the processor multiplies it. PQL and rl_games: `fp32`."""
    compile: bool = False
    """Compile networks and loss with torch.compile: a minute or more at the start."""
    max_frames: Optional[int] = None
    """Stop after so many environment frames."""
    max_iterations: Optional[int] = None
    """Stop after so many iterations."""
    max_minutes: Optional[float] = None
    """Stop after so much wall-clock time, minutes, summed over resumes."""
    run_dir: Optional[str] = None
    """Folder of this run; None: `runs/<task>/<algo>/<date>_seed<seed>`."""
    resume: str = "never"
    """`never`, `auto` (newest run folder of the same command), a run folder or one of its
    checkpoints (docs/runs.md)."""
    checkpoint: Optional[str] = None
    """Checkpoint to take the start weights from (networks and normalisers only)."""
    genes: Optional[str] = None
    """File of genes to begin with, from `python -m epo genes RUN export=all`: as many as agents."""
    plugins: List[str] = field(default_factory=list)
    """Modules of your own that register components (docs/extending.md): their code runs."""
    search_path: List[str] = field(default_factory=list)
    """Folders (or `pkg://package`) with yaml files of your own, laid out as `cfg/`:
    `task/<name>.yaml` and so on. `--config-dir=<folder>` and `hydra.searchpath=[<folder>]` set
    it, too."""

    # No setting: dotted name -> text such as `${oc.env:NAME}`, what a run records instead of the
    # value. Filled in where a command line is composed.
    texts = MappingProxyType({})


def algo_node(schema: type) -> Any:
    """Return the node of an algorithm's schema, with the settings of registered components."""
    node = OmegaConf.structured(schema)
    node.own = {name: OmegaConf.structured(cls) for name, cls in own_settings().items()}
    if "rl_games" in node:
        OmegaConf.set_struct(node.rl_games.overrides, False)  # takes any name
    return node


def register(store: Any) -> None:
    """Put the schemas into `store` (a Hydra ConfigStore) under the names used in `cfg/`."""
    store.store(name="base_config", node=Config)
    for name, schema in SCHEMAS.items():
        store.store(group="algo", name=name, node=algo_node(schema))
    store.store(group="record", name="base", node=RecordCfg)
