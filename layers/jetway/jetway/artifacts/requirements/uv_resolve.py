"""Resolve requirements with uv: which versions would be installed, or in uv's words why none can be.

Nothing is built (`--no-build`): building a source distribution runs its code. uv gets nothing of the caller's
environment, and only lines that were parsed before: a requirements file may name any file of the machine, and uv
quotes what it cannot read. It reaches indexes through a proxy of ours, which leads to public addresses only.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from jetway.artifacts.mwaa import ARCHITECTURE, GLIBC
from jetway.artifacts.requirements.fetching import FetchError, constraints_at
from jetway.artifacts.requirements.index_proxy import IndexProxy
from jetway.artifacts.requirements.requirement_lines import redacted

Status = Literal["resolved", "conflict", "not-found", "not-resolved"]

# One try more after a failure; each waits so long at the most.
_RETRIES = "1"
_FOREVER = "max-age=31536000, immutable"
_HTTP_SECONDS = "10"

LONGEST_WORDS = 2000
WHEELS = "wheels"  # the folder's name, as uv's words have it
_WHEEL_NAME = re.compile(r"[A-Za-z0-9._+!-]+\.whl")

# uv's words for what another index, or a build, might change.
_NEEDS_A_BUILD = ("has no usable wheels", "building from source is disabled", "Wheels are required for")
_NOT_FOUND = ("was not found in the package registry", "there is no version of", "was not found in the provided")
_NO_SOLUTION = "No solution found when resolving dependencies"
_NETWORK = re.compile(
    r"Failed to fetch|error sending request|dns error|[Cc]onnection (?:refused|reset)|timed? ?out|network|certificate",
)


@dataclass(frozen=True, slots=True)
class ResolutionRequest:
    """What is to be resolved.

    Attributes:
        requirements: lines of PEP 508, without URLs and paths.
        constraints: the same, `name==version`.
        constraint_urls: https URLs of constraint files that are not known here; they are fetched, and uv gets lines.
        python: the environment's full Python version.
        index_url: https URL that replaces PyPI, or None.
        extra_index_urls: https URLs beside it.
        prerelease: whether --pre is given.
        wheels: file name → METADATA of wheels that are at hand beside the index; the wheels themselves are not needed.
        no_index: nothing is asked for elsewhere.
        allowed: hosts that the operator names, as of `index_proxy.named`; all others have to be public.
    """

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    python: str
    constraint_urls: tuple[str, ...] = ()
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    prerelease: bool = False
    wheels: Mapping[str, str] = field(default_factory=dict)
    no_index: bool = False
    allowed: tuple[str, ...] = ()

    def names(self) -> frozenset[str]:
        """The distributions that are asked for by name, normalized."""
        return frozenset(canonicalize_name(Requirement(one).name) for one in self.requirements)

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Self:
        """Read the question as it comes to the function.

        Raises:
            KeyError, TypeError: not of its shape.
        """
        given = dict(value)
        for name in ("requirements", "constraints", "constraint_urls", "extra_index_urls", "allowed"):
            given[name] = tuple(given.get(name, ()))
        return cls(**given)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What uv said.

    Attributes:
        status: "conflict" - no set of versions fits; "not-found" - an index does not know a package or a version;
            "not-resolved" - uv could not tell: no index, no time, or a package that would have to be built.
        said: uv's own words; "" when it is resolved.
        versions: name → version of all that would be there.
        wheels: name → URL of its wheel.
        built: names among them that are published as source only, of which nothing more is known.
    """

    status: Status
    said: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    wheels: Mapping[str, str] = field(default_factory=dict)
    built: tuple[str, ...] = ()


def resolve(question: ResolutionRequest, uv: str, *, seconds: float, home: Path | None = None) -> Resolution:
    """Ask uv.

    Args:
        question: what.
        uv: the program.
        seconds: after which it is killed.
        home: writable folder that keeps uv's cache; one of its own, removed at the end, when none is given.
    """
    with tempfile.TemporaryDirectory(prefix="resolve-") as folder, IndexProxy(question.allowed) as proxy:
        place = Path(folder)
        try:
            constraints = [*question.constraints, *constraints_at(question.constraint_urls, proxy)]
        except FetchError as exc:
            return Resolution("not-resolved", f"the constraints are not known: {exc}")
        (place / "requirements.in").write_text("\n".join(question.requirements) + "\n")
        (place / "constraints.txt").write_text("\n".join(constraints) + "\n")
        (place / "uv.toml").write_text(_indexes(question))
        _put_wheels(place / WHEELS, question.wheels)
        try:
            result = subprocess.run(
                _command(uv, question),
                cwd=place,
                env=_environment(home or place, proxy.url),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Resolution("not-resolved", f"uv did not end within {seconds:.0f} s")
        except OSError as exc:
            return Resolution("not-resolved", f"uv cannot be run: {exc.strerror}")
    if result.returncode == 0:
        return _resolved(result.stdout)
    return _refused(result.stderr)


def emptied(home: Path, most: int) -> Path:
    """Return a folder for uv's cache, which is emptied first when it has grown too large.

    What a cache keeps is what indexes answered, each under its own address, and for as long as the index itself allows:
    so one file's index says nothing to another file's, and a new version is seen when the index would have it seen.

    Args:
        home: the folder; None of it need be there.
        most: bytes; one resolution more may be added to them.
    """
    size = 0
    for place, _, files in os.walk(home):
        for name in files:
            try:
                size += Path(place, name).lstat().st_size
            except OSError:  # another one cleans up
                continue
    if size > most:
        going = Path(tempfile.mkdtemp(dir=home.parent, prefix="going-"))
        with suppress(OSError):  # another one was first
            home.rename(going / home.name)
        shutil.rmtree(going, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    return home


def _command(uv: str, question: ResolutionRequest) -> list[str]:
    platform = f"{ARCHITECTURE}-manylinux_{GLIBC[0]}_{GLIBC[1]}"
    command = [uv, "pip", "compile", "--quiet", "--no-progress", "--color", "never", "--no-build"]
    command += ["--config-file", "uv.toml"]
    command += ["--no-python-downloads", "--python", sys.executable, "--python-version", question.python]
    # pip looks at all indexes for the best version; uv, left alone, at the first that knows the name.
    command += ["--python-platform", platform, "--index-strategy", "unsafe-best-match", "--no-header", "--no-annotate"]
    command += ["--format", "pylock.toml", "--constraint", "constraints.txt"]
    if question.wheels:
        command += ["--find-links", WHEELS]
    if question.no_index:
        return [*command, "--no-index", *(["--prerelease", "allow"] if question.prerelease else []), "requirements.in"]
    if question.prerelease:
        command += ["--prerelease", "allow"]
    return [*command, "requirements.in"]


def _indexes(question: ResolutionRequest) -> str:
    """uv's configuration: where it asks, in the order of pip's options, and nothing of this machine's.

    A file of an index never changes, so its metadata need not be asked for again, whatever the index says of it: many
    of those that companies have say nothing. What files there are is asked as often as the index wants.
    """
    if question.no_index:
        return ""
    own = [question.index_url] if question.index_url else []  # without one, uv asks the index that pip asks
    lines = []
    for url in (*question.extra_index_urls, *own):
        lines += [
            "[[index]]",
            f"url = {json.dumps(url, ensure_ascii=False)}",
            f'cache-control = {{ files = "{_FOREVER}" }}',
        ]
    return "\n".join([*lines, *(["default = true"] if own else []), ""])


def _put_wheels(folder: Path, wheels: Mapping[str, str]) -> None:
    """Write wheels that have nothing but their metadata, which is what resolving reads; uv wants RECORD to be there."""
    folder.mkdir()
    for file_name, metadata in wheels.items():
        if not _WHEEL_NAME.fullmatch(file_name):
            continue  # no name that pip would look at
        name, version = file_name.split("-")[:2]
        with zipfile.ZipFile(folder / file_name, "w") as made:
            for name_in_it, content in (("METADATA", metadata), ("WHEEL", "Wheel-Version: 1.0\n"), ("RECORD", "")):
                made.writestr(f"{name}-{version}.dist-info/{name_in_it}", content)


def _environment(home: Path, proxy: str) -> dict[str, str]:
    """What uv sees: no credentials, one way out, and no settings of the caller's but for certificates."""
    kept = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    names = {name for name in os.environ if name.upper() in kept}
    own = {
        "HOME": str(home),
        "PATH": str(Path(sys.executable).parent),
        "UV_CACHE_DIR": str(home / "uv-cache"),
        "UV_HTTP_TIMEOUT": _HTTP_SECONDS,
        "UV_HTTP_RETRIES": _RETRIES,
        "UV_KEYRING_PROVIDER": "disabled",
        "HTTP_PROXY": proxy,
        "HTTPS_PROXY": proxy,
        "ALL_PROXY": proxy,
    }
    # The machine's own certificates: uv brings some, which know nothing of a company's proxy.
    store = ssl.get_default_verify_paths().cafile
    trusted = {"SSL_CERT_FILE": store} if store else {}
    return trusted | {name: os.environ[name] for name in names} | own


def _resolved(output: str) -> Resolution:
    packages = tomllib.loads(output).get("packages", [])
    versions = {package["name"]: str(package.get("version", "")) for package in packages}
    first = {package["name"]: package["wheels"][0].get("url", "") for package in packages if package.get("wheels")}
    wheels = {name: url for name, url in first.items() if url.startswith("http")}  # of an index, not those at hand
    return Resolution("resolved", "", versions, wheels)


def _refused(words: str) -> Resolution:
    said = _plain(words)
    if any(phrase in words for phrase in _NEEDS_A_BUILD):
        return Resolution("not-resolved", said)
    if _NO_SOLUTION in words:
        return Resolution("not-found" if any(phrase in words for phrase in _NOT_FOUND) else "conflict", said)
    if _NETWORK.search(words):
        return Resolution("not-resolved", f"no index: {said}")
    return Resolution("not-resolved", said)


def _plain(words: str) -> str:
    """uv's words on one line, without credentials and with a bound."""
    lines = (line.strip().removeprefix("cause: ").removeprefix("error: ") for line in words.splitlines())
    said = " ".join(redacted(part) for line in lines if line for part in line.split())
    return said if len(said) <= LONGEST_WORDS else said[:LONGEST_WORDS] + "…"
