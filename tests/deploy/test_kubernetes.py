"""The Kubernetes manifests agree with each other and with the service."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config import Settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
TEMPLATE = FOLDER / "secret.example.yaml"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
CONFIG = dict(
    line.split("=", 1)
    for line in (FOLDER / "config.env").read_text().splitlines()
    if not line.startswith("#")
)
SECRETS = yaml.safe_load(TEMPLATE.read_text())["stringData"]
RESOURCES = [
    resource
    for name in KUSTOMIZATION["resources"]
    for resource in yaml.safe_load_all((FOLDER / name).read_text())
]
PODS = {each["metadata"]["name"]: each for each in RESOURCES if "template" in each.get("spec", {})}


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [resource for resource in RESOURCES if resource["kind"] == kind]


def container(name: str) -> dict[str, Any]:
    [found] = PODS[name]["spec"]["template"]["spec"]["containers"]
    return found


def test_kustomization_lists_every_manifest_except_the_secret_template() -> None:
    files = {file.name for file in FOLDER.glob("*.yaml")}
    assert files - {"kustomization.yaml", TEMPLATE.name} == set(KUSTOMIZATION["resources"])


def test_manifests_set_only_settings_of_the_service() -> None:
    named = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(CONFIG) <= named
    assert set(SECRETS) - {"MIGRATION_DATABASE_URL"} <= named


def test_settings_of_the_manifests_are_valid_in_production() -> None:
    secrets = {
        "SECRET_KEY": "7Vq9nB2xLr5tYw8eKd3mZp6sGf1hJc4aQu0i",
        "DATABASE_URL": "postgresql://app@db.example/app",
        "REDIS_URL": "redis://cache.example:6379/0",
        # begin jobs
        "BROKER_URL": "redis://cache.example:6379/1",
        # end jobs
        "SMTP_URL": "smtps://mail.example",
    }
    assert set(secrets) == set(SECRETS) - {"MIGRATION_DATABASE_URL"}
    settings = Settings.from_env(CONFIG | secrets)
    assert settings.app_env == "production"


def test_secret_template_has_no_values() -> None:
    assert set(SECRETS.values()) == {""}


def test_pods_open_no_more_connections_than_postgresql_allows() -> None:
    [scaler] = of_kind("HorizontalPodAutoscaler")
    surge = PODS["web"]["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    web = (scaler["spec"]["maxReplicas"] + surge) * int(CONFIG["WEB_CONCURRENCY"])
    workers = 2  # one, and its successor during an update
    migration = 1
    # PostgreSQL allows 100 by default, three of them reserved for superusers.
    assert (web + workers) * int(CONFIG["POOL_SIZE"]) + migration <= 97
    assert int(CONFIG["WEB_THREADS"]) <= int(CONFIG["POOL_SIZE"])


def test_selectors_match_labels_of_pods() -> None:
    labels = {name: pod["spec"]["template"]["metadata"]["labels"] for name, pod in PODS.items()}
    assert len({tuple(each.items()) for each in labels.values()}) == len(PODS) > 1
    for kind in ("Deployment", "PodDisruptionBudget"):
        for each in of_kind(kind):
            assert each["spec"]["selector"]["matchLabels"] == labels[each["metadata"]["name"]]
    [service] = of_kind("Service")
    assert service["spec"]["selector"] == labels["web"]
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]  # no metrics


@pytest.mark.parametrize("name", sorted(PODS))
def test_pods_have_the_restrictions_of_the_stack(name: str) -> None:
    pod = PODS[name]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container(name)["resources"]["limits"]["memory"]


@pytest.mark.parametrize(
    "name",
    [
        "migrate",
        # begin jobs
        "worker",
        "beat",
        # end jobs
    ],
)
def test_pods_run_the_commands_of_the_stack(name: str) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"][name]
    command = [part.replace("${WORKER_THREADS:-4}", "4") for part in compose["command"]]
    assert container(name)["command"] == command


def test_pod_grace_period_covers_the_last_request() -> None:
    web = PODS["web"]["spec"]["template"]["spec"]
    waits = container("web")["lifecycle"]["preStop"]["sleep"]["seconds"]
    finishes = re.search(r"graceful_timeout = (\d+)", (ROOT / "gunicorn.conf.py").read_text())
    assert web["terminationGracePeriodSeconds"] > waits + int(finishes[1])


def test_migration_job_bypasses_the_pooler() -> None:
    found = {each["name"]: each for each in container("migrate")["env"]}
    assert found["DATABASE_URL"]["valueFrom"]["secretKeyRef"]["key"] == "MIGRATION_DATABASE_URL"
    assert found["DATABASE_POOLER"]["value"] == "false"


def test_image_tag_is_the_project_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    [image] = KUSTOMIZATION["images"]
    assert image["newTag"] == version
    assert all(container(name)["image"] == image["name"] for name in PODS)
