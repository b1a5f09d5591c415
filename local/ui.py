"""`make ui`: the status page and Swagger UI of the local stack in a browser, as `jetway ui` opens those of AWS."""

from __future__ import annotations

import sys
import webbrowser

from botocore.credentials import Credentials

from local import stack
from local.ministack import CREDENTIALS, REGION
from local.signing_proxy import serve


def main() -> int:
    """Open the page and serve it until Ctrl-C."""
    try:
        running = stack.running()
    except stack.StackError as exc:
        print(exc, file=sys.stderr)
        return 1
    credentials = Credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    with serve(running.http_api_url, lambda: credentials, REGION) as proxy:
        print(f"Status page  {proxy.address}\nSwagger UI   {proxy.origin}/docs   (Ctrl-C ends it)")
        webbrowser.open(proxy.address)
        try:
            proxy.wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
