"""The world of `world.py` around an MWAA with a clock: both schedules fire every minute."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import moto.backends

from jetway.airflow import ImportProblem
from jetway.airflow.environment import Environment, parse_environment
from jetway.errors import EnvironmentUnavailableError, TransientError
from jetway.live.update_record import MEMBERS
from tests.unit.artifacts.buckets import DROP, LIVE
from tests.unit.batches.world import Kill

from .mwaa import USABLE, ClockedMwaa
from .world import Airflow, World

MINUTE = timedelta(minutes=1)
V0 = b"--constraint /usr/local/airflow/constraints.txt\nhumanize==4.9.0\n"
V1 = V0 + b"pytz==2024.1\n"
V2 = V1 + b"tabulate==0.9.0\n"
NO_MODULE = "Traceback...\nModuleNotFoundError: No module named '{}'\n"


class ClockedAirflow(Airflow):
    """Answers while the environment is usable; what is in force can break files."""

    def __init__(self, world: ClockedWorld) -> None:
        super().__init__()
        self._world = world
        self.silent: Callable[[], bool] = lambda: False
        self.broken: Callable[[], dict[str, str]] = dict

    def list_import_errors(self) -> list[ImportProblem]:
        if self.silent() or self._world.mwaa.described["Status"] not in USABLE:
            raise EnvironmentUnavailableError("Airflow does not answer.")
        errors = {**self.errors, **self.broken()}
        self.asked.append("errors")
        return [ImportProblem(path, error) for path, error in errors.items()]


class ClockedWorld(World):
    """Call within `moto.mock_aws`."""

    mwaa: ClockedMwaa  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.mwaa = ClockedMwaa(lambda: self.now)
        self.environment = Environment(self.mwaa, "acme", max_age=0, max_age_unusable=0)  # type: ignore[arg-type,assignment]
        self.airflow: ClockedAirflow = ClockedAirflow(self)
        self.steps: list[str] = []
        self.found: list[tuple[str, str]] = []

    def fresh(self) -> ClockedWorld:
        for backend in ("dynamodb", "s3"):
            moto.backends.get_backend(backend).reset()
        return ClockedWorld()

    def applies(self, kill: Kill | None = None) -> list[str]:
        """Invoke apply_updates as its handler does."""
        try:
            done = self.apply(kill)
        except TransientError:
            return []
        self.steps += done
        return done

    def looks(self, kill: Kill | None = None) -> list[tuple[str, str]]:
        """Invoke verify_promotion as its handler does."""
        try:
            found = [(verified.key, verified.outcome) for verified in self.look(kill)]
        except TransientError:
            return []
        self.found += found
        return found

    def run(self, minutes: int = 1, *, look_first: bool = False, until: Callable[[], bool] = lambda: False) -> None:
        """Let both schedules fire so many times, or until something is so."""
        for _ in range(minutes):
            if until():
                return
            self.now += MINUTE
            for invoke in (self.looks, self.applies) if look_first else (self.applies, self.looks):
                invoke()

    def rest(self) -> None:
        """Let both schedules fire until nothing is on its way."""
        self.run(600, until=self._at_rest)

    def _at_rest(self) -> bool:
        standings = [self.table.get(key) for key in MEMBERS]
        settled = all(
            standing is None or standing.stage not in {"waiting", "updating", "verifying"} for standing in standings
        )
        return (
            settled
            and self.records.get().phase == "idle"
            and not getattr(self.records.get(), "owed", None)
            and (not [found for found in self.table.list_open(100) if found.key.startswith("dags/")])
            and self.mwaa.described["Status"] in USABLE
        )

    def in_force(self, key: str = "requirements.txt") -> bytes | None:
        """The content that the environment uses."""
        member = MEMBERS[key]
        version = self.mwaa.described.get(f"{member}S3ObjectVersion")
        if version is None:
            return None
        path = self.mwaa.described[f"{member}S3Path"]
        body: bytes = self.s3.get_object(Bucket=LIVE, Key=path, VersionId=version)["Body"].read()
        return body

    def by_hand(self, body: bytes, key: str = "requirements.txt") -> dict[str, str]:
        """Put a file into the environment's bucket; return the members that point at it."""
        version = self.s3.put_object(Bucket=LIVE, Key=f"terraform/{key}", Body=body)["VersionId"]
        return {f"{MEMBERS[key]}S3Path": f"terraform/{key}", f"{MEMBERS[key]}S3ObjectVersion": version}

    def verified_update(self, body: bytes = V0, key: str = "requirements.txt") -> str:
        """Drop an artifact that works, and let it come into force."""
        version = self.drop(key, body)
        self.rest()
        assert self.standing(key).stage == "good"
        assert self.in_force(key) == body
        return version

    def rolled_back(self, key: str = "requirements.txt") -> tuple[str, ...]:
        found = self.table.get(key)
        return found.rolled_back if found else ()

    def messages(self) -> list[str]:
        return [news.message for news in self.news if news.message]

    def facts(self) -> Any:
        return parse_environment(self.mwaa.described)


__all__ = ["DROP", "LIVE", "MINUTE", "NO_MODULE", "V0", "V1", "V2", "ClockedWorld"]
