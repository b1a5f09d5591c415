"""How commands end. Every error is one or two sentences that say what to do; a traceback is a fault of ours.

0    done, or yes
1    a negative answer: the run failed, nothing matches, a dead letter cannot be redriven, the time of a wait is over
2    wrong use: an option, a file or a value that can never work
3    the answer could not be learnt: AWS, the network, the stack or the credentials stood in the way
130  interrupted
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from jetway_cli.arguments import did_you_mean

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"})
BAD_CREDENTIALS = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
    | {"SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure", "InvalidAccessKeyId"}
)
LONGEST_PATH = 200  # characters of a path that are shown
SIGN_IN = "Sign in again, or set AWS_PROFILE."


class NegativeError(click.ClickException):
    """The answer is no."""

    exit_code = 1


class WrongUseError(click.ClickException):
    """What was asked for can never work."""

    exit_code = 2


class StackTroubleError(click.ClickException):
    """AWS, the network, the stack or the credentials stood in the way; the answer is not known."""

    exit_code = 3


@contextmanager
def translated() -> Iterator[None]:
    """Turn what AWS, the network and the library raise into errors of the command line."""
    from botocore.exceptions import BotoCoreError, ClientError, InvalidRegionError, ParamValidationError
    from requests.exceptions import RequestException

    from jetway.errors import JetwayError, PermanentError

    try:
        yield
    except ClientError as exc:
        raise StackTroubleError(_sentence(exc)) from exc
    except (InvalidRegionError, ParamValidationError) as exc:
        raise WrongUseError(f"AWS does not accept this: {sentence(exc)}") from exc
    except BotoCoreError as exc:
        raise StackTroubleError(_sentence_of_botocore(exc)) from exc
    except RequestException as exc:
        raise StackTroubleError(
            f"The API could not be reached: {sentence(exc)} Check the network and the stack."
        ) from exc
    except OSError as exc:
        if exc.filename is None:
            raise
        raise WrongUseError(f"{str(exc.filename)[:LONGEST_PATH]}: {sentence(exc.strerror)}") from exc
    except PermanentError as exc:
        raise WrongUseError(sentence(exc)) from exc
    except JetwayError as exc:
        raise StackTroubleError(f"{sentence(exc)} Try again later.") from exc


def sentence(said: object) -> str:
    """Return a text on one line, with one full stop at its end.

    >>> sentence("It is\\n so..")
    'It is so.'
    """
    text = " ".join(str(said).split())
    return text if text.endswith(("?", "!")) else text.rstrip(".;:, ") + "."


def error_code(exc: ClientError) -> str:
    """Return the error's code without the service's own prefix."""
    return exc.response.get("Error", {}).get("Code", "").rpartition(".")[2]


def _sentence(exc: ClientError) -> str:
    code = error_code(exc)
    said = exc.response.get("Error", {}).get("Message", "") or code
    if code in DENIED:
        return f"Your credentials do not allow this: {sentence(said)} Request {exc.operation_name} in your policy."
    if code in BAD_CREDENTIALS:
        return f"AWS rejected your credentials: {sentence(said)} {SIGN_IN}"
    return f"AWS rejected {exc.operation_name} ({code}): {sentence(said)}"


def _sentence_of_botocore(exc: Exception) -> str:
    from botocore import exceptions as aws

    said = sentence(exc)
    if isinstance(exc, aws.NoCredentialsError | aws.PartialCredentialsError | aws.CredentialRetrievalError):
        return (
            'No AWS credentials found. Sign in, set AWS_PROFILE, or, for the local stack, run: eval "$(make -s env)".'
        )
    if isinstance(exc, aws.NoRegionError):
        return "No AWS Region is set. Give --region or set AWS_REGION."
    if isinstance(exc, aws.ProfileNotFound):
        near = did_you_mean(str(getattr(exc, "kwargs", {}).get("profile", "")), _profiles())
        return f"{said}{near} `aws configure list-profiles` lists your profiles."
    if isinstance(exc, aws.SSOTokenLoadError | aws.UnauthorizedSSOTokenError | aws.TokenRetrievalError):
        return f"{said} {SIGN_IN}"
    if isinstance(exc, aws.EndpointConnectionError | aws.ConnectionClosedError | aws.HTTPClientError):
        return f"{said} Check the network, --region and --endpoint-url (AWS_ENDPOINT_URL)."
    return f"AWS could not be called: {said}"


def _profiles() -> list[str]:
    from botocore.session import Session

    return list(Session().available_profiles)
