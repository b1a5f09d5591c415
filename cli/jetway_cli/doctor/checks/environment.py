"""The MWAA environment that the stack serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from jetway_cli.doctor.results import Findings, Result, listed

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import EnvironmentSeen, Facts

OLDEST = (2, 9)
NOT_LOOKED_AT = "Not checked: environment-status says why."
_PASSING = frozenset({"CREATING", "UPDATING", "ROLLING_BACK", "CREATING_SNAPSHOT", "MAINTENANCE", "PENDING"})
_CLASSES = ("mw1.micro", "mw1.small", "mw1.medium", "mw1.large", "mw1.xlarge", "mw1.2xlarge")
_PATHS = {
    "PluginsS3Path": "plugins_path",
    "RequirementsS3Path": "requirements_path",
    "StartupScriptS3Path": "startup_script_path",
}


def _seen(facts: Facts, found: Findings) -> EnvironmentSeen | None:
    """The environment, if it can be seen; that it is gone, or does not answer, is said by `status` alone."""
    if facts.environment.trouble is not None:
        found.unknown(NOT_LOOKED_AT, "See environment-status.")
        return None
    if not found.needs(facts.environment):
        return None
    if facts.environment.value is None:
        found.unknown(NOT_LOOKED_AT, "See environment-status.")
    return facts.environment.value


def status(facts: Facts) -> Result:
    """Judge the environment's status and its last update."""
    found = Findings()
    if facts.environment.known and facts.environment.value is None:
        name = facts.stack.parameters.get("EnvironmentName", "")
        found.broken(
            f"Environment {name!r} does not exist in {facts.stack.region} of account {facts.stack.account}.",
            (
                "Deploy with the name of an existing environment (make deploy ENVIRONMENT=…), or create this "
                "environment again. Events wait until then, up to MaxEventAgeHours."
            ),
        )
    elif facts.environment.trouble is not None:
        _say_that_it_does_not_answer(facts, facts.environment.trouble, found)
    elif found.needs(facts.environment):
        _judge_status(facts.environment.value, found)
    its = facts.environment.value
    return found.result("environment-status", f"Environment {its.facts.name} is {its.facts.status}." if its else "")


def _say_that_it_does_not_answer(facts: Facts, trouble: str, found: Findings) -> None:
    health = facts.health.value
    if health is not None and health[1].get("status") == "healthy":  # the functions reach it
        found.unknown(trouble, "Try again later.")
    else:
        found.broken(
            f"MWAA does not return the environment: {trouble}",
            "Check AWS Health and the network from here to MWAA. On the local stack: make logs.",
        )


def _judge_status(seen: EnvironmentSeen | None, found: Findings) -> None:
    if seen is None:
        return
    its = seen.facts
    if its.status in _PASSING:
        found.warn(f"Environment {its.name} is {its.status}: events wait, in order.", ("Wait until it is AVAILABLE."))
    elif not its.usable:
        found.broken(
            f"Environment {its.name} is {its.status}: nothing can start.",
            "Check the environment in the MWAA console.",
        )
    elif its.last_update == "FAILED":
        found.warn(
            f"The last update of {its.name} failed: {its.last_update_error or 'MWAA does not report why'}",
            ("See the log streams requirements_install and startup_script. `jetway updates` shows what Jetway did."),
        )


def airflow_version(facts: Facts) -> Result:
    """Judge whether Jetway knows this Airflow, and has its major version to load files with."""
    from jetway.artifacts.mwaa import known_versions

    found = Findings()
    if (seen := _seen(facts, found)) is None:
        return found.result("airflow-version", "")
    its = seen.facts
    layers = facts.stack.parameters.get("AirflowLayers", "both")
    if its.version < OLDEST:
        found.broken(
            f"Airflow {its.airflow_version} is older than 2.9, which Jetway does not support.",
            "Upgrade the environment (MWAA console, or UpdateEnvironment with AirflowVersion).",
        )
    elif its.airflow_version not in known_versions():
        found.warn(
            (
                f"Jetway does not know which packages MWAA installs with Airflow {its.airflow_version}, so it "
                "checks requirements.txt without them."
            ),
            "Update Jetway and deploy again.",
        )
    if layers not in {"both", f"airflow{its.major}"}:
        found.warn(
            (
                f"The environment runs Airflow {its.airflow_version}, but files are loaded only with {layers}. A "
                "failed load is never certain, so no file is rejected because of it."
            ),
            "Deploy with AirflowLayers=both.",
        )
    return found.result("airflow-version", f"Airflow {its.airflow_version}; AirflowLayers={layers}.")


def environment_class(facts: Facts) -> Result:
    """Judge the environment's class, and whether the bounds of scaling fit it."""
    found = Findings()
    if (seen := _seen(facts, found)) is None:
        return found.result("environment-class", "")
    its, parameters = seen.facts, facts.stack.parameters
    act = parameters.get("ScalingMode") == "act"
    if its.environment_class not in _CLASSES:
        found.warn(
            f"Jetway does not know the class {its.environment_class}, so it estimates the tasks per worker.",
            "Set celery.worker_autoscale in the environment's configuration options, and update Jetway.",
        )
    if its.environment_class == "mw1.micro" and act:
        found.warn(
            "ScalingMode=act has no effect on mw1.micro, which has one worker.",
            "Deploy with ScalingMode=advise, or use a larger class.",
        )
    most = int(parameters.get("ScalingMaxWorkers") or 0)
    if act and its.max_workers > most:
        found.warn(
            (
                f"The environment's MaxWorkers is {its.max_workers}, above ScalingMaxWorkers={most}. Jetway will "
                "lower it."
            ),
            "Deploy with a higher ScalingMaxWorkers if that is not intended.",
        )
    said = f"{its.environment_class}, {its.min_workers} to {its.max_workers} workers."
    return found.result("environment-class", said)


def files(facts: Facts) -> Result:
    """Judge whether the stack promotes files to where the environment reads them."""
    found = Findings()
    if (seen := _seen(facts, found)) is None:
        return found.result("environment-files", "")
    its, parameters = seen.facts, facts.stack.parameters
    wrong = list(_misplaced(seen, parameters))
    if wrong:
        found.broken(
            f"Jetway writes files where the environment does not read them: {listed(wrong, '; ')}.",
            f"Deploy with the environment's own settings: make deploy ENVIRONMENT={its.name}",
        )
    return found.result(
        "environment-files",
        (f"Jetway writes files to s3://{its.source_bucket}/{its.dags_path}, where the environment reads them."),
    )


def _misplaced(seen: EnvironmentSeen, parameters: Mapping[str, str]) -> list[str]:
    its = seen.facts
    wrong = []
    if parameters.get("EnvironmentBucketName") != its.source_bucket:
        wrong.append(
            f"EnvironmentBucketName={parameters.get('EnvironmentBucketName')}, the environment's is {its.source_bucket}"
        )
    if (given := parameters.get("DagS3Path", "dags/")).strip("/") != its.dags_path:
        wrong.append(f"DagS3Path={given}, the environment's is {its.dags_path}/")
    for parameter, fact in _PATHS.items():
        its_own = getattr(its, fact)
        if its_own and parameters.get(parameter, its_own) != its_own:
            wrong.append(f"{parameter}={parameters[parameter]}, the environment's is {its_own}")
    return wrong


def network(facts: Facts) -> Result:
    """Judge access mode against transport and the functions' network."""
    found = Findings()
    if (seen := _seen(facts, found)) is None:
        return found.result("environment-network", "")
    its, parameters = seen.facts, facts.stack.parameters
    subnets = [one for one in parameters.get("SubnetIds", "").split(",") if one]
    groups = [one for one in parameters.get("SecurityGroupIds", "").split(",") if one]
    private = its.webserver_access_mode == "PRIVATE_ONLY"
    if private and not subnets:
        found.broken(
            (
                f"The web server of {its.name} is private (PRIVATE_ONLY), and the stack has no SubnetIds, so no "
                "function can reach it."
            ),
            f"make deploy ENVIRONMENT={its.name} reads subnets and security groups from MWAA; or deploy with "
            f"SubnetIds={','.join(seen.subnets)} SecurityGroupIds={','.join(seen.groups)}",
        )
    elif subnets and not groups:
        found.broken(
            "The stack has SubnetIds but no SecurityGroupIds, so its functions cannot join the VPC.",
            f"Deploy with SecurityGroupIds={','.join(seen.groups)}",
        )
    elif private and not set(groups) & set(seen.groups):
        found.warn(
            (
                f"None of the functions' security groups ({listed(groups)}) belongs to the environment "
                f"({listed(seen.groups)})."
            ),
            (
                "In the environment's security group, allow port 443 from the functions' group; or deploy with "
                "the environment's group."
            ),
        )
    elif subnets and not private:
        found.warn(
            (
                f"The web server is public ({its.webserver_access_mode}), but the functions join a VPC. They need "
                "a NAT gateway or endpoints there."
            ),
            "Deploy with SubnetIds and SecurityGroupIds empty, unless the functions need the VPC.",
        )
    transport = parameters.get("Transport", "")
    said = (
        f"{its.webserver_access_mode}, Transport={transport}, functions {'in a VPC' if subnets else 'outside a VPC'}."
    )
    return found.result("environment-network", said)
