"""Layers that small commands are given by name, and a user's own options, as `dlas.run` has them."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import dlas

from dlas import config
from dlas.errors import UserError


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of a user's own options."""
    folder = tmp_path / "my, own conf"
    (folder / "target").mkdir(parents=True)
    (folder / "timing").mkdir()
    mine = "defaults: [raspberrypi4, _self_]\nname: mine\ncores: 2\nrpc:\n  host: 10.0.0.7\n"
    (folder / "target" / "mine.yaml").write_text(mine)
    (folder / "timing" / "short.yaml").write_text("defaults: [thorough, _self_]\nname: short\nruns: 3\n")
    return folder


def declared(name: str, *arguments: str) -> config.Target:
    given, others = config.layer_arguments(arguments, "target")
    assert others == []
    return config.declared_target(name, given)


def test_a_target_of_one_s_own_inherits_and_its_settings_can_be_overridden(own: Path) -> None:
    mine = declared("mine", "--config-dir", str(own))
    assert (mine.name, mine.cpu, mine.cores) == ("mine", "cortex-a72", 2)
    assert mine.rpc == config.Rpc("10.0.0.7", 9090, "raspberrypi4")
    typed = declared(
        "mine", f"-cd={own}", "target.cores=3", "target.affinity=[1,2,3]", "target.rpc.port=9999"
    )
    assert (typed.cores, typed.affinity, typed.rpc.port) == (3, [1, 2, 3], 9999)


def test_hydra_s_search_path_is_searched_too(own: Path) -> None:
    assert declared("mine", f'hydra.searchpath=["{own}"]').cores == 2
    given, _ = config.layer_arguments([f"--config-dir={own}", "timing.warmup=2"], "timing")
    timing = config.declared_timing("short", given)
    assert (timing.runs, timing.warmup, timing.sessions) == (
        3,
        2,
        config.declared_timing("thorough").sessions,
    )


def test_what_is_run_with_a_target_is_what_a_small_command_finds(own: Path) -> None:
    told = dlas(
        "run", "target=mine", "target.cores=3", "tuner=none", "--config-dir", str(own), "--cfg", "job"
    )
    assert told.returncode == 0, told.stderr
    assert "  name: mine\n" in told.stdout
    assert "  cores: 3\n" in told.stdout
    assert "    host: 10.0.0.7\n" in told.stdout


@pytest.mark.parametrize(
    ("arguments", "key", "said"),
    [
        ([], "target", "there is no option 'mine'"),
        (["--config-dir", "nowhere"], "--config-dir", "there is no folder 'nowhere'"),
        (["--config-dir"], "--config-dir", "there is no folder ''"),
    ],
)
def test_a_target_that_is_nowhere_is_refused(arguments: list[str], key: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as refusal:
        declared("mine", *arguments)
    assert refusal.value.key == key


@pytest.mark.parametrize(
    ("setting", "key", "said"),
    [
        ("target.coers=2", "target.coers", "did you mean 'cores'"),
        ("target.cores=two", "target.cores", "two"),
        ("target.cores=0", "target.cores", "1 or more"),
    ],
)
def test_a_wrong_setting_is_named(own: Path, setting: str, key: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as refusal:
        declared("mine", "--config-dir", str(own), setting)
    assert refusal.value.key == key


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("redeploy", "bundle=none", "target=mine"), 2, "target: there is no option 'mine'"),
        (("redeploy", "bundle=none", "target.cores=1"), 2, "target.cores: no target is chosen"),
        (("board", "check", "target=mine"), 2, "target: there is no option 'mine'"),
        (("board", "check", "bundle=none", "target.cores=1"), 2, "target.cores: no target is chosen"),
    ],
)
def test_commands_tell_of_it_before_any_work(arguments: tuple[str, ...], status: int, said: str) -> None:
    ended = dlas(*arguments)
    assert ended.returncode == status
    assert ended.stderr.startswith(said)


def test_commands_find_a_target_of_one_s_own(own: Path) -> None:
    there = ("--config-dir", str(own))
    started = dlas("board", "start", "target=mine", *there, "target.rpc.key=bench")
    assert started.stderr.startswith("target: mine is a real board\n  There: ")
    assert "key=bench" in started.stderr
    redeployed = dlas("redeploy", "bundle=none", "target=mine", *there)
    assert (redeployed.returncode, redeployed.stderr.partition(":")[0]) == (1, "bundle")
    checked = dlas("board", "check", "target=mine", *there, "timing=short", "timing.sessions=1")
    assert checked.stderr.startswith("timing: short has too few sessions")
