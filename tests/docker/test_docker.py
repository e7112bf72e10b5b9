"""The containers agree with the project, and run.sh does what its user expects."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Dict, List

import pytest

from epo.__main__ import VERBS
from tasks.isaacgym.preload import NUMPY_BELOW, PYTHON
from tests.composed import REPOSITORY

DOCKER = REPOSITORY / "docker"
IMAGES = ("mujoco", "isaacgym")
ARCHIVE = "IsaacGym_Preview_4_Package.tar.gz"
SCRIPTS = ("run.sh", "unpack_isaacgym.sh")
STUB = """#!/bin/sh
# Docker that only notes what it was asked; images exist if the folder says so.
[ "$1 $2" != "image inspect" ] || exec test -e "$HERE/has_image"
[ "$1" != info ] || exit 0
printf '%s\\n' "$*" >> "$HERE/calls"
"""


def instructions(image: str) -> List[str]:
    """Return the instructions of a Dockerfile, each as one line."""
    text = (DOCKER / f"{image}.Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [" ".join(line.split()) for line in joined.splitlines() if line]


def words(image: str, instruction: str) -> List[List[str]]:
    return [line.split()[1:] for line in instructions(image) if line.split()[0] == instruction]


def environment(image: str) -> Dict[str, str]:
    pairs = [pair.partition("=") for line in words(image, "ENV") for pair in line]
    return {name: value for name, _, value in pairs}


def visible(image: str) -> List[str]:
    """Return what the build context lets through."""
    lines = (DOCKER / f"{image}.Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    assert rules[0] == "*"
    return [rule[1:] for rule in rules if rule.startswith("!")]


def text(name: str) -> str:
    return (REPOSITORY / name).read_text()


def found(pattern: str, string: str) -> str:
    match = re.search(pattern, string)
    assert match, f"no {pattern}"
    return match[1]


def run_script(
    *arguments: object, cwd: Path, path: str = "/usr/bin:/bin"
) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(argument) for argument in arguments],
        cwd=str(cwd),
        env={"PATH": path, "HERE": str(cwd)},
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.fixture
def docker(tmp_path: Path):
    """Call run.sh with a stub of Docker and give the calls that it got."""
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / "docker"
    stub.write_text(STUB)
    stub.chmod(0o755)

    def call(*arguments: str, has_image: bool = True) -> List[str]:
        if has_image:
            (tmp_path / "has_image").touch()
        path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
        done = run_script(DOCKER / "run.sh", *arguments, cwd=tmp_path, path=path)
        assert done.returncode == 0, done.stderr
        return (tmp_path / "calls").read_text().splitlines()

    return call


@pytest.mark.parametrize("image", IMAGES)
def test_everything_that_an_image_copies_exists_and_is_in_the_context(image: str):
    copied = [path for line in words(image, "COPY") for path in line[:-1]]
    assert {"epo", "tasks", "cfg", "train.py", "pyproject.toml"} <= set(copied)
    assert set(copied) <= set(visible(image))
    for path in visible(image):
        assert (REPOSITORY / path).exists() or path == f"docker/{ARCHIVE}", path


def test_isaacgym_mounts_its_script_and_the_archive():
    run = next(line for line in instructions("isaacgym") if "unpack_isaacgym" in line)
    assert "--mount=type=bind,source=docker,target=/docker" in run
    for name in re.findall(r" /docker/(\S+)", run):
        assert f"docker/{name}" in visible("isaacgym")


def test_archive_is_kept_out_of_git():
    assert ARCHIVE in text("docker/.gitignore").split()


@pytest.mark.parametrize("image", IMAGES)
def test_every_extra_exists(image: str):
    tomllib = pytest.importorskip("tomllib")
    extras = tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"]
    installed = found(r'"/opt/epo\[([\w,]+)\]"', "\n".join(instructions(image))).split(",")
    assert image in installed and set(installed) <= set(extras)


@pytest.mark.parametrize(
    "name", ["mujoco.Dockerfile", "isaacgym.Dockerfile", "run.sh", "README.md"]
)
def test_every_module_and_verb_exists(name: str):
    for module, verb in re.findall(r"python -m (\w+)(?: ([a-z]\w*))?", text(f"docker/{name}")):
        assert importlib.util.find_spec(module), module
        assert module != "epo" or not verb or verb in VERBS


def test_torch_of_the_mujoco_image_is_that_of_make():
    version = found(r"TORCH \?= (\S+)", text("Makefile"))
    assert words("mujoco", "ARG") == [[f"TORCH={version}"]]
    # The deps' layer names it again, lest another release takes its place.
    assert "\n".join(instructions("mujoco")).count('"torch==$TORCH"') == 2


def test_isaacgym_has_the_versions_of_the_oldest_tests():
    copied = next(line for line in words("isaacgym", "COPY") if "requirements" in line[0])
    assert copied == [".ci/requirements-py38.txt", environment("isaacgym")["PIP_CONSTRAINT"]]
    pins = text(copied[0]).split()
    torch, below = found(r"torch==(\S+)", " ".join(pins)), ".".join(map(str, NUMPY_BELOW))
    assert f"numpy<{below}" in pins
    assert f'"numpy<{below}"' in text("pyproject.toml")
    for name in ("isaacgym.Dockerfile", "README.md"):
        assert f"torch {torch}" in text(f"docker/{name}")
    python = ".".join(map(str, PYTHON))
    assert f"python{python} -m venv /opt/venv" in text("docker/isaacgym.Dockerfile")
    assert {f"python{python}-dev", f"libpython{python}"} <= set(
        text("docker/isaacgym.Dockerfile").split()
    )


def test_isaacgymenvs_is_one_commit():
    assert re.search(r"ARG ISAACGYMENVS_COMMIT=[0-9a-f]{40}\n", text("docker/isaacgym.Dockerfile"))


@pytest.mark.parametrize("image", IMAGES)
def test_nothing_runs_as_root_and_caches_outlive_the_container(image: str):
    assert words(image, "USER") == [["1001"]]
    (volume,) = words(image, "VOLUME")
    variables = environment(image)
    for name in ("CUDA_CACHE_PATH", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
        assert variables[name].startswith(volume[0])
    compiled = "WARP_CACHE_PATH" if image == "mujoco" else "TORCH_EXTENSIONS_DIR"
    assert variables[compiled].startswith(volume[0])
    assert "graphics" in variables["NVIDIA_DRIVER_CAPABILITIES"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_have_no_syntax_error_and_may_be_called(name: str):
    assert subprocess.run(["bash", "-n", str(DOCKER / name)], check=False).returncode == 0
    assert (DOCKER / name).stat().st_mode & 0o111


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--gpus", "1"]])
def test_run_explains_itself(arguments: List[str], tmp_path: Path):
    done = run_script(DOCKER / "run.sh", *arguments, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("usage: docker/run.sh [--build]")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mojuco"], "image mojuco: unknown; use mujoco or isaacgym"),
        (["--bild", "mujoco"], "option --bild: unknown; see docker/run.sh --help"),
        (["--gpus"], "--gpus: say which"),
    ],
)
def test_bad_input_to_run_is_one_line(arguments: List[str], message: str, tmp_path: Path):
    done = run_script(DOCKER / "run.sh", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1 and not done.stdout


def test_run_without_docker_says_what_to_install(tmp_path: Path):
    for name in ("bash", "dirname"):
        program = shutil.which(name)
        assert program
        (tmp_path / name).symlink_to(program)
    done = run_script(DOCKER / "run.sh", "mujoco", cwd=tmp_path, path=str(tmp_path))
    assert done.returncode == 2 and done.stderr.startswith("error: docker: not found; install")


def test_run_builds_an_image_that_is_not_there(docker, tmp_path: Path):
    build, run = docker("mujoco", "seed=1", "algo.network.mlp_units=[8, 8]", has_image=False)
    dockerfile = DOCKER / "mujoco.Dockerfile"
    assert build == f"build --tag epo:mujoco --file {dockerfile} {REPOSITORY}"
    assert run.startswith("run --rm ")
    assert run.endswith(" epo:mujoco seed=1 algo.network.mlp_units=[8, 8]")


def test_run_uses_the_image_that_is_there(docker, tmp_path: Path):
    (run,) = docker("mujoco")
    (volume,), (workspace,) = words("mujoco", "VOLUME"), words("mujoco", "WORKDIR")
    assert f"--volume epo-cache:{volume[0]} " in run
    assert f"--volume {tmp_path}/runs:{workspace[0]}/runs " in run
    assert f"--volume {REPOSITORY}:/opt/epo:ro " in run
    assert "--gpus all " in run and re.search(r"--user \d+:\d+ ", run)
    assert (tmp_path / "runs").is_dir()


def test_run_builds_again_on_request(docker):
    assert [call.split()[0] for call in docker("--build", "mujoco")] == ["build", "run"]


def test_run_chooses_gpus(docker):
    assert "--gpus" not in docker("--gpus", "none", "mujoco")[-1]
    assert "--gpus device=1 " in docker("--gpus", "device=1", "mujoco")[-1]


def test_run_chooses_the_engine_of_isaacgym_unless_it_is_given(docker):
    assert docker("isaacgym", "seed=1")[-1].endswith(" epo:isaacgym engine=isaacgym seed=1")
    assert docker("isaacgym")[-1].endswith(" epo:isaacgym engine=isaacgym")
    given = docker("isaacgym", "seed=1", "engine=mujoco")[-1]
    assert given.endswith(" epo:isaacgym seed=1 engine=mujoco")


def test_run_runs_another_command(docker):
    run = docker("isaacgym", "--", "python", "-m", "epo", "plot")[-1]
    assert run.endswith(" --entrypoint python epo:isaacgym -m epo plot")


def test_unpack_without_the_archive_says_where_it_comes_from(tmp_path: Path):
    done = run_script(DOCKER / "unpack_isaacgym.sh", ARCHIVE, tmp_path, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert f"error: {ARCHIVE}: there is no such file; download Isaac Gym" in done.stderr


def test_unpack_refuses_something_else(tmp_path: Path):
    (tmp_path / ARCHIVE).write_text("<html>Log in first</html>")
    done = run_script(DOCKER / "unpack_isaacgym.sh", ARCHIVE, tmp_path, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "it is no complete archive of Preview 4" in done.stderr


def test_unpack_puts_the_package_where_the_image_installs_it(tmp_path: Path):
    (tmp_path / "setup.py").touch()
    with tarfile.open(str(tmp_path / ARCHIVE), "w:gz") as archive:
        archive.add(str(tmp_path / "setup.py"), "isaacgym/python/setup.py")
    target = tmp_path / "opt"
    target.mkdir()
    checked = run_script(DOCKER / "unpack_isaacgym.sh", ARCHIVE, cwd=tmp_path)
    assert checked.returncode == 0 and not list(target.iterdir())
    done = run_script(DOCKER / "unpack_isaacgym.sh", ARCHIVE, target, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (target / "isaacgym/python/setup.py").exists()
    assert "--editable /opt/isaacgym/python" in "\n".join(instructions("isaacgym"))


def test_run_does_not_begin_to_build_isaacgym_without_its_archive(tmp_path: Path):
    if (DOCKER / ARCHIVE).exists():
        pytest.skip("the archive is here")
    (tmp_path / "docker").write_text(STUB)
    (tmp_path / "docker").chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    done = run_script(DOCKER / "run.sh", "isaacgym", cwd=tmp_path, path=path)
    assert done.returncode == 2 and "there is no such file; download Isaac Gym" in done.stderr
    assert not (tmp_path / "calls").exists()
