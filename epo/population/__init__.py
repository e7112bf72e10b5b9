"""The population: genes, genetic operators, fitness and evolution."""

from epo.config import EvolutionCfg
from epo.population.evolution import Evolution, Generation
from epo.population.fitness import Fitness, FitnessTracker
from epo.population.genes import gene_distance

__all__ = [
    "Evolution",
    "EvolutionCfg",
    "Fitness",
    "FitnessTracker",
    "Generation",
    "gene_distance",
]
