"""Energy by the board's own meters, while a library runs; a board without one has none.

    meters = Meters(); meters.start(); [run; meters.sample()]…; meters.joules() -> {"package-0": …}

RAPL counts the energy of a whole CPU package (Linux, Documentation/power/powercap/powercap.rst). Sensors such
as TI's INA3221 tell the power of a supply rail at the moment (Documentation/hwmon/sysfs-interface.rst), so
they are read between the runs and integrated. Both see all that draws on them, not the library alone. The
kernel lets only root read RAPL unless its files are made readable; a meter that can't be read is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SYSFS = Path("/sys")

MICRO, MILLI = 1e-6, 1e-3

INA_CHIPS = ("ina209", "ina219", "ina220", "ina226", "ina230", "ina231", "ina238", "ina3221")
"""Chips whose rails are a board's supply, as hwmon names them: others may tell of a fan or a battery."""


@dataclass(frozen=True)
class EnergyCounter:
    """A meter of energy, whose count only grows until it starts from 0 again."""

    name: str
    path: Path
    wraps_at: float
    """Joules at which the count starts from 0 again."""

    def joules(self) -> float:
        return _number(self.path) * MICRO


@dataclass(frozen=True)
class Rail:
    """A supply rail, whose power in watts can be read."""

    name: str
    watts: Callable[[], float]


@dataclass
class Meters:
    """The meters of this machine that can be read."""

    sysfs: Path = SYSFS
    _counters: list[EnergyCounter] = field(init=False)
    _rails: list[Rail] = field(init=False)
    _before: list[float] = field(default_factory=list)
    _power: list[tuple[float, list[float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._counters, self._rails = _counters(self.sysfs), _rails(self.sysfs)

    def start(self) -> None:
        """Start to measure."""
        self._power.clear()
        self.sample()
        self._before = [counter.joules() for counter in self._counters]

    def sample(self) -> None:
        """Read the rails; nothing where there are none."""
        if self._rails:
            self._power.append((time.monotonic(), [rail.watts() for rail in self._rails]))

    def joules(self) -> dict[str, float]:
        """Joules since `start`, by the meter's name."""
        found = {
            counter.name: (counter.joules() - before) % counter.wraps_at
            for counter, before in zip(self._counters, self._before, strict=True)
        }
        self.sample()
        return found | {rail.name: self._integral(index) for index, rail in enumerate(self._rails)}

    def _integral(self, rail: int) -> float:
        """Joules of a rail: its power integrated by the trapezoidal rule."""
        pairs = zip(self._power, self._power[1:], strict=False)
        return sum((then[1][rail] + now[1][rail]) / 2 * (now[0] - then[0]) for then, now in pairs)


def _counters(sysfs: Path) -> list[EnergyCounter]:
    """The counters of CPU packages; parts of a package have their own, which would count twice."""
    found = []
    for zone in sorted((sysfs / "class" / "powercap").glob("intel-rapl:*")):
        if zone.name.count(":") == 1 and _is_readable(zone / "energy_uj"):
            name = (zone / "name").read_text().strip()
            limit = _number(zone / "max_energy_range_uj") * MICRO
            found.append(EnergyCounter(name, zone / "energy_uj", limit))
    return found


def _rails(sysfs: Path) -> list[Rail]:
    found = []
    for chip in sorted((sysfs / "class" / "hwmon").glob("hwmon*")):
        if not _is_readable(chip / "name") or (chip / "name").read_text().strip() not in INA_CHIPS:
            continue
        named = (chip / "name").read_text().strip()
        for current in sorted(chip.glob("curr*_input")):
            channel = current.name.removeprefix("curr").removesuffix("_input")
            power, voltage = chip / f"power{channel}_input", chip / f"in{channel}_input"
            label = chip / f"in{channel}_label"
            name = label.read_text().strip() if _is_readable(label) else f"{named}-{channel}"
            if _is_readable(power):
                found.append(Rail(name, _scaled(power)))
            elif _is_readable(voltage) and _is_readable(current):
                found.append(Rail(name, _product(voltage, current)))
    return found


def _scaled(power: Path) -> Callable[[], float]:
    """A function that reads a rail's watts; hwmon tells microwatts."""
    return lambda: _number(power) * MICRO


def _product(voltage: Path, current: Path) -> Callable[[], float]:
    """A function that reads a rail's watts from voltage and current; hwmon tells millivolts
    and milliamperes."""
    return lambda: _number(voltage) * MILLI * _number(current) * MILLI


def _is_readable(path: Path) -> bool:
    try:
        path.read_text()
    except OSError:
        return False
    return True


def _number(path: Path) -> float:
    return float(path.read_text())
