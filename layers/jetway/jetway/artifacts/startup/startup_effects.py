"""What a startup.sh that bash can read does to MWAA's own start, or does in vain. All of it is warnings. Pure.

MWAA's wrapper sources the script, then writes down the exported variables, and goes on: so what the script does to its
shell it does to the wrapper.
https://docs.aws.amazon.com/mwaa/latest/userguide/using-startup-script.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import dropwhile

from jetway.artifacts.findings import Finding
from jetway.artifacts.startup.shell_commands import Command, commands

# What MWAA sets again after the script has run; so is all of MWAA__….
# https://github.com/aws/amazon-mwaa-docker-images/blob/main/images/airflow/3.3.1/python/mwaa/config/setup_environment.py
RESERVED = frozenset(
    {
        "AIRFLOW_ENV_ID",
        "AIRFLOW_ENV_NAME",
        "AIRFLOW_HOME",
        "AIRFLOW_TASK_REVISION_ID",
        "AIRFLOW_VERSION",
        "AIRFLOW__API__BASE_URL",
        "AIRFLOW__AWS_MWAA__REDIRECT_URL",
        "AIRFLOW__CELERY__BROKER_URL",
        "AIRFLOW__CELERY__RESULT_BACKEND",
        "AIRFLOW__CORE__DATABASE_ACCESS_ISOLATION",
        "AIRFLOW__CORE__EXECUTOR",
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__CORE__LOAD_EXAMPLES",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__OPERATORS__DEFAULT_QUEUE",
        "AIRFLOW__WEBSERVER__BASE_URL",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_REGION",
        "CUSTOMER_ACCOUNT_ID",
        "ECS_AGENT_URI",
        "ECS_CONTAINER_METADATA_URI",
        "ECS_CONTAINER_METADATA_URI_V4",
        "JWT_PUBLIC_KEY",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "USE_NON_CRITICAL_LOGGING",
        "WATCHTOWER_VERSION",
    }
)

# What bash or the system has exported already, so that an assignment is enough; and what is meant for the shell only.
_EXPORTED = re.compile(r"PATH|HOME|LANG|LC_\w+|USER|LOGNAME|SHELL|SHLVL|PWD|OLDPWD|TERM|HOSTNAME")
_OF_THE_SHELL = re.compile(r"IFS|PS[0-4]|OPT\w+|REPLY|RANDOM|SECONDS|UMASK|HIST\w+|BASH\w*|FUNC\w+|GLOB\w+|_\w*")
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)\+?=")
_PLAIN = re.compile(r"([A-Za-z_]\w*)=(?!\()")
_DECLARING = frozenset({"export", "declare", "typeset", "readonly", "local"})
_BEFORE = frozenset({"command", "builtin"})
_SHELLS = frozenset({"bash", "sh", "dash", "ash", "busybox"})
_MOST_SHOWN = 5
# Where a variable is used: by its name after a dollar, in arithmetic and tests, and by what asks for one.
_USES = re.compile(
    r"\$\{?[#!]?(\w+)|\(\(([^)\n]{0,1000})|\[\[[ \t]([^\n]{0,1000}?)\]\]|-[vn][ \t]+(\w+)|\blet[ \t]([^\n]{0,1000})"
)
_WORD = re.compile(r"[A-Za-z_]\w*")
# Names that are put together when the script runs, or files that use them: then nobody can tell what is used.
_UNCLEAR = re.compile(r"\beval\b|\$\{!|\benvsubst\b|\b(?:source|\.)\s+\S|\bexport[ \t]+(?:[^\s$]+[ \t]+){0,50}[\"']?\$")


def habits(text: str) -> list[Finding]:
    """Return what MWAA undoes or does not survive, and what has no effect."""
    found = list(_evaluated(commands(text)))
    called = {_bare(command.words)[0] for command in found if _bare(command.words)}
    # A function that nobody calls does nothing; what runs in a process of its own does nothing to this shell.
    counts = [one for one in found if not one.apart and (one.function is None or one.function in called)]
    findings = [*_shebang(text), *_of_commands(counts), *_not_exported(counts, text)]
    return sorted(findings, key=lambda finding: finding.line or 0)


def _evaluated(found: Iterable[Command]) -> Iterator[Command]:
    """The commands, and those in the text that `eval` is given."""
    for command in found:
        yield command
        words = _bare(command.words)
        if words[:1] == ("eval",):
            for inner in commands(" ".join(map(_unquoted, words[1:]))):
                yield replace(command, words=inner.words, apart=command.apart or inner.apart)


def _ends_on_errors(words: tuple[str, ...]) -> bool:
    """Whether the first command that fails will end the shell: `set -e` in any form, or a trap that does the same."""
    if words[:1] == ("trap",) and len(words) > 2:
        return "ERR" in words[2:] and re.search(r"\bexit\b", words[1]) is not None
    return _sets(words, "e", "errexit")


def _of_commands(counts: Sequence[Command]) -> Iterator[Finding]:
    seen: set[str] = set()
    for command in counts:
        words = _bare(command.words)
        for name in _assigned(command.words):
            if name in RESERVED or name.startswith("MWAA__"):
                yield _reserved(name, command.line)
        if "errexit" not in seen and _ends_on_errors(words):
            seen.add("errexit")
            yield _errexit(command.line)
        if "exec" not in seen and words[:1] == ("exec",) and _program(words[1:]):
            seen.add("exec")
            yield _exec(command.line)


def _bare(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a command without assignments before it, and without what only says that it is one."""
    rest = list(dropwhile(lambda word: _ASSIGNED.match(word) or word in _BEFORE, words))
    return (rest[0].removeprefix("\\"), *rest[1:]) if rest else ()


def _assigned(words: tuple[str, ...]) -> Iterator[str]:
    """The variables that a command assigns to, in this shell."""
    names = words[1:] if words[0] in _DECLARING else words if all(map(_ASSIGNED.match, words)) else ()
    for word in names:
        if match := _ASSIGNED.match(word):
            yield match[1]


def _sets(words: tuple[str, ...], letter: str, name: str) -> bool:
    """Whether `set` or `shopt -o` turns an option on, in any of their forms."""
    if words[:1] == ("shopt",):
        letters = "".join(word[1:] for word in words[1:] if word.startswith("-"))
        return "s" in letters and "o" in letters and name in map(_unquoted, words)
    if words[:1] != ("set",):
        return False
    todo = map(_unquoted, words[1:])
    for word in todo:
        if word[:1] not in {"-", "+"} or word in {"-", "--"}:
            return False  # from here on they are positional parameters
        named = next(todo, "") if "o" in word else ""
        if word[0] == "-" and (letter in word or named == name):
            return True
    return False


def _unquoted(word: str) -> str:
    return word.strip("\"'")


def _program(words: Sequence[str]) -> bool:
    """Whether `exec` is given a program: without one it only redirects, which is fine."""
    todo = iter(words)
    for word in todo:
        if word == "--":
            break
        if not word.startswith("-"):
            return True
        if word.endswith("a"):
            next(todo, None)  # the name that the program is given
    return next(todo, None) is not None


def _shebang(text: str) -> Iterator[Finding]:
    first = text.partition("\n")[0]
    if not first.startswith("#!"):
        return
    words = [word for word in first[2:].split() if not word.startswith("-") and "=" not in word]
    names = [word.rpartition("/")[2] for word in words]
    name = next((name for name in names if name != "env"), "")
    if name and name not in _SHELLS:
        yield Finding(
            rule="shebang",
            severity="warning",
            message=f"The first line requests {name}, but MWAA always reads the script with bash.",
            line=1,
            remedy=f"Write it for bash, or call the other program from it: {name} /usr/local/airflow/dags/FILE",
        )


def _not_exported(counts: Sequence[Command], text: str) -> Iterator[Finding]:
    """Variables that are assigned, not exported, and not used: they were meant for DAGs, which do not see them."""
    if _UNCLEAR.search(text):
        return
    lines: dict[str, int] = {}
    for command in counts:
        if _sets(command.words, "a", "allexport"):
            return
        if command.words[0] in _DECLARING:
            exports = command.words[0] == "export" or any(re.match(r"-\w*x", word) for word in command.words)
            for word in command.words[1:]:
                if exports:
                    lines[_unquoted(word).partition("=")[0].removesuffix("+")] = 0
                elif command.words[0] != "local" and _PLAIN.match(word) and not _holds_many(command.words):
                    lines.setdefault(word.partition("=")[0], command.line)
        elif all(map(_PLAIN.match, command.words)):
            for word in command.words:
                lines.setdefault(word.partition("=")[0], command.line)
    used = {name for found in _USES.findall(text) for name in _WORD.findall("".join(found))}
    names = [name for name, line in lines.items() if line and name not in used and not _is_needless(name)]
    if names:
        shown = ", ".join(names[:_MOST_SHOWN]) + (
            f" and {len(names) - _MOST_SHOWN} more" if names[_MOST_SHOWN:] else ""
        )
        verb, them = ("is", "it") if len(names) == 1 else ("are", "them")
        yield Finding(
            rule="not-exported",
            severity="warning",
            message=f"{shown} {verb} assigned and not exported: DAGs and tasks do not see {them}.",
            line=lines[names[0]],
            remedy=f"Write export {names[0]}=…",
        )


def _holds_many(words: Sequence[str]) -> bool:
    """Whether an array is declared, which cannot be exported, or a function."""
    return any(re.match(r"-\w*[aAf]", word) for word in words)


def _is_needless(name: str) -> bool:
    """Whether nothing is lost without an export: the system has done it, or the variable is the shell's own."""
    is_reserved = name in RESERVED or name.startswith("MWAA__")
    return is_reserved or bool(_EXPORTED.fullmatch(name) or _OF_THE_SHELL.fullmatch(name))


def _reserved(name: str, line: int) -> Finding:
    return Finding(
        rule="reserved-variable",
        severity="warning",
        message=f"{name} is reserved: MWAA sets it again after the script has run.",
        line=line,
        remedy="Remove the line. Set Airflow's options in the environment's configuration options.",
    )


def _errexit(line: int) -> Finding:
    return Finding(
        rule="errexit",
        severity="warning",
        message=(
            "MWAA sources the script: after this line, the first command that fails also ends MWAA's own start, "
            "and the environment does not start."
        ),
        line=line,
        remedy="Remove it, and handle commands that can fail: dnf install -y X || echo 'X is missing'",
    )


def _exec(line: int) -> Finding:
    return Finding(
        rule="exec",
        severity="warning",
        message=(
            "MWAA sources the script: exec replaces MWAA's own start with the program, so the environment does "
            "not start."
        ),
        line=line,
        remedy="Call the program without exec. You can use exec with redirections only.",
    )
