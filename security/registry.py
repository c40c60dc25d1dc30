"""The registry of gates, and of the profiles of rows.

`GATES` holds every gate that is built, by the name that documents and policies use: a plan that needs another is
refused, naming it.
"""

from typing import Any

from security.gate import Gate
from security.gates.api import AccessControlApi
from security.gates.approval import Approval
from security.gates.artifact import ModelArtifactScan
from security.gates.authorization import RegistryAuthorization
from security.gates.backdoor import BackdoorProbe
from security.gates.bias import BiasDetection
from security.gates.bucket import AccessControlS3
from security.gates.code import CodeIntegrity
from security.gates.contract import DataContract, Tally
from security.gates.dependencies import DependencyScanning
from security.gates.deployer import DeploymentAuthorization
from security.gates.drift import DriftMonitoring
from security.gates.fairness import FairnessMetrics
from security.gates.image import ImageVulnerabilityScanning
from security.gates.inputs import ApprovedInputs
from security.gates.metrics import MetricThresholds
from security.gates.model import ModelSignature
from security.gates.network import NetworkPolicyEnforcement
from security.gates.personal import PiiDetection, Sweep
from security.gates.poisoning import DataPoisoning
from security.gates.rest import DataEncryptionAtRest
from security.gates.secrets import SecretsScanning
from security.gates.transit import DataEncryptionInTransit
from security.gates.versions import ModelVersioning
from security.gates.workload import WorkloadHardening
from security.rows.scan import Profile

GATES: dict[str, Gate[Any]] = {
    gate.name: gate
    for gate in (
        AccessControlS3(),
        DataEncryptionInTransit(),
        DataEncryptionAtRest(),
        DataContract(),
        PiiDetection(),
        DriftMonitoring(),
        DataPoisoning(),
        ApprovedInputs(),
        DependencyScanning(),
        CodeIntegrity(),
        SecretsScanning(),
        ModelArtifactScan(),
        ModelSignature(),
        ModelVersioning(),
        RegistryAuthorization(),
        MetricThresholds(),
        FairnessMetrics(),
        BiasDetection(),
        BackdoorProbe(),
        Approval(),
        AccessControlApi(),
        ImageVulnerabilityScanning(),
        NetworkPolicyEnforcement(),
        WorkloadHardening(),
        DeploymentAuthorization(),
    )
}

PROFILES: dict[str, type[Profile]] = {"data_contract": Tally, "PII_detection": Sweep}
"""What one scan of rows feeds, by the gate whose facts it makes."""
