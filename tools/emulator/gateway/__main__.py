"""`python -m tools.emulator.gateway --config FILE.json`: the MWAA gateway in the foreground."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from tools.emulator.gateway.config import GatewayConfig
from tools.emulator.gateway.service import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.emulator.gateway", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="settings as GatewayConfig writes them")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    run(GatewayConfig.read(arguments.config))


if __name__ == "__main__":
    main()
