"""The releases of the systems' packages: when each was uploaded, and for which platforms.

``data/packages.json`` has them, as the index listed them on one day. What there was at the time of
the study follows from the same listing, which has the day of every upload.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from deepmatrix.boundary.files import read_json
from deepmatrix.machine.packages.listings import ListedFile
from deepmatrix.paths import DATA
from deepmatrix.study.rating.inputs import Measured, Share
from deepmatrix.study.rating.systems import PERIODS, STUDY_DAY, SYSTEMS, Period, rated

#: Platforms, and how the name of a wheel for them ends.
PLATFORMS = {
    "Linux on x86-64": re.compile(r"linux\w*_x86_64\.whl$|linux1_x86_64"),
    "Linux on ARM64": re.compile(r"linux\w*_aarch64\.whl$"),
    "macOS": re.compile(r"-macosx\w*\.whl$"),
    "Windows": re.compile(r"-win_amd64\.whl$"),
}

#: The end of a wheel's name for all platforms.
ANYWHERE = "-any.whl"

#: The version in the name of a wheel or of an archive; what is not final has letters in it.
FINAL = re.compile(r"^[\w.-]+?-(\d+(?:\.\d+)*(?:\.post\d+)?)(?:-|\.tar\.|\.zip$)")

QUARTERS = 4
QUARTER = timedelta(days=365.25 / QUARTERS)

PACKAGES = DATA / "packages.json"


class Release(BaseModel):
    """A final version. *platforms*: those it has wheels for; none where it is sources only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    uploaded: date
    platforms: tuple[str, ...]


class Packages(BaseModel):
    """All releases by the name of the package, oldest first, as listed on the day *asked*."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asked: date
    releases: dict[str, tuple[Release, ...]]

    def until(self, package: str, day: date) -> tuple[Release, ...]:
        """Return the releases that were uploaded up to a day."""
        releases = self.releases.get(package, ())
        return tuple(release for release in releases if release.uploaded <= day)


def load(path: Path = PACKAGES) -> Packages:
    """Read the releases. Raises RecordError where the file is damaged."""
    return read_json(path, TypeAdapter(Packages))


def releases(files: Iterable[ListedFile]) -> tuple[Release, ...]:
    """Return the final releases that files belong to, oldest first."""
    by_version: dict[str, list[ListedFile]] = {}
    for file in files:
        if match := FINAL.match(file.name):
            by_version.setdefault(match[1], []).append(file)
    found = (
        Release(
            version=version,
            uploaded=min(file.uploaded for file in listed),
            platforms=tuple(_platforms(listed)),
        )
        for version, listed in by_version.items()
    )
    return tuple(sorted(found, key=lambda release: (release.uploaded, release.version)))


def _platforms(files: Iterable[ListedFile]) -> Iterator[str]:
    names = [file.name for file in files]
    for platform, ending in PLATFORMS.items():
        if any(name.endswith(ANYWHERE) or ending.search(name) for name in names):
            yield platform


def quarters(listed: Iterable[Release], day: date) -> int:
    """Return in how many quarters of the year before a day there was a release."""
    ages = (day - release.uploaded for release in listed)
    return len({age // QUARTER for age in ages if age < QUARTER * QUARTERS})


def names() -> list[str]:
    """Return the packages of all systems."""
    return sorted({name for system in SYSTEMS for name in system.packages.values()})


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A system's package on the day of a period: its releases up to then, at least one."""

    system: str
    framework: str
    period: Period
    package: str
    day: date
    releases: tuple[Release, ...]


def as_listed(packages: Packages) -> Iterator[Listed]:
    """Yield the packages of all systems that the index had by the day of each period."""
    for period in PERIODS:
        day = STUDY_DAY if period == "then" else packages.asked
        for framework, system in rated(period).items():
            package = system.packages.get(period, "")
            if releases := packages.until(package, day):
                yield Listed(
                    system=system.label(period),
                    framework=framework,
                    period=period,
                    package=package,
                    day=day,
                    releases=releases,
                )


def measure(period: Period, packages: Packages) -> Iterator[Measured]:
    """Yield what the index listed of each system's package by the day of a period.

    A last version of sources only has no platforms: those may be Python, which runs everywhere.
    """
    for listed in as_listed(packages):
        if listed.period != period:
            continue
        last = listed.releases[-1]
        recent = quarters(listed.releases, listed.day)
        facts = {}
        if last.platforms:
            facts["platforms with a wheel of its last version"] = (
                Share(part=len(last.platforms), whole=len(PLATFORMS)),
                f"{listed.package} {last.version} on {listed.day}: {', '.join(last.platforms)}",
            )
        facts["quarters of the last year with a release"] = (
            Share(part=recent, whole=QUARTERS),
            f"{listed.package} on {listed.day}: {recent} of {QUARTERS}",
        )
        for what, (share, text) in facts.items():
            yield Measured(
                area="ecosystem",
                what=what,
                framework=listed.framework,
                figure=share,
                text=text,
                record="",
            )
