"""What a registry answers while another client does the same."""

from __future__ import annotations

from orchestrator.testing.registry import AnswerWith, FakeRegistry
from tests.contract.registry_sample import make_sample, opened, repository_of

UNKNOWN = b"""{"errors": [
    {"code": "DIGEST_INVALID", "message": "provided digest did not match uploaded content"},
    {"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry"}
]}"""


def test_a_manifest_is_put_again_while_its_blobs_are_uploaded_twice() -> None:
    """Distribution does not know a blob for the moment in which another client uploads the same."""
    sample = make_sample()
    with FakeRegistry() as registry, opened() as stores:
        for blob in sample.blobs:
            registry.put_blob("acme/api", blob)
        registry.fail("PUT", ".*/manifests/1.0", AnswerWith(status=400, body=UNKNOWN), times=2)
        stores.repository(repository_of(registry)).put_manifest("1.0", sample.manifest)
        assert {"1.0": sample.manifest.digest} == registry.tags("acme/api")
