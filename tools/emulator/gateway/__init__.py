"""The MWAA gateway: Amazon MWAA's control plane and web server in front of the real local Airflow.

A process of its own (`python -m tools.emulator.gateway --config FILE.json`; `service.start` does it), HTTPS on
127.0.0.1. One listener serves the control plane as boto3's `mwaa` client calls it, and the web server's
`/aws_mwaa/…` and `/api/…`. Killing it leaves Airflow as it is, and tokens minted before are still good after a restart.

    config        what the gateway is told: one frozen dataclass, read from JSON
    service       start it from another program, ask whether it is ready
    compose       puts the parts together
    app           routes a request to one of:
      control     GetEnvironment, UpdateEnvironment, CreateCliToken, …
      callers     whether IAM lets the caller do it, asked of MiniStack
      cli         POST /aws_mwaa/cli: token, concurrency, supported commands, the envelope
      rest        InvokeRestApi, web login and /api, forwarded to Airflow's REST API
      faults      for tests: lost answers, 503s, UPDATING; only when configured
    throttle      how often an operation may be called
    environment   the environment's description, its status and updates; survives a restart
    description   of a new environment
    model         checks input against botocore's model of MWAA
    tokens        signed tokens that expire
    runner        the `airflow` command in a pre-forked process (fork_server runs in Airflow's interpreter)
    commands      the commands that MWAA offers
    sync          bucket → dags folder
    metrics       AWS/MWAA and AmazonMWAA metrics, from airflow_state (Airflow's database) and loads (/proc)
    server        HTTPS: bytes in, bytes out

Where AWS documents no behaviour, the module that had to choose says so.
"""
