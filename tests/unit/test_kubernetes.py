"""The manifests of a fleet on Kubernetes: they follow its schemas, and our own commands."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from deepmatrix.cli.parser import parse
from deepmatrix.fleet import certificates
from deepmatrix.paths import ROOT

#: A year of releases: manifests outlive a cluster's version.
VERSIONS = ("1.34", "1.35", "1.36", "1.37")

ITEMS = YAML(typ="safe").load((ROOT / "docs" / "kubernetes.yaml").read_text("utf-8"))["items"]
PAGE = (ROOT / "docs" / "fleet.md").read_text("utf-8")


def deployments() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the pod of each deployment."""
    for item in ITEMS:
        if item["kind"] == "Deployment":
            yield item["metadata"]["name"], item["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifests_follow_the_schemas_of_kubernetes(version: str) -> None:
    assert [item["kind"] for item in ITEMS] == ["Service", *["Deployment"] * 3]
    for item in ITEMS:
        kubernetes_validate.validate(item, version, strict=True)


def test_the_schemas_refuse_a_manifest_with_a_misspelt_key() -> None:
    item = {**ITEMS[0], "spec": {**ITEMS[0]["spec"], "selectors": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(item, VERSIONS[-1], strict=True)


def test_a_deployment_selects_its_own_pods_and_each_architecture_has_one() -> None:
    architectures = []
    for item in ITEMS[1:]:
        spec = item["spec"]
        labels, chosen = spec["template"]["metadata"]["labels"], spec["template"]["spec"]
        assert spec["selector"]["matchLabels"] == labels
        if selector := chosen.get("nodeSelector"):
            assert selector == {"kubernetes.io/arch": labels["architecture"]}
            architectures.append(labels["architecture"])
    assert architectures == ["amd64", "arm64"]


def test_the_pods_run_commands_of_ours() -> None:
    for name, pod in deployments():
        (container,) = pod["containers"]
        options = parse(container["args"])
        role = "scheduler" if name.endswith("scheduler") else "worker"
        mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        folder = options.folder if role == "scheduler" else options.tls
        assert mounted["tls"] == str(folder)
        (secret,) = (volume["secret"] for volume in pod["volumes"] if volume["name"] == "tls")
        assert secret["secretName"] == f"deepmatrix-{role}"


def test_workers_reach_the_scheduler_by_its_service() -> None:
    service, scheduler = ITEMS[0], ITEMS[1]
    assert service["spec"]["selector"] == scheduler["spec"]["template"]["metadata"]["labels"]
    address = f"tls://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    workers = [pod for name, pod in deployments() if "worker" in name]
    assert {parse(pod["containers"][0]["args"]).scheduler for pod in workers} == {address}


@pytest.mark.parametrize("role", ["scheduler", "worker"])
def test_the_page_makes_each_secret_of_the_files_that_its_role_reads(role: str) -> None:
    (line,) = (line for line in PAGE.splitlines() if f"secret generic deepmatrix-{role}" in line)
    files = [word.partition("=")[2] for word in shlex.split(line) if word.startswith("--from-file")]
    assert sorted(path.rpartition("/")[2] for path in files) == sorted(
        [certificates.AUTHORITY, f"{role}.pem", f"{role}.key"]
    )


def test_no_pod_is_privileged_or_has_a_token_of_the_cluster() -> None:
    for _, pod in deployments():
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        (container,) = pod["containers"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not container["securityContext"]["allowPrivilegeEscalation"]
