"""`jetway ui`: the status page and Swagger UI of a stack in the browser, signed with the caller's AWS credentials."""

from __future__ import annotations

import webbrowser
from typing import Any

import click

from jetway_cli.errors import StackTroubleError
from jetway_cli.stack import Target, api_option, stack_options


@click.command(epilog="It serves until Ctrl-C, only on loopback. Each address works in one browser.")
@click.option("--port", type=click.IntRange(1024, 65535), help=("Port on loopback. The default is any free port."))
@click.option("--no-browser", is_flag=True, help="Print the address, but open nothing.")
@api_option
@stack_options
def ui(*, port: int | None, no_browser: bool, **where: Any) -> None:
    """Open the status page and Swagger UI.

    A browser cannot sign requests as AWS_IAM requires. This command signs them with your AWS credentials. It does not
    open a port to the network.
    """
    from botocore.exceptions import NoCredentialsError, NoRegionError

    from jetway_cli.api import Api
    from jetway_cli.signing_proxy import page_to, serve

    target = Target(**where)
    api = Api(target)
    described = api.require(api.call("GET", "/openapi.json"))  # whoever may not call is told now, not by an empty page
    if "openapi" not in described.body:
        raise StackTroubleError(
            f"{api.base} responds, but not as Jetway's HTTP API does. Check --stack, --api-url and JETWAY_API_URL."
        )
    session = target.session
    found = session.get_credentials()
    if found is None:
        raise NoCredentialsError
    if session.region_name is None:
        raise NoRegionError
    try:
        signing = serve(
            api.base,
            found.get_frozen_credentials,
            session.region_name,
            port=port or 0,
            opened=lambda address: _print(address, "The browser is connected. For another one:"),
        )
        with signing as proxy:
            _print(proxy.address)
            with page_to(proxy.address) as page:
                if not no_browser and not webbrowser.open(page):
                    click.echo("No browser was found. Open an address above.", err=True)
                proxy.wait()
    except OSError as exc:
        raise StackTroubleError(f"Port {port} on loopback is not free ({exc.strerror}). Leave out --port.") from exc


def _print(address: str, before: str = "") -> None:
    if before:
        click.echo(before)
    click.echo(f"Status page  {address}")
    click.echo(f"Swagger UI   {address}&page=docs")
