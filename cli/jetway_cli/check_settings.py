"""What airflow_local_settings.py of the dags folder and of plugins.zip does to the files that are judged with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from jetway_cli.check_airflow import PLUGINS_ANSWER, PLUGINS_SETTINGS_ANSWER, SETTINGS_ANSWER

if TYPE_CHECKING:
    from jetway.artifacts.findings import Judgement
    from jetway.artifacts.plugins.plugin_modules import PackedPlugins

LoadSettings = Callable[..., Mapping[str, Mapping[str, Any]]]


class Judged(Protocol):
    """A file and what is said of it so far."""

    judgement: Judgement


@dataclass(frozen=True, slots=True)
class LocalSettingsFile:
    """The airflow_local_settings.py of one place.

    Attributes:
        judged: the file that it is in: itself, or plugins.zip.
        answer: under which the load says how it fared.
    """

    place: Literal["dags", "plugins"]
    judged: Judged
    answer: str


def has_settings(files: Mapping[str, Judged], packed: PackedPlugins) -> Sequence[LocalSettingsFile]:
    """Return which there are.

    Args:
        files: that are judged, by what their answers are called.
        packed: of plugins.zip.
    """
    found = []
    if SETTINGS_ANSWER in files:
        found.append(LocalSettingsFile("dags", files[SETTINGS_ANSWER], SETTINGS_ANSWER))
    if packed.has_settings and PLUGINS_ANSWER in files:
        found.append(LocalSettingsFile("plugins", files[PLUGINS_ANSWER], PLUGINS_SETTINGS_ANSWER))
    return found


def blame_settings(
    found: Sequence[LocalSettingsFile], answers: Mapping[str, Mapping[str, Any]], load: LoadSettings
) -> None:
    """Say of each that it fails, or that DAG files do which load without it; what is not certain stays out.

    Args:
        found: of `has_settings`.
        answers: of the load with all of them.
        load: takes files, and the place whose settings are left out.

    Raises:
        StackTroubleError: Airflow does not work.
    """
    from jetway.loading.combined_verdict import together
    from jetway.loading.import_dag_client import LoadAnswer
    from jetway.loading.local_settings import breaking, certain, dag_files, failing

    files = dag_files(path for path in answers if path not in {PLUGINS_ANSWER, PLUGINS_SETTINGS_ANSWER})
    failed = failing({path: LoadAnswer(answers[path]) for path in files})
    for one in found:
        of_plugins, answer = one.place == "plugins", answers[one.answer]
        if of_plugins and answer["verdict"] != "accepted":
            one.judged.judgement = certain(together(one.judged.judgement, LoadAnswer(answer)), whatever=True)
        if answer["verdict"] == "accepted" and failed:
            without = load(sorted(failed), without_settings=one.place)
            loads = {path: said for path, said in failed.items() if without[path]["verdict"] != "rejected"}
            one.judged.judgement = breaking(one.judged.judgement, loads)
