"""Files below `cfg/` that describe many runs, such as studies and searches: found and read."""

from __future__ import annotations

from pathlib import Path
from typing import List, Tuple, Type, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from epo.config import ConfigError
from epo.validation import did_you_mean

Schema = TypeVar("Schema")


def names(folder: Path) -> List[str]:
    """List the definitions in a folder."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read(
    kind: str, plural: str, name: str, folder: Path, schema: Type[Schema]
) -> Tuple[Schema, Path]:
    """Read a definition.

    Args:
        kind: what a file of the folder is, for messages.
        plural: of the kind.
        name: of one of them, or the path of another file that ends in `.yaml`.
        folder: where those of the project are.
        schema: dataclass that is filled.

    Returns:
        The filled schema, and the file.

    Raises:
        ConfigError: if there is no such file, or it does not fit the schema.
    """
    path = Path(name) if name.endswith(".yaml") else folder / f"{name}.yaml"
    if not path.is_file():
        known = names(folder)
        way_out = f"unknown{did_you_mean(name, known)} ({plural}: {', '.join(known)})"
        raise ConfigError(kind, name, way_out)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.load(path))
        filled = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, YAMLError) as error:
        reason = " ".join(str(error).partition("\n    full_key")[0].split())
        raise ConfigError(kind, path, reason) from error
    assert isinstance(filled, schema)
    return filled, path
