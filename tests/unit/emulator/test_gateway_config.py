"""The gateway's settings survive the way through a file, and a wrong file is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tools.emulator.gateway.config import GatewayConfig


def config(tmp_path: Path) -> GatewayConfig:
    return GatewayConfig(
        environment="e",
        bucket="b",
        port=1234,
        state=tmp_path,
        airflow=tmp_path / "jetway.json",
        certificate=tmp_path / "server.pem",
        key=tmp_path / "server.key",
        endpoint="http://127.0.0.1:4566",
        max_workers=3,
    )


@pytest.mark.parametrize("images", [None, Path("images")])
def test_what_is_written_is_read(tmp_path: Path, images: Path | None) -> None:
    written = replace(config(tmp_path), images=images)
    written.write(tmp_path / "config.json")
    assert GatewayConfig.read(tmp_path / "config.json") == written
    assert config(tmp_path).url == "https://localhost:1234"


@pytest.mark.parametrize(
    ("text", "words"), [("{", "Expecting"), ('{"speed": 1}', "unknown settings speed"), ('{"port": 1}', "missing")]
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=words):
        GatewayConfig.read(tmp_path / "config.json")
