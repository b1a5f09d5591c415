"""startup.sh: what MWAA sources with bash on every scheduler, worker and web server before Airflow starts.

https://docs.aws.amazon.com/mwaa/latest/userguide/using-startup-script.html
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from jetway.artifacts.archives.zip_structure import shown
from jetway.artifacts.findings import Candidate, Finding, Judgement, judgement
from jetway.artifacts.startup.startup_effects import habits

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

KIND = "startup-script"
MAX_BYTES = 1024 * 1024
SECONDS_FOR_BASH = 10

# bash's own words: "startup.sh: line 3: syntax error near unexpected token `fi'".
_BASH_LINE = re.compile(r"^.*?: line (\d+): (.*)$", re.MULTILINE)


def check_startup_script(candidate: Candidate, _environment: EnvironmentFacts, *, bash: str | None = None) -> Judgement:
    """Judge a startup script without running it.

    Args:
        candidate: the file; one larger than MAX_BYTES need not bring its content.
        bash: the program; found on PATH when it is not given.
    """
    if candidate.size > MAX_BYTES:
        return judgement(KIND, [_too_large(candidate.size)])
    findings = list(_bytes_findings(candidate.content))
    uncertain = False
    if not findings:
        program = bash or shutil.which("bash")
        found = _syntax(program, candidate.content) if program else _NO_BASH
        if found is not None:
            findings.append(found)
            uncertain = found.severity == "warning"
    text = candidate.content.decode("utf-8", "replace")
    if not any(finding.severity == "error" for finding in findings):
        findings += habits(text)
    return judgement(KIND, findings, uncertain=uncertain)


def _syntax(bash: str, content: bytes) -> Finding | None:
    """Let bash read the script. -n reads and does not run; nothing of the caller's environment is given to it."""
    try:
        result = subprocess.run(
            [bash, "--noprofile", "--norc", "-n"],
            input=content,
            capture_output=True,
            timeout=SECONDS_FOR_BASH,
            env={"LC_ALL": "C.UTF-8"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return replace(_not_judged(f"bash reads it for more than {SECONDS_FOR_BASH} s"), severity="error")
    except OSError as exc:
        return _not_judged(f"bash cannot be run: {type(exc).__name__}")
    if result.returncode == 0:
        return None
    words = result.stderr.decode("utf-8", "replace")
    match = _BASH_LINE.search(words)
    return Finding(
        rule="bash-syntax",
        severity="error",
        message=f"bash cannot read the script: {shown(match[2] if match else words.strip() or 'no reason given')}.",
        line=int(match[1]) if match else None,
        remedy="Correct it. `bash -n startup.sh` shows the same error.",
    )


def _bytes_findings(content: bytes) -> Iterator[Finding]:
    if b"\0" in content:
        yield _error("nul-byte", "The script has a NUL byte.", _line_of(content, b"\0"), "Upload the text file itself.")
    elif content.startswith(b"\xef\xbb\xbf"):
        yield _error(
            "byte-order-mark",
            "The script begins with a UTF-8 byte order mark, which bash reads as part of the first command.",
            1,
            "Save it as UTF-8 without a byte order mark.",
        )
    elif b"\r" in content:
        yield _error(
            "crlf",
            "Lines have Windows line endings: bash reads the carriage return as part of each command.",
            _line_of(content, b"\r"),
            (
                "Convert it: sed -i 's/\\r$//' startup.sh. In git, add this line to .gitattributes: startup.sh text "
                "eol=lf"
            ),
        )


def _line_of(content: bytes, what: bytes) -> int:
    return content.count(b"\n", 0, content.index(what)) + 1


def _error(rule: str, message: str, line: int, remedy: str) -> Finding:
    return Finding(rule=rule, severity="error", message=message, line=line, remedy=remedy)


def _too_large(size: int) -> Finding:
    return Finding(
        rule="too-large",
        severity="error",
        message=f"The script has {size:,} bytes; the maximum is {MAX_BYTES:,}.",
        line=None,
        remedy="startup.sh must end within 5 minutes. Fetch large files from S3.",
    )


def _not_judged(why: str) -> Finding:
    return Finding(
        rule="not-judged",
        severity="warning",
        message=f"The script's syntax is not checked: {why}.",
        line=None,
        remedy="Run `bash -n startup.sh` before the upload.",
    )


_NO_BASH = _not_judged("bash is not available here")
