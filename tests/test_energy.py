"""Energy by a board's meters: folders laid out like Linux's sysfs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import tiny_library

from dlas import config
from dlas.hardware.results import measurement
from dlas.hardware.sessions import runners, session
from dlas.hardware.sessions.observers import energy, footprint
from dlas.hardware.sessions.observers.footprint import Start
from dlas.hardware.sessions.process import turns
from dlas.hardware.sessions.samples import Loaded
from dlas.hardware.targets import llvm, resolving


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """A CPU package with a part of it, a Jetson's supply, and the sensor of a battery."""
    package = tmp_path / "class" / "powercap" / "intel-rapl:0"
    write(package, name="package-0", energy_uj=262_000_000_000, max_energy_range_uj=262_143_328_850)
    core = tmp_path / "class" / "powercap" / "intel-rapl:0:0"
    write(core, name="core", energy_uj=1, max_energy_range_uj=262_143_328_850)
    jetson = tmp_path / "class" / "hwmon" / "hwmon1"
    write(jetson, name="ina3221", in1_label="VDD_IN", in1_input=5000, curr1_input=2000)
    write(jetson, in2_input=3300, curr2_input=100, power2_input=330_000)
    battery = tmp_path / "class" / "hwmon" / "hwmon0"
    write(battery, name="BAT0", in0_input=12000, curr1_input=900, power1_input=10_000_000)
    return tmp_path


def write(folder: Path, **values: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n")


def test_a_counter_is_read_before_and_after_though_it_started_anew(sysfs: Path) -> None:
    meters = energy.Meters(sysfs)
    meters.start()
    write(sysfs / "class" / "powercap" / "intel-rapl:0", energy_uj=1_856_671_150)
    assert meters.joules()["package-0"] == pytest.approx(2000.0)


def test_power_is_integrated(sysfs: Path) -> None:
    meters = energy.Meters(sysfs)
    meters.start()
    started = time.monotonic()
    for _ in range(4):
        time.sleep(0.05)
        meters.sample()
    write(sysfs / "class" / "hwmon" / "hwmon1", curr1_input=2000)
    found = meters.joules()
    elapsed = time.monotonic() - started
    assert found.keys() == {"package-0", "VDD_IN", "ina3221-2"}
    assert found["VDD_IN"] == pytest.approx(10.0 * elapsed, rel=0.05)
    assert found["ina3221-2"] == pytest.approx(0.33 * elapsed, rel=0.05)


def test_a_board_without_meters_has_no_energy(tmp_path: Path) -> None:
    meters = energy.Meters(tmp_path)
    meters.start()
    meters.sample()
    assert meters.joules() == {}


def test_a_meter_that_cannot_be_read_is_none(sysfs: Path) -> None:
    """A folder in its place is as unreadable, to root too, as a file of root's is to others."""
    counter = sysfs / "class" / "powercap" / "intel-rapl:0" / "energy_uj"
    counter.unlink()
    counter.mkdir()
    meters = energy.Meters(sysfs)
    meters.start()
    assert meters.joules().keys() == {"VDD_IN", "ina3221-2"}


def test_energy_is_in_the_timing_and_in_the_metrics(
    sysfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = resolving.resolve(config.Target(name="host"))
    library = tiny_library.export_calling(
        llvm.tvm_target(host.code), tmp_path / "sleeping.so", "usleep", 4000
    )
    monkeypatch.setenv("TVM_NUM_THREADS", "1")
    started = time.monotonic()
    network = runners.named(runners.TVM).load(library, 1, "cpu")
    start = Start(footprint.mark(), footprint.mark(), footprint.mark())
    told = session.timed(Loaded(network, start, {}), tiny_library.images(1), 20, 1, 0, turns.Alone(), sysfs)
    longest_ms = (time.monotonic() - started) * 1000 / 20
    protocol = config.Timing(name="test", runs=20)
    found = measurement.of_sessions({1: [told]}, {}, protocol, 1, emulated=False)
    assert found.energy_mj["package-0"] == 0
    watts, shortest_ms = 10.0, sum(found.samples_ms) / 20
    assert 0.99 * watts * shortest_ms <= found.energy_mj["VDD_IN"] <= watts * longest_ms
    measurement.write(found, tmp_path / "timing.json")
    assert measurement.read(tmp_path / "timing.json") == found
    summary = json.loads((tmp_path / "timing.json").read_text())["summary"]
    assert summary["energy_mj_measured"] == found.energy_mj
    assert measurement.metrics(found)["energy.VDD_IN_mj_measured"] == found.energy_mj["VDD_IN"]
